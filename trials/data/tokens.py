"""Texts into token ids, the same way for training, evaluation and prediction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal

from trials.errors import BackboneError, DataError, UserError, did_you_mean

Architecture = Literal["encoder-decoder", "decoder-only"]
ARCHITECTURES: tuple[Architecture, ...] = ("encoder-decoder", "decoder-only")
# Between source and target of a decoder-only backbone.
SEPARATOR = "\nanswer: "


def check_architecture(architecture: str) -> None:
    """Raises UserError where the name is not one of `ARCHITECTURES`."""
    if architecture not in ARCHITECTURES:
        hint = did_you_mean(architecture, ARCHITECTURES)
        raise UserError(f"architecture '{architecture}'{hint}: it is one of {', '.join(ARCHITECTURES)}")


def encode_source(text: str, tokenizer: Any, architecture: Architecture, max_source_length: int) -> list[int]:
    """The source ids of one text; see `encode_sources`."""
    return encode_sources([text], tokenizer, architecture, max_source_length)[0]


def encode_sources(
    texts: Sequence[str], tokenizer: Any, architecture: Architecture, max_source_length: int
) -> list[list[int]]:
    """Source ids of each text, at most `max_source_length` long, truncated on the right.

    encoder-decoder: the text's tokens and the end-of-sequence token, which truncation keeps (T5's own layout).
    decoder-only: the text's tokens (with the beginning-of-sequence token where the tokenizer adds one, without an end),
    cut so that the tokens of `SEPARATOR`, which follow, fit whole.

    Raises:
        UserError: `max_source_length` leaves no room for a token of the text.
        BackboneError: the tokenizer has no end-of-sequence token.
    """
    end = _end_token(tokenizer)
    tail = [end] if architecture == "encoder-decoder" else _ids(tokenizer, [SEPARATOR], special=False)[0]
    added = tokenizer.num_special_tokens_to_add()  # an end that the tokenizer adds is in `tail` already
    taken = max(added, 1) if architecture == "encoder-decoder" else added + len(tail)
    if max_source_length <= taken:
        raise UserError(
            f"a source length of {max_source_length} tokens leaves no room for the text: {taken} of them are taken, "
            f"so give at least {taken + 1}"
        )
    encoded = []
    for ids in _ids(tokenizer, list(texts), special=True):
        body = ids[:-1] if ids and ids[-1] == end else ids
        encoded.append(body[: max_source_length - len(tail)] + tail)
    return encoded


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


def _ids(tokenizer: Any, texts: list[str], *, special: bool) -> list[list[int]]:
    # verbose=False: longer than the model's maximum is no news, the caller truncates.
    return tokenizer(texts, add_special_tokens=special, return_attention_mask=False, verbose=False)["input_ids"]
