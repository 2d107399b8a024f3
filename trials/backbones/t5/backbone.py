"""T5 and its like as a backbone: the fast lane, with a forward pass of our own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from trials.backbones.answers import AnswerTree
from trials.backbones.base import IGNORED, Backbone, Decode, Embed, Inputs
from trials.backbones.facts import Facts
from trials.backbones.low_rank import LowRank
from trials.backbones.precision import DTYPES, Precision
from trials.backbones.stops import Stops
from trials.backbones.t5 import weight_updates
from trials.backbones.t5.forward import T5, Encoded, Past
from trials.batching.dropout import Dropout
from trials.batching.passes import Grain
from trials.batching.transfers import sent
from trials.errors import BackboneError


class T5Backbone(Backbone):
    """T5 and its like: prompt and offsets on the encoder's side only, the decoder as it is.

    Attributes:
        t5: what computes. plain: the same, operation by operation.
        not_fused: why it does not where it was looked at (`trials.backbones.t5.choice`); None: not looked at.
    """

    embeds_answers = False
    not_fused: str | None = None

    def __init__(self, model: Any, tokenizer: Any, facts: Facts, precision: Precision) -> None:
        super().__init__(model, tokenizer, facts, precision)
        self.t5 = self.plain = T5(model, DTYPES[precision])
        start = getattr(model.config, "decoder_start_token_id", None)
        if start is None:
            raise BackboneError([f"--backbone {facts.name}: its config has no decoder_start_token_id (T5's is 0)"])
        self.start = int(start)

    def use_fused(self, fused: bool) -> None:
        """Compute in fused kernels from now on, or operation by operation."""
        from trials.backbones.t5.fused import FusedT5  # what a processor never computes, it does not import

        self.t5 = FusedT5(self.plain) if fused else self.plain

    @property
    def fused(self) -> bool:
        """Whether it computes in fused kernels."""
        return self.t5 is not self.plain

    @property
    def grain(self) -> Grain:
        """See `Backbone.grain`."""
        return self.t5.grain

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """See `Backbone.projections`."""
        return weight_updates.projections(self.t5)

    def updated_weights(self, additions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Backbone.updated_weights`."""
        return weight_updates.updated_weights(self.t5, additions)

    def with_weights(self, weights: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """See `Backbone.with_weights`."""
        return weight_updates.with_weights(self.t5, weights)

    def stacked_factors(self, factors: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """See `Backbone.stacked_factors`."""
        return weight_updates.stacked_factors(self.t5, factors)

    def with_low_rank(self, low_rank: LowRank) -> AbstractContextManager[None]:
        """See `Backbone.with_low_rank`."""
        return weight_updates.with_low_rank(self.t5, low_rank)

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
        visible = sent(torch.from_numpy(tree.visible), self.device)
        logits = self.t5.exact_logits(self.t5.decode(encoded, tokens, self.numbers(tree.depths), visible))
        return logits, lambda rows, most: self._decoded(encoded.rows(self.numbers(rows)), most)

    def greedy(self, inputs: Inputs, max_new_tokens: int, embed: Embed, stops: Stops | None = None) -> Tensor:
        """See `Backbone.greedy`."""
        return self._decoded(self.t5.encode(inputs.embeddings, inputs.lengths), max_new_tokens, stops)

    def _decoded(self, encoded: Encoded, max_new_tokens: int, stops: Stops | None = None) -> Tensor:
        past, rows = Past(), len(encoded.states)

        def step(tokens: Tensor, number: int) -> Tensor:
            depths = torch.arange(number + 2, device=self.device)
            visible = torch.ones(1, number + 2, dtype=torch.bool, device=self.device)
            return self.t5.exact_logits(self.t5.decode(encoded, tokens[:, None], depths, visible, past=past))[:, -1]

        first = torch.full((rows,), self.start, device=self.device)
        return self._greedy(step(first, -1), max_new_tokens, step, stops)
