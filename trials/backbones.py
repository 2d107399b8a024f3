"""The frozen models that trials share: loading, and the two architectures behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from trials.backbone_facts import Facts, describe, from_config, load_tokenizer
from trials.dropout import ATTENTION, TrialRows, install
from trials.methods.base import INIT_TEXT, Method, Surroundings

IGNORED = -100
"""Fills target rows beyond their last token, as in transformers."""


@dataclass
class Batch:
    """One trial's rows as token ids, padded on the right to the longest of them.

    Attributes:
        ids: what is embedded: the source, and in a decoder-only model the target behind it, shape (rows, length).
        real: 1 for tokens, 0 for padding, shape (rows, length).
        targets: the answer's tokens, `IGNORED` beyond them, shape (rows, target length).
        sources: source tokens in each row, shape (rows,).
    """

    ids: Tensor
    real: Tensor
    targets: Tensor
    sources: Tensor


@dataclass
class Inputs:
    """Embedded rows of one trial, or of many trials below each other.

    Attributes:
        embeddings: prompt first, tokens next, padding last, shape (rows, length, d).
        mask: 1 for prompt and tokens, shape (rows, length).
        targets: shape (rows, target length), `IGNORED` where there is none.
        starts: prompt and source positions in each row, shape (rows,): the answer begins there.
    """

    embeddings: Tensor
    mask: Tensor
    targets: Tensor
    starts: Tensor

    @staticmethod
    def stacked(parts: Sequence[Inputs]) -> Inputs:
        """All rows in one, padded on the right to the longest part."""
        if len(parts) == 1:
            return parts[0]
        length = max(p.mask.shape[1] for p in parts)
        answer = max(p.targets.shape[1] for p in parts)
        pad = nn.functional.pad
        return Inputs(
            torch.cat([pad(p.embeddings, (0, 0, 0, length - p.mask.shape[1])) for p in parts]),
            torch.cat([pad(p.mask, (0, length - p.mask.shape[1])) for p in parts]),
            torch.cat([pad(p.targets, (0, answer - p.targets.shape[1]), value=IGNORED) for p in parts]),
            torch.cat([p.starts for p in parts]),
        )


Embed = Callable[[Tensor, Tensor], Tensor]
"""Token ids (rows,) and positions (rows,), prompt counted -> embeddings (rows, 1, d) with their trial's offset."""


class Backbone(ABC):
    """A frozen language model, its tokenizer, and what a stack needs from it.

    Attributes:
        facts: name, architecture, width and revision.
        tokenizer: the model's own.
        embedding: the input embedding table, shape (vocabulary, d).
    """

    def __init__(self, model: Any, tokenizer: Any, facts: Facts) -> None:
        self.model: Any = model.eval().requires_grad_(False)
        self.masks = install(self.model)
        self.tokenizer = tokenizer
        self.facts = facts
        self.embedding: Tensor = self.model.get_input_embeddings().weight

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embedding.device

    def surroundings(self, max_source_length: int) -> Surroundings:
        """What a new method may look at."""
        return Surroundings(self.embedding.float(), self.tokenizer(INIT_TEXT)["input_ids"], max_source_length)

    def padded(self, rows: Sequence[Any], value: int) -> Tensor:
        """Token rows as one tensor on the device, padded on the right, shape (rows, longest)."""
        out = np.full((len(rows), max(map(len, rows))), value, dtype=np.int64)
        for line, row in zip(out, rows, strict=True):
            line[: len(row)] = row
        return torch.from_numpy(out).to(self.device, non_blocking=True)

    @abstractmethod
    def batch(self, sources: Sequence[Any], targets: Sequence[Any] | None) -> Batch:
        """Token rows made ready to be embedded; without targets to be answered."""

    def inputs(self, method: Method, batch: Batch, dropout: torch.Generator | None = None) -> Inputs:
        """One trial's rows, embedded, shifted and with its prompt in front."""
        m = method.prompt_length
        return Inputs(
            method.inputs(nn.functional.embedding(batch.ids, self.embedding).float(), dropout),
            nn.functional.pad(batch.real, (m, 0), value=1),
            batch.targets,
            batch.sources + m,
        )

    def token_losses(self, inputs: Inputs, layout: Sequence[TrialRows] = ()) -> Tensor:
        """Cross-entropy in nats of each target token, 0 where there is none, shape (rows, target length)."""
        with self.masks.drawn_for(layout):
            logits = self.answer_logits(inputs)
        losses = nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), inputs.targets.flatten(), ignore_index=IGNORED, reduction="none"
        )
        return losses.view_as(inputs.targets)

    @abstractmethod
    def answer_logits(self, inputs: Inputs) -> Tensor:
        """Teacher-forced logits at each target position, shape (rows, target length, vocabulary)."""

    @abstractmethod
    def decode(self, inputs: Inputs, max_new_tokens: int, embed: Embed) -> Tensor:
        """Greedy answers, shape (rows, at most max_new_tokens), padding after the end-of-sequence token."""

    def text(self, tokens: Tensor) -> list[str]:
        """Decoded answers without special tokens, stripped (the released code's post-processing)."""
        return [t.strip() for t in self.tokenizer.batch_decode(tokens, skip_special_tokens=True)]

    def greedy(self, logits: Tensor, max_new_tokens: int, advance: Callable[[Tensor, int], Tensor]) -> Tensor:
        """The loop that both architectures share.

        Args:
            logits: of the first answer token, shape (rows, vocabulary).
            max_new_tokens: where to stop at the latest.
            advance: takes the chosen tokens (rows,) and their number in the answer, gives the next logits.
        """
        pad, eos = self.facts.pad_token_id, self.facts.eos_token_id
        done = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
        answer: list[Tensor] = []
        for n in range(max_new_tokens):
            token = logits.argmax(-1).masked_fill(done, pad)
            answer.append(token)
            done = done | (token == eos)
            if n + 1 == max_new_tokens or bool(done.all()):
                break
            logits = advance(token, n)
        return torch.stack(answer, dim=1)


class EncoderDecoder(Backbone):
    """T5 and its like: prompt and offsets on the encoder's side only, the decoder as it is."""

    def batch(self, sources: Sequence[Any], targets: Sequence[Any] | None) -> Batch:
        """See `Backbone.batch`."""
        lengths = torch.tensor([len(s) for s in sources], device=self.device)
        ids = self.padded(sources, self.facts.pad_token_id)
        real = (torch.arange(ids.shape[1], device=self.device) < lengths[:, None]).long()
        answer = ids.new_zeros(len(ids), 0) if targets is None else self.padded(targets, IGNORED)
        return Batch(ids, real, answer, lengths)

    def answer_logits(self, inputs: Inputs) -> Tensor:
        """See `Backbone.answer_logits`."""
        start = self.model.config.decoder_start_token_id
        shifted = nn.functional.pad(inputs.targets[:, :-1], (1, 0), value=start)
        return self.model(
            inputs_embeds=inputs.embeddings.to(self.model.dtype),
            attention_mask=inputs.mask,
            decoder_input_ids=shifted.masked_fill(shifted == IGNORED, self.facts.pad_token_id),
            use_cache=False,
        ).logits

    def decode(self, inputs: Inputs, max_new_tokens: int, embed: Embed) -> Tensor:
        """See `Backbone.decode`. The encoder runs once; the decoder's own tokens are never shifted."""
        encoded = self.model.encoder(inputs_embeds=inputs.embeddings.to(self.model.dtype), attention_mask=inputs.mask)
        cache: Any = None

        def step(tokens: Tensor, number: int = 0) -> Tensor:
            nonlocal cache
            out = self.model(
                encoder_outputs=encoded,
                attention_mask=inputs.mask,
                decoder_input_ids=tokens[:, None],
                past_key_values=cache,
                use_cache=True,
            )
            cache = out.past_key_values
            return out.logits[:, -1]

        first = torch.full((len(inputs.mask),), self.model.config.decoder_start_token_id, device=self.device)
        return self.greedy(step(first), max_new_tokens, step)


class DecoderOnly(Backbone):
    """Llama and its like: one row holds prompt, source and answer; every token embedding is shifted."""

    def batch(self, sources: Sequence[Any], targets: Sequence[Any] | None) -> Batch:
        """See `Backbone.batch`."""
        rows = list(sources) if targets is None else [[*s, *t] for s, t in zip(sources, targets, strict=True)]
        lengths = torch.tensor([len(r) for r in rows], device=self.device)
        ids = self.padded(rows, self.facts.pad_token_id)
        real = (torch.arange(ids.shape[1], device=self.device) < lengths[:, None]).long()
        answer = ids.new_zeros(len(ids), 0) if targets is None else self.padded(targets, IGNORED)
        return Batch(ids, real, answer, torch.tensor([len(s) for s in sources], device=self.device))

    def hidden(self, embeddings: Tensor, mask: Tensor, positions: Tensor, cache: Any = None) -> Any:
        """The model's last hidden states and cache; positions count prompt and tokens, never padding."""
        return self.model.base_model(
            inputs_embeds=embeddings.to(self.model.dtype),
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )

    def answer_logits(self, inputs: Inputs) -> Tensor:
        """See `Backbone.answer_logits`. The vocabulary is scored only where an answer's token is predicted."""
        hidden = self.hidden(inputs.embeddings, inputs.mask, self.positions(inputs.mask)).last_hidden_state
        places = inputs.starts[:, None] - 1 + torch.arange(inputs.targets.shape[1], device=self.device)
        places = places.clamp(max=hidden.shape[1] - 1)[:, :, None].expand(-1, -1, hidden.shape[2])
        return self.model.get_output_embeddings()(hidden.gather(1, places))

    def decode(self, inputs: Inputs, max_new_tokens: int, embed: Embed) -> Tensor:
        """See `Backbone.decode`. Answer tokens stand behind the padding and are masked and numbered accordingly."""
        from transformers import DynamicCache

        cache, mask, head = DynamicCache(config=self.model.config), inputs.mask, self.model.get_output_embeddings()
        hidden = self.hidden(inputs.embeddings, mask, self.positions(mask), cache).last_hidden_state
        last = (inputs.starts - 1)[:, None, None].expand(-1, 1, hidden.shape[2])

        def step(tokens: Tensor, number: int) -> Tensor:
            nonlocal mask
            mask = nn.functional.pad(mask, (0, 1), value=1)
            places = inputs.starts + number
            out = self.hidden(embed(tokens, places), mask, places[:, None], cache)
            return head(out.last_hidden_state[:, -1])

        return self.greedy(head(hidden.gather(1, last)[:, 0]), max_new_tokens, step)

    @staticmethod
    def positions(mask: Tensor) -> Tensor:
        """Position numbers from 0, shape (rows, length)."""
        return (mask.cumsum(1) - 1).clamp(min=0)


def load_backbone(name: str, device: str | torch.device = "cpu") -> Backbone:
    """Load a backbone, frozen, in float32 (the precision of the published runs).

    Args:
        name: ``t5-nano`` (embedded), a folder, or a model id of the Hugging Face hub.
        device: where it goes.

    Raises:
        BackboneError: no such model, no weights, not a language model.
    """
    facts = describe(name)
    tokenizer = load_tokenizer(facts)
    if facts.architecture == "encoder-decoder":
        model: Any = AutoModelForSeq2SeqLM.from_pretrained(
            facts.location, dtype=torch.float32, attn_implementation=ATTENTION
        )
        return EncoderDecoder(model.to(device), tokenizer, loaded_facts(facts, model.config))
    model = AutoModelForCausalLM.from_pretrained(facts.location, dtype=torch.float32)
    return DecoderOnly(model.to(device), tokenizer, loaded_facts(facts, model.config))


def loaded_facts(facts: Facts, config: Any) -> Facts:
    """The facts with what only the loaded config knows: special tokens, and the hub's revision."""
    revision = getattr(config, "_commit_hash", None) or facts.revision
    return replace(from_config(config.to_dict(), facts.name, facts.location), revision=revision)
