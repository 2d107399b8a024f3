"""The frozen models that trials share: loading, and the two architectures behind one interface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, DynamicCache

from trials import t5_changes
from trials.answers import AnswerTree
from trials.backbone_base import IGNORED, Backbone, Decode, Embed, Inputs
from trials.backbone_facts import UNKNOWN_REVISION, Facts, describe, from_config, load_tokenizer, refuse_own_code
from trials.config import Architecture
from trials.dropout import Dropout, install
from trials.passes import Grain
from trials.precision import DTYPES, Precision
from trials.t5 import T5, Encoded, Past

__all__ = ["IGNORED", "Backbone", "DecoderOnly", "Embed", "EncoderDecoder", "Inputs", "load_backbone", "loaded_facts"]


class EncoderDecoder(Backbone):
    """T5 and its like: prompt and offsets on the encoder's side only, the decoder as it is."""

    embeds_answers = False

    def __init__(self, model: Any, tokenizer: Any, facts: Facts, precision: Precision) -> None:
        super().__init__(model, tokenizer, facts, precision)
        self.t5 = T5(model, DTYPES[precision])
        self.start = model.config.decoder_start_token_id

    @property
    def grain(self) -> Grain:
        """See `Backbone.grain`."""
        return self.t5.grain

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """See `Backbone.projections`."""
        return t5_changes.projections(self.t5)

    def changed(self, additions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Backbone.changed`."""
        return t5_changes.changed(self.t5, additions)

    def using(self, weights: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """See `Backbone.using`."""
        return t5_changes.using(self.t5, weights)

    def answer_logits(self, inputs: Inputs, targets: Tensor, dropout: Dropout | None = None) -> Tensor:
        """See `Backbone.answer_logits`."""
        shifted = nn.functional.pad(targets[:, :-1], (1, 0), value=self.start)
        n = targets.shape[1]
        encoded = self.t5.encode(inputs.embeddings, inputs.lengths, dropout)
        depths = torch.arange(n, device=self.device)
        tokens = shifted.masked_fill(shifted == IGNORED, self.facts.pad_token_id)
        return self.t5.logits(self.t5.decode(encoded, tokens, depths, depths <= depths[:, None], dropout))

    def tree_logits(self, inputs: Inputs, tree: AnswerTree) -> tuple[Tensor, Decode | None]:
        """See `Backbone.tree_logits`. The decoder's own tokens are never shifted."""
        encoded = self.t5.encode(inputs.embeddings, inputs.lengths)
        tokens = self.numbers([self.start, *tree.tokens]).expand(len(inputs.lengths), -1)
        visible = torch.from_numpy(tree.visible).to(self.device)
        logits = self.t5.logits(self.t5.decode(encoded, tokens, self.numbers(tree.depths), visible))
        return logits, lambda rows, most: self._decoded(encoded.rows(self.numbers(rows)), most)

    def greedy(self, inputs: Inputs, max_new_tokens: int, embed: Embed) -> Tensor:
        """See `Backbone.greedy`."""
        return self._decoded(self.t5.encode(inputs.embeddings, inputs.lengths), max_new_tokens)

    def _decoded(self, encoded: Encoded, max_new_tokens: int) -> Tensor:
        past, rows = Past(), len(encoded.states)

        def step(tokens: Tensor, number: int) -> Tensor:
            depths = torch.arange(number + 2, device=self.device)
            visible = torch.ones(1, number + 2, dtype=torch.bool, device=self.device)
            return self.t5.logits(self.t5.decode(encoded, tokens[:, None], depths, visible, past=past))[:, -1]

        first = torch.full((rows,), self.start, device=self.device)
        return self._greedy(step(first, -1), max_new_tokens, step)


class DecoderOnly(Backbone):
    """Llama and its like: one row holds prompt, source and answer; every token embedding is shifted."""

    embeds_answers = True

    def __init__(self, model: Any, tokenizer: Any, facts: Facts, precision: Precision) -> None:
        super().__init__(model, tokenizer, facts, precision)
        self.embedding = self.embedding.float()
        self.model = model.to(DTYPES[precision])
        self.masks = install(self.model)
        self.head = self.model.get_output_embeddings()
        self.replaced: dict[str, Tensor] = {}

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """See `Backbone.projections`."""
        found = {
            name: (module.out_features, module.in_features)
            for name, module in self.model.named_modules()
            if name.rpartition(".")[2] in self.facts.projections and isinstance(module, nn.Linear)
        }
        return found if sorted(found.values()) == sorted(self.facts.projection_shapes()) else {}

    def changed(self, additions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Backbone.changed`. The names are those of the base model's parameters."""
        prefix = f"{self.model.base_model_prefix}."
        weights = {name: self.model.get_submodule(name).weight for name in additions}
        return {f"{n.removeprefix(prefix)}.weight": weights[n].float() + added for n, added in additions.items()}

    @contextmanager
    def using(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """See `Backbone.using`."""
        self.replaced = {name: weight.to(self.model.dtype) for name, weight in weights.items()}
        try:
            yield
        finally:
            self.replaced = {}

    def hidden(self, embeddings: Tensor, mask: Tensor, positions: Tensor, cache: Any = None) -> Tensor:
        """The model's last hidden states; positions count prompt and tokens, never padding."""
        inputs = {
            "inputs_embeds": embeddings.to(self.model.dtype),
            "attention_mask": mask,
            "position_ids": positions,
            "past_key_values": cache,
            "use_cache": cache is not None,
        }
        model = self.model.base_model
        out = functional_call(model, self.replaced, (), inputs, tie_weights=False) if self.replaced else model(**inputs)
        return out.last_hidden_state

    def answer_logits(self, inputs: Inputs, targets: Tensor, dropout: Dropout | None = None) -> Tensor:
        """See `Backbone.answer_logits`. The vocabulary is scored only where an answer's token is predicted."""
        with self.masks.drawn_by(dropout):
            hidden = self.hidden(inputs.embeddings, inputs.mask, self.positions(inputs.mask))
        places = inputs.starts[:, None] - 1 + torch.arange(targets.shape[1], device=self.device)
        return self._scored(hidden, places.clamp(max=hidden.shape[1] - 1))

    def tree_logits(self, inputs: Inputs, tree: AnswerTree) -> tuple[Tensor, Decode | None]:
        """See `Backbone.tree_logits`. Each node sees its row's prompt and source, and the nodes above it."""
        length, nodes, starts = inputs.embeddings.shape[1], len(tree.tokens), inputs.starts
        ends = starts[:, None] - 1 + torch.arange(nodes + 1, device=self.device)
        if not nodes:
            return self._scored(self.hidden(inputs.embeddings, inputs.mask, self.positions(inputs.mask)), ends), None
        places = torch.arange(length, device=self.device)
        number = places - starts[:, None]  # below 0 in prompt and source, then the node, then padding
        inside, node = (number >= 0) & (number < nodes), number.clamp(0, nodes - 1)
        positions = torch.where(inside, starts[:, None] - 1 + self.numbers(tree.depths[1:])[node], places)
        in_source = (number < 0)[:, None, :] & (places <= places[:, None])
        above = torch.from_numpy(tree.visible[1:, 1:]).to(self.device)
        in_tree = above[node[:, :, None], node[:, None, :]] & inside[:, :, None] & inside[:, None, :]
        itself = torch.eye(length, dtype=torch.bool, device=self.device)  # padding has to see something
        allowed = (in_source | in_tree | itself)[:, None]
        mask = torch.zeros(allowed.shape, dtype=self.model.dtype, device=self.device)
        mask.masked_fill_(~allowed, torch.finfo(mask.dtype).min)
        return self._scored(self.hidden(inputs.embeddings, mask, positions), ends), None

    def greedy(self, inputs: Inputs, max_new_tokens: int, embed: Embed) -> Tensor:
        """See `Backbone.greedy`. Answer tokens stand behind the padding and are masked and numbered accordingly."""
        cache, mask = DynamicCache(config=self.model.config), inputs.mask
        hidden = self.hidden(inputs.embeddings, mask, self.positions(mask), cache)

        def step(tokens: Tensor, number: int) -> Tensor:
            nonlocal mask
            mask = nn.functional.pad(mask, (0, 1), value=1)
            out = self.hidden(embed(tokens, number), mask, (inputs.starts + number)[:, None], cache)
            return self.head(out[:, -1]).float()

        return self._greedy(self._scored(hidden, inputs.starts[:, None] - 1)[:, 0], max_new_tokens, step)

    def _scored(self, hidden: Tensor, places: Tensor) -> Tensor:
        """Logits at some places of each row, shape (rows, places, vocabulary)."""
        return self.head(hidden.gather(1, places[:, :, None].expand(-1, -1, hidden.shape[2]))).float()

    @staticmethod
    def positions(mask: Tensor) -> Tensor:
        """Position numbers from 0, shape (rows, length)."""
        return (mask.cumsum(1) - 1).clamp(min=0)


MODELS: dict[Architecture, tuple[Any, type[EncoderDecoder] | type[DecoderOnly]]] = {
    "encoder-decoder": (AutoModelForSeq2SeqLM, EncoderDecoder),
    "decoder-only": (AutoModelForCausalLM, DecoderOnly),
}


def load_backbone(name: str, device: str | torch.device = "cpu", precision: Precision = "float32") -> Backbone:
    """Load a backbone, frozen.

    Args:
        name: ``t5-nano`` (embedded), a folder, or a model id of the Hugging Face hub.
        device: where it goes.
        precision: of its arithmetic; float32 is that of the published runs.

    Raises:
        BackboneError: no such model, no weights, not a language model.
    """
    facts = describe(name)
    tokenizer = load_tokenizer(facts)
    kind, made = MODELS[facts.architecture]
    try:  # weights that are no safetensors (on the hub) are read with torch's weights_only, which runs no code either
        model: Any = kind.from_pretrained(facts.location, dtype=torch.float32, trust_remote_code=False)
    except ValueError as error:
        refuse_own_code(facts.location, error)
        raise
    return made(model.to(device), tokenizer, loaded_facts(facts, model.config), precision)


def loaded_facts(facts: Facts, config: Any) -> Facts:
    """The facts with what only the loaded config knows: special tokens, and the hub's revision."""
    unknown = facts.revision == UNKNOWN_REVISION
    revision = getattr(config, "_commit_hash", None) or facts.revision if unknown else facts.revision
    return replace(from_config(config.to_dict(), facts.name, facts.location), revision=revision)
