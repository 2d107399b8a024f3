"""Texts into token ids, the same way for training, evaluation and prediction."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from trials.errors import BackboneError, DataError, UserError, did_you_mean
from trials.tasks.base import template_pieces
from trials.tasks.targets import right_answers

Architecture = Literal["encoder-decoder", "decoder-only"]
ARCHITECTURES: tuple[Architecture, ...] = ("encoder-decoder", "decoder-only")
# Between source and target of a decoder-only backbone.
SEPARATOR = "\nanswer: "


def check_architecture(architecture: str) -> None:
    """Raises UserError where the name is not one of `ARCHITECTURES`."""
    if architecture not in ARCHITECTURES:
        hint = did_you_mean(architecture, ARCHITECTURES)
        raise UserError(f"architecture '{architecture}'{hint}: it is one of {', '.join(ARCHITECTURES)}")


def encode_source(
    text: str,
    tokenizer: Any,
    architecture: Architecture,
    max_source_length: int,
    template: str = "",
    separator: str | None = None,
) -> list[int]:
    """The source ids of one text; see `encode_sources`."""
    return encode_sources([text], tokenizer, architecture, max_source_length, template, separator)[0]


def encode_sources(
    texts: Sequence[str],
    tokenizer: Any,
    architecture: Architecture,
    max_source_length: int,
    template: str = "",
    separator: str | None = None,
) -> list[list[int]]:
    """Source ids of each text, at most `max_source_length` long, truncated on the right; see `SourceEncoder`."""
    return SourceEncoder(tokenizer, architecture, max_source_length, template, separator).encode(texts).ids


@dataclass(frozen=True)
class Encoded:
    """Texts as ids.

    Attributes:
        ids: of each text.
        cut: whether the text was longer than there was room.
        control: the control tokens that the text spells, beside those of the template.
    """

    ids: list[list[int]]
    cut: list[bool]
    control: list[list[str]]


class SourceEncoder:
    """Turns source texts into ids.

    encoder-decoder: the text's tokens and the end-of-sequence token, which truncation keeps (T5's own layout).
    decoder-only: the text's tokens (with the beginning-of-sequence token where the tokenizer adds one, without an end),
    cut so that the tokens of the separator (`SEPARATOR`, unless the task has one of its own), which follow, fit whole.

    A text that spells a control token (`</s>`, `<pad>`) stays text: its ids are those of its characters. Control tokens
    that the template itself holds, such as the marks of a chat, are meant.

    Raises:
        UserError: `max_source_length` leaves no room for a token of the text.
        BackboneError: the tokenizer has no end-of-sequence token.
    """

    def __init__(
        self,
        tokenizer: Any,
        architecture: Architecture,
        max_source_length: int,
        template: str = "",
        separator: str | None = None,
    ) -> None:
        self.tokenizer, self.architecture = tokenizer, architecture
        self._end = _end_token(tokenizer)
        both = architecture == "encoder-decoder"
        between = SEPARATOR if separator is None else separator
        self._tail = [self._end] if both else _ids(tokenizer, [between], special=False)[0] if between else []
        added = tokenizer.num_special_tokens_to_add()  # an end that the tokenizer adds is in the tail already
        taken = max(added, 1) if both else added + len(self._tail)
        if max_source_length <= taken:
            raise UserError(
                f"a source length of {max_source_length} tokens leaves no room for the text: {taken} of them are "
                f"taken, so give at least {taken + 1}"
            )
        self._room = max_source_length - len(self._tail)
        self._control = control_pattern(tokenizer)
        self._meant = len(self._control.findall("".join(literal for literal, _ in template_pieces(template))))

    def encode(self, texts: Sequence[str]) -> Encoded:
        """The ids of each text. Raises UserError: a text spells control tokens, and so does the template."""
        control = [names if len(names) > self._meant else [] for names in map(self._control.findall, texts)]
        encoded = _ids(self.tokenizer, list(texts), special=True)
        places = [place for place, spelled in enumerate(control) if spelled]
        if places and self._meant:
            found = texts[places[0]]
            raise UserError(
                f"{len(places)} of {len(texts)} texts spell control tokens as the template does, so they cannot be "
                f"told apart; take them out of the texts, the first is {found[:200]!r}"
            )
        if places:
            plain = self._plain([texts[place] for place in places])
            for place, ids in zip(places, plain, strict=True):
                encoded[place] = ids
        bodies = [ids[:-1] if ids and ids[-1] == self._end else ids for ids in encoded]
        cut = [len(body) > self._room for body in bodies]
        return Encoded([body[: self._room] + self._tail for body in bodies], cut, control)

    def _plain(self, texts: list[str]) -> list[list[int]]:
        """Ids of texts without a control token but for those that are put around a text."""
        if self._deaf is None:
            return _ids(self.tokenizer, texts, special=True, split_special_tokens=True)
        return [encoding.ids for encoding in self._deaf.encode_batch(texts, add_special_tokens=True)]

    @cached_property
    def _deaf(self) -> Any:
        """The tokenizer with its control tokens under names that no text has; None where it has no fast backend.

        `split_special_tokens` does not do: it takes the names from the list of added tokens alone, and a Unigram model
        (T5's) has them in its vocabulary as well.
        """
        from tokenizers import Tokenizer

        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            return None
        state = json.loads(backend.to_str()) | {"padding": None, "truncation": None}
        names = {name: f"\uf8ff{place}\uf8ff" for place, name in enumerate(sorted(control_tokens(self.tokenizer)))}
        for added in state["added_tokens"]:
            added["content"] = names.get(added["content"], added["content"])
        model = state["model"]
        if isinstance(model["vocab"], dict):
            model["vocab"] = {names.get(piece, piece): number for piece, number in model["vocab"].items()}
        else:
            model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
        if model.get("unk_token") in names:
            model["unk_token"] = names[model["unk_token"]]
        return Tokenizer.from_str(json.dumps(state))


def control_tokens(tokenizer: Any) -> set[str]:
    """The tokens that stand for no text: end, padding, unknown, sentinels, the marks of a chat."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return set(tokenizer.all_special_tokens) | {token.content for token in added.values() if token.special}


def control_pattern(tokenizer: Any) -> re.Pattern[str]:
    """Finds control tokens in a text; the longest name first, so that `<s>x` is not found in `<s>`."""
    names = sorted(control_tokens(tokenizer), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names)) or "(?!)")


def encode_target(text: str, tokenizer: Any, architecture: Architecture) -> list[int]:
    """Target ids of a label's text, with the end-of-sequence token last. Raises BackboneError where there is none."""
    end = _end_token(tokenizer)
    ids = _ids(tokenizer, [text], special=architecture == "encoder-decoder")[0]
    return ids if ids and ids[-1] == end else [*ids, end]


def encode_labels(targets: Sequence[str], tokenizer: Any, architecture: Architecture) -> dict[str, list[int]]:
    """Target ids of each label's text.

    Raises:
        DataError: texts that do not come back from their ids, so that no prediction could ever equal them.
    """
    ids = {target: encode_target(target, tokenizer, architecture) for target in targets}
    problems = []
    for target, tokens in ids.items():
        back = tokenizer.decode(tokens, skip_special_tokens=True).strip()
        if back != target:
            problems.append(
                f"the tokenizer reads the label text '{target}' back as '{back}', so no answer could equal it; "
                "choose another target text, such as a digit"
            )
    if problems:
        raise DataError(problems)
    return ids


@dataclass(frozen=True)
class EncodedTargets:
    """Texts as target ids.

    Attributes:
        ids: of each text, at most as long as an answer may be, with the end-of-sequence token last.
        cut: whether the text was longer.
        lost: whether the text does not come back from its ids, cut or not: no answer could equal it.
    """

    ids: list[list[int]]
    cut: list[bool]
    lost: list[bool]


def encode_texts(texts: Sequence[str], tokenizer: Any, architecture: Architecture, max_length: int) -> EncodedTargets:
    """Target ids of texts of any kind, the end-of-sequence token last, which cutting keeps.

    Of several right answers to one example, the first is encoded.
    """
    end = _end_token(tokenizer)
    texts = [right_answers(text)[0] for text in texts]
    encoded = _ids(tokenizer, texts, special=architecture == "encoder-decoder")
    bodies = [ids[:-1] if ids and ids[-1] == end else ids for ids in encoded]
    back = tokenizer.batch_decode(bodies, skip_special_tokens=True)
    return EncodedTargets(
        [[*body[: max_length - 1], end] for body in bodies],
        [len(body) >= max_length for body in bodies],
        [read.strip() != text.strip() for read, text in zip(back, texts, strict=True)],
    )


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """SHA-256 of what decides the ids: the serialised tokenizer, less the padding and truncation of its last call."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        state = json.loads(backend.to_str())
        state.pop("padding", None)
        state.pop("truncation", None)
    else:
        state = {"class": type(tokenizer).__name__, "vocabulary": tokenizer.get_vocab()}
    state["ends"] = [getattr(tokenizer, "bos_token_id", None), tokenizer.eos_token_id]
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _end_token(tokenizer: Any) -> int:
    end = tokenizer.eos_token_id
    if end is None:
        raise BackboneError(
            "the backbone's tokenizer has no end-of-sequence token, which every answer ends with; "
            "set eos_token in its tokenizer_config.json"
        )
    return int(end)


def _ids(tokenizer: Any, texts: list[str], *, special: bool, **options: Any) -> list[list[int]]:
    # verbose=False: longer than the model's maximum is no news, the caller truncates.
    return tokenizer(texts, add_special_tokens=special, return_attention_mask=False, verbose=False, **options)[
        "input_ids"
    ]
