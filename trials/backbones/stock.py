"""The stock lane: a model of `transformers` computes everything by its own code, from the embeddings to the logits.

`StockBackbone` is what both architectures share, `Seq2Seq` the encoder-decoder one; the other is
`trials.backbones.decoder_only`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from trials.backbones.answers import AnswerTree
from trials.backbones.base import IGNORED, Backbone, Decode, Embed, Inputs, losses_of
from trials.backbones.facts import Facts
from trials.backbones.precision import DTYPES, Precision
from trials.backbones.stock_model import StockModel
from trials.backbones.stops import Stops
from trials.batching.dropout import Dropout
from trials.errors import BackboneError
from trials.methods.base.module import Surroundings


class StockBackbone(Backbone):
    """A backbone whose forward pass is the model's own.

    Attributes:
        stock: the model, called with embeddings.
    """

    def __init__(self, model: Any, tokenizer: Any, facts: Facts, precision: Precision) -> None:
        super().__init__(model, tokenizer, facts, precision)
        self.embedding = self.embedding.float()
        self.model = model.to(DTYPES[precision])
        self.stock = StockModel(self.model)

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """See `Backbone.projections`."""
        found = {
            name: (module.out_features, module.in_features)
            for name, module in self.model.named_modules()
            if name.rpartition(".")[2] in self.facts.projections and isinstance(module, nn.Linear)
        }
        return found if sorted(found.values()) == sorted(self.facts.projection_shapes()) else {}

    def updated_weights(self, additions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Backbone.updated_weights`."""
        weights = {name: self.model.get_submodule(name).weight for name in additions}
        return {f"{name}.weight": weights[name].float() + added for name, added in additions.items()}

    @contextmanager
    def with_weights(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """See `Backbone.with_weights`."""
        self.stock.replaced = {name: weight.to(self.model.dtype) for name, weight in weights.items()}
        try:
            yield
        finally:
            self.stock.replaced = {}

    @contextmanager
    def with_model(self, stock: StockModel, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Compute with another model, and with weights of its own, while the context lasts."""
        own, self.stock = self.stock, stock
        stock.replaced = weights
        try:
            yield
        finally:
            self.stock, stock.replaced = own, {}

    def surroundings(self, max_source_length: int) -> Surroundings:
        """See `Backbone.surroundings`."""
        return replace(super().surroundings(max_source_length), model=self.model)

    @abstractmethod
    def losses_in_training(self, inputs: Inputs, targets: Tensor) -> tuple[Tensor, int]:
        """`token_losses` as in training with every dropout held back, and in how many places of the model there is one.

        What differs from `token_losses` then is something else that the model does in training.
        """


class Seq2Seq(StockBackbone):
    """BART, Pegasus, Marian and their like: prompt and offsets on the encoder's side only, the decoder as it is.

    A source is encoded once for all its answers. The decoder reads each label of a tree, and each token of a greedy
    answer, from the start: answers are short, and nothing of a model's cache or positions has to be known.

    Attributes:
        start: the token that each answer is decoded from.
    """

    embeds_answers = False

    def __init__(self, model: Any, tokenizer: Any, facts: Facts, precision: Precision) -> None:
        super().__init__(model, tokenizer, facts, precision)
        self.embedding = self.embedding if embed_scale(model) == 1 else self.embedding * embed_scale(model)
        self.start = start_token(model)
        self.first_token = _configured(model, "forced_bos_token_id")

    def answer_logits(self, inputs: Inputs, targets: Tensor, dropout: Dropout | None = None) -> Tensor:
        """See `Backbone.answer_logits`."""
        decoded = {"decoder_input_ids": self._shifted(targets)}
        return self.stock.logits(inputs.embeddings, inputs.mask, dropout=dropout, **decoded)

    def losses_in_training(self, inputs: Inputs, targets: Tensor) -> tuple[Tensor, int]:
        """See `StockBackbone.losses_in_training`."""
        decoded = {"decoder_input_ids": self._shifted(targets)}
        logits, places = self.stock.logits_in_training(inputs.embeddings, inputs.mask, **decoded)
        return losses_of(logits, targets), places

    def _shifted(self, targets: Tensor) -> Tensor:
        shifted = nn.functional.pad(targets[:, :-1], (1, 0), value=self.start)
        return shifted.masked_fill(shifted == IGNORED, self.facts.pad_token_id)

    def tree_logits(self, inputs: Inputs, tree: AnswerTree) -> tuple[Tensor, Decode | None]:
        """See `Backbone.tree_logits`."""
        encoded, mask = self.stock.encoded(inputs.embeddings, inputs.mask), inputs.mask
        found: Tensor | None = None
        for path in tree.paths():
            answer = [tree.tokens[node - 1] for node in path]
            tokens = self.numbers([self.start, *answer]).expand(len(mask), -1)
            logits = self._decoded(encoded, mask, tokens)
            if found is None:
                found = logits.new_zeros(len(mask), 1 + len(tree.tokens), logits.shape[-1])
            found[:, self.numbers([0, *path])] = logits
        assert found is not None  # there is the root's, at least

        def decode(rows: Any, most: int) -> Tensor:
            these = self.numbers(rows)
            states = encoded.last_hidden_state[these]
            return self._answered(type(encoded)(**{**encoded, "last_hidden_state": states}), mask[these], most)

        return found, decode

    def greedy(self, inputs: Inputs, max_new_tokens: int, embed: Embed, stops: Stops | None = None) -> Tensor:
        """See `Backbone.greedy`."""
        encoded = self.stock.encoded(inputs.embeddings, inputs.mask)
        return self._answered(encoded, inputs.mask, max_new_tokens, stops)

    def _answered(self, encoded: Any, mask: Tensor, max_new_tokens: int, stops: Stops | None = None) -> Tensor:
        read = torch.full((len(mask), 1), self.start, device=self.device)

        def step(tokens: Tensor, number: int) -> Tensor:
            nonlocal read
            read = torch.cat([read, tokens[:, None]], dim=1)
            return self._decoded(encoded, mask, read)[:, -1]

        return self._greedy(self._decoded(encoded, mask, read)[:, -1], max_new_tokens, step, stops)

    def _decoded(self, encoded: Any, mask: Tensor, tokens: Tensor) -> Tensor:
        return self.stock.logits(None, mask, encoder_outputs=encoded, decoder_input_ids=tokens)


def start_token(model: Any) -> int:
    """The token that answers of an encoder-decoder model are decoded from, as ``generate`` chooses it.

    Raises:
        BackboneError: neither its config nor its generation config says.
    """
    for name in ("decoder_start_token_id", "bos_token_id"):
        if (token := _configured(model, name)) is not None:
            return token
    raise BackboneError(["its config has no decoder_start_token_id (T5's is 0, BART's 2): write it into config.json"])


def embed_scale(model: Any) -> float:
    """What an encoder multiplies embeddings with that it looks up itself, and not those that it is given.

    Marian and Pegasus do; BART's embedding module has its scale inside (`embedding_table`).
    """
    return float(getattr(model.get_encoder(), "embed_scale", None) or 1.0)


def _configured(model: Any, name: str) -> int | None:
    """A token of a model's generation config, or else of its config."""
    of_both = (getattr(config, name, None) for config in (getattr(model, "generation_config", None), model.config))
    found = next((value for value in of_both if value is not None), None)
    return int(found[0] if isinstance(found, list) else found) if found is not None else None
