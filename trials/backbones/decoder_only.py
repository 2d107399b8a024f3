"""Decoder-only backbones: prompt, source and answer in one row of a model of `transformers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trials.backbones.answers import AnswerTree
from trials.backbones.base import Decode, Embed, Inputs, losses_of
from trials.backbones.facts import Facts
from trials.backbones.precision import Precision
from trials.backbones.stock import StockBackbone
from trials.backbones.stops import Stops
from trials.backbones.texts import text_steps, text_tree
from trials.batching.dropout import Dropout
from trials.batching.transfers import sent


class DecoderOnly(StockBackbone):
    """Llama and its like: one row holds prompt, source and answer; every token embedding is shifted.

    Attributes:
        trees: whether positions, masks of who sees whom, and kept keys and values mean to the model what they mean to
            attention with numbered positions, so that a source is read once for all answers. Where they do not (a state
            that moves along the row, a bias by distance), rows are read again for each answer, as ordinary texts.
        window: how far back the layer looks that looks least far; None: all look to the beginning. Longer rows are read
            as ordinary texts.
    """

    embeds_answers = True

    def __init__(self, model: Any, tokenizer: Any, facts: Facts, precision: Precision) -> None:
        super().__init__(model, tokenizer, facts, precision)
        self.trees = self.stock.numbered
        self.window = narrowest_window(self.model.config.get_text_config().to_dict())

    def answer_logits(self, inputs: Inputs, targets: Tensor, dropout: Dropout | None = None) -> Tensor:
        """See `Backbone.answer_logits`. The vocabulary is scored only where an answer's token is predicted."""
        return self.stock.logits(inputs.embeddings, inputs.mask, self._predicting(inputs, targets), dropout=dropout)

    def losses_in_training(self, inputs: Inputs, targets: Tensor) -> tuple[Tensor, int]:
        """See `StockBackbone.losses_in_training`."""
        logits, places = self.stock.logits_in_training(
            inputs.embeddings, inputs.mask, self._predicting(inputs, targets)
        )
        return losses_of(logits, targets), places

    def _predicting(self, inputs: Inputs, targets: Tensor) -> Tensor:
        """The place before each answer token, shape of the targets."""
        places = inputs.starts[:, None] - 1 + torch.arange(targets.shape[1], device=self.device)
        return places.clamp(max=inputs.embeddings.shape[1] - 1)

    def tree_logits(self, inputs: Inputs, tree: AnswerTree) -> tuple[Tensor, Decode | None]:
        """See `Backbone.tree_logits`. Each node sees its row's prompt and source, and the nodes above it."""
        length, nodes, starts = inputs.embeddings.shape[1], len(tree.tokens), inputs.starts
        if not self._once(length) or not nodes:
            return text_tree(self.stock, inputs, tree), None
        places = torch.arange(length, device=self.device)
        number = places - starts[:, None]  # below 0 in prompt and source, then the node, then padding
        inside, node = (number >= 0) & (number < nodes), number.clamp(0, nodes - 1)
        positions = torch.where(inside, starts[:, None] - 1 + self.numbers(tree.depths[1:])[node], places)
        in_source = (number < 0)[:, None, :] & (places <= places[:, None])
        above = sent(torch.from_numpy(tree.visible[1:, 1:]), self.device)
        in_tree = above[node[:, :, None], node[:, None, :]] & inside[:, :, None] & inside[:, None, :]
        itself = torch.eye(length, dtype=torch.bool, device=self.device)  # padding has to see something
        allowed = (in_source | in_tree | itself)[:, None]
        mask = torch.zeros(allowed.shape, dtype=self.model.dtype, device=self.device)
        mask.masked_fill_(~allowed, torch.finfo(mask.dtype).min)
        ends = starts[:, None] - 1 + torch.arange(nodes + 1, device=self.device)
        return self.stock.logits(inputs.embeddings, mask, ends, position_ids=positions), None

    def greedy(self, inputs: Inputs, max_new_tokens: int, embed: Embed, stops: Stops | None = None) -> Tensor:
        """See `Backbone.greedy`. Answer tokens stand behind the padding and are masked and numbered accordingly."""
        if not self._once(inputs.embeddings.shape[1] + max_new_tokens):
            return self._greedy(*text_steps(self.stock, inputs, max_new_tokens, embed), stops)
        from transformers import DynamicCache

        cache, mask = DynamicCache(config=self.model.config), inputs.mask
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        ends = inputs.starts[:, None] - 1
        first = self.stock.logits(inputs.embeddings, mask, ends, position_ids=positions, cache=cache)[:, 0]
        alone = torch.zeros_like(ends)

        def step(tokens: Tensor, number: int) -> Tensor:
            nonlocal mask
            mask = nn.functional.pad(mask, (0, 1), value=1)
            at = (inputs.starts + number)[:, None]
            return self.stock.logits(embed(tokens, number), mask, alone, position_ids=at, cache=cache)[:, 0]

        return self._greedy(first, max_new_tokens, step, stops)

    def _once(self, length: int) -> bool:
        """Whether rows of so many tokens are read once for all their answers."""
        return self.trees and (self.window is None or self.stock.before + length <= self.window)


def narrowest_window(config: Mapping[str, Any]) -> int | None:
    """The least number of tokens of any ``...window...`` or ``...chunk...`` of a config, those inside it included."""
    found = []
    for name, value in config.items():
        inner = narrowest_window(value) if isinstance(value, Mapping) else None
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            inner = value if "window" in str(name) or "chunk" in str(name) else None
        found += [inner] if inner else []
    return min(found, default=None)
