"""Rows answered by many trials in shared passes: along the tree of the allowed answers, else greedily."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trials.backbones.answers import AnswerTree
from trials.backbones.base import Decode
from trials.backbones.loading import Backbone, Inputs
from trials.backbones.stops import Stops
from trials.batching.passes import PassCost, passes
from trials.batching.transfers import Reading, one_behind
from trials.methods.base.module import MethodModule
from trials.stack.embedding_table import EmbeddingTable, Group, Part, grouped

Pair = tuple[int, int]
"""A method's number and a row's."""


@dataclass
class Looked:
    """A pass over the tree that is queued on the device.

    Attributes:
        choices: `Backbone.choices`. losses, likelihoods: see `Answering`; None: not asked for.
        decode: as of `Backbone.tree_logits`.
    """

    pairs: Sequence[Pair]
    choices: Reading
    losses: Reading | None
    likelihoods: Reading | None
    decode: Decode | None


class Answering:
    """All rows of some methods.

    Args:
        rows: source tokens, and behind them the tree's nodes where answers are embedded.
        nodes: how many those are.
        targets: token ids of the rows' right answers, for `losses`; may be empty.

    Attributes:
        stops: what ends an answer beside its end-of-sequence token.
        likelihoods: of each label of the tree by method and row, as they are computed; None: they are not asked for.
    """

    likelihoods: dict[Pair, list[float]] | None = None
    stops: Stops | None = None

    def __init__(
        self,
        backbone: Backbone,
        methods: Sequence[MethodModule],
        rows: Sequence[np.ndarray],
        nodes: int,
        tree: AnswerTree,
        max_new_tokens: int,
        cost: PassCost,
        targets: Sequence[Sequence[int]],
    ) -> None:
        self.backbone, self.methods, self.rows, self.nodes = backbone, methods, rows, nodes
        self.tree, self.max_new_tokens, self.cost = tree, max_new_tokens, cost
        paths = [tree.path(target) for target in targets]
        self._paths = [path for path in paths if path is not None]
        self._summed = [0.0] * len(methods) if paths and len(self._paths) == len(paths) else []
        groups = [Group(members, [methods[k] for k in members]) for members in grouped(methods)]
        depths = np.array(tree.depths[1 : nodes + 1], dtype=np.int64) - 1
        positions = [np.concatenate([np.arange(len(row) - nodes), len(row) - nodes + depths]) for row in rows]
        part = Part(rows, positions=positions, lengths=[len(row) - nodes for row in rows])
        self.table = EmbeddingTable(groups, [part] * len(methods), backbone.embedding)

    @property
    def losses(self) -> list[tuple[float, int] | None]:
        """Of each method, in nats, and of how many target tokens; None where the tree does not hold all targets."""
        if not self._summed:
            return [None] * len(self.methods)
        tokens = sum(map(len, self._paths))
        return [(summed, tokens) for summed in self._summed]

    @torch.no_grad()
    def run(self) -> list[list[str]]:
        """Answers by method and row."""
        pairs = self._pairs
        tokens: dict[Pair, Sequence[int]] = {}
        unread = pairs  # to be read, or read again, and answered token by token
        if self.tree.labels:
            looked = one_behind(self._looked(part) for part in self._parts(pairs))
            unread = [pair for one in looked for pair in self._follow(one, tokens)]
        for part, found in one_behind(self._decoded(part) for part in self._parts(unread)):
            tokens |= zip(part, found.look(), strict=True)
        texts = self.backbone.text([tokens[pair] for pair in pairs], self.stops)
        return [texts[k * len(self.rows) : (k + 1) * len(self.rows)] for k in range(len(self.methods))]

    @torch.no_grad()
    def look(self) -> None:
        """Compute `likelihoods` alone, where the tree does not hold all labels."""
        for looked in one_behind(self._looked(part) for part in self._parts(self._pairs)):
            self._note(looked)

    @property
    def _pairs(self) -> list[Pair]:
        return [(k, i) for k in range(len(self.methods)) for i in range(len(self.rows))]

    def _parts(self, pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
        """The pairs of each pass."""
        lengths = [self.methods[k].prompt_length + len(self.rows[i]) for k, i in pairs]
        return ([pairs[place] for place in places] for places in passes(lengths, self.cost))

    def _decoded(self, pairs: list[Pair]) -> tuple[list[Pair], Reading]:
        """Queue the greedy answers of a pass."""
        inputs = self._inputs(pairs, 0)
        found = self.backbone.greedy(inputs, self.max_new_tokens, partial(self._embed, pairs, inputs), self.stops)
        return pairs, Reading(found)

    def _looked(self, pairs: Sequence[Pair]) -> Looked:
        """Queue a pass over the tree, and all that is wanted of it."""
        logits, decode = self.backbone.tree_logits(self._inputs(pairs, self.nodes), self.tree)
        return Looked(
            pairs,
            Reading(self.backbone.choices(logits)),
            Reading(self._losses_of(pairs, logits)) if self._summed else None,
            Reading(self._likelihoods_of(logits)) if self.likelihoods is not None else None,
            decode,
        )

    def _note(self, looked: Looked) -> None:
        """Add what a pass has found to `losses` and `likelihoods`."""
        if looked.losses is not None:
            owners = [k for k, i in looked.pairs for _ in self._paths[i]]
            for k, loss in zip(owners, looked.losses.look(), strict=True):  # in this order on every device
                self._summed[k] += loss
        if looked.likelihoods is not None and self.likelihoods is not None:
            self.likelihoods |= zip(looked.pairs, looked.likelihoods.look(), strict=True)

    def _follow(self, looked: Looked, tokens: dict[Pair, Any]) -> Sequence[Pair]:
        """Answer the rows of a pass in the tree, and those that leave it where that needs no reading; the others."""
        self._note(looked)
        pairs, decode = looked.pairs, looked.decode
        labels = [self.tree.followed(choices) for choices in looked.choices.look()]
        tokens |= {pair: label for pair, label in zip(pairs, labels, strict=True) if label is not None}
        left = [row for row, label in enumerate(labels) if label is None]
        if left and decode is not None:
            found = Reading(decode(left, self.max_new_tokens)).look()
            tokens |= zip([pairs[row] for row in left], found, strict=True)
            return []
        return [pairs[row] for row in left]

    def _losses_of(self, pairs: Sequence[Pair], logits: Tensor) -> Tensor:
        """Of each token of the rows' right answers, row by row."""
        steps = [(row, *step) for row, (_, i) in enumerate(pairs) for step in self._paths[i]]
        rows, nodes, tokens = map(self.backbone.numbers, zip(*steps, strict=True))
        return torch.nn.functional.cross_entropy(logits[rows, nodes], tokens, reduction="none")

    def _likelihoods_of(self, logits: Tensor) -> Tensor:
        """Of each row's labels, shape (rows, labels)."""
        steps = [(n, *step) for n, label in enumerate(self.tree.labels) for step in self.tree.path(label) or ()]
        owners, nodes, tokens = map(self.backbone.numbers, zip(*steps, strict=True))
        taken = (logits[:, nodes, tokens] - logits.logsumexp(-1)[:, nodes]).double()
        return taken.new_zeros(len(logits), len(self.tree.labels)).index_add_(1, owners, taken)

    def _inputs(self, pairs: Sequence[Pair], nodes: int) -> Inputs:
        """Rows of a pass, with so many of the tree's nodes behind each source."""
        cut = self.nodes - nodes
        places = [self.table.row(k, i) for k, i in pairs]
        index = self.table.index([p[: len(p) - cut] for p in places], self.cost.grain)
        lengths = [len(p) - cut for p in places]
        numbers = self.backbone.numbers
        return Inputs(self.table.values[index], numbers(lengths), numbers([n - nodes for n in lengths]))

    def _embed(self, pairs: Sequence[Pair], inputs: Inputs, ids: Tensor, number: int) -> Tensor:
        """Answer tokens of a pass, each shifted by its row's method as the token after its source and `number` more."""
        embedded = torch.nn.functional.embedding(ids[:, None], self.backbone.embedding).float()
        shifted = torch.empty_like(embedded)
        for k in sorted({k for k, _ in pairs}):
            rows = self.backbone.numbers([row for row, (owner, _) in enumerate(pairs) if owner == k])
            method = self.methods[k]
            places = inputs.starts[rows] + number - method.prompt_length
            shifted[rows] = method.offset(embedded[rows], places[:, None], ids[rows, None])
        return shifted
