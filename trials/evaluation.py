"""Answers and scores of many trials at once: every trial that is due on every row, in passes of similar lengths.

Where the answers are a small closed set (labels, few numbers), one decoder step over their tree gives most of them;
rows that leave the tree, and all rows of tasks that ask for a text, are answered greedily, token by token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trials.backbones.answers import MOST_NODES, AnswerTree
from trials.backbones.loading import Backbone, Inputs
from trials.backbones.stops import Stops
from trials.batching.passes import PassCost, passes
from trials.methods.base.module import MethodModule
from trials.stack.embedding_table import EmbeddingTable, Group, Part, grouped
from trials.stack.weight_updates import weight_updates_of
from trials.tasks.metrics import compute

TABLE_BYTES = 1 << 28
"""Embedded tokens of the trials that are evaluated together, at most."""


@dataclass
class Scored:
    """One evaluation of a method on a split.

    Attributes:
        loss: mean over the targets' tokens of the negative log-likelihood, in nats, teacher-forced; None where no tree
            of answers was computed, since it would cost a second pass over all rows.
    """

    metrics: dict[str, float]
    predictions: list[str]
    targets: list[str]
    loss: float | None = None


def answers(
    backbone: Backbone,
    methods: Sequence[MethodModule],
    sources: Sequence[Any],
    max_new_tokens: int,
    labels: Sequence[Sequence[int]] = (),
    cost: PassCost | None = None,
    stops: Sequence[str] = (),
) -> list[list[str]]:
    """Each method's greedy answers to tokenised sources, in their order.

    Args:
        labels: token ids of the answers that the task allows, if it has such: rows whose answer is one of them need one
            decoder step. The result is that of greedy decoding either way.
        cost: how to cut passes.
        stops: texts that end an answer and are no part of it; such answers keep the blanks at their beginning.
    """
    return _answered(backbone, methods, sources, max_new_tokens, labels, cost, stops=stops)[0]


def answers_and_likelihoods(
    backbone: Backbone,
    method: MethodModule,
    sources: Sequence[Any],
    max_new_tokens: int,
    labels: Sequence[Sequence[int]],
    cost: PassCost | None = None,
) -> tuple[list[str], np.ndarray]:
    """A method's greedy answers, and how likely each label is after each source.

    Returns:
        The answers, and logarithms of the labels' probabilities in nats, float64, shape (rows, labels): sums over a
        label's tokens, its end included.
    """
    cost = cost or PassCost(grain=backbone.grain)
    tree = _tree(labels, max_new_tokens)
    whole = bool(tree.labels)
    found = [] if whole else answers(backbone, [method], sources, max_new_tokens, labels, cost)[0]
    parts = []
    with weight_updates_of(backbone, method).applied() if method.inner else nullcontext():
        for part in [tree] if whole else AnswerTree.small(labels):
            nodes = part.tokens if backbone.embeds_answers else []
            rows = [np.asarray([*source, *nodes]) for source in sources]
            answering = _Answering(backbone, [method], rows, len(nodes), part, max_new_tokens, cost, ())
            answering.likelihoods = {}
            if whole:
                found = answering.run()[0]
            else:
                answering.look()
            parts.append(np.array([answering.likelihoods[0, row] for row in range(len(sources))]))
    return found, np.concatenate(parts, axis=1)


def _tree(labels: Sequence[Sequence[int]], max_new_tokens: int) -> AnswerTree:
    """The tree of the labels; one without any where it would be more work than decoding token by token."""
    tree = AnswerTree(labels if len(labels) <= MOST_NODES else [])  # to look at a thousand numbers takes its time
    return tree if tree.worthwhile and max(map(len, tree.labels)) <= max_new_tokens else AnswerTree([])


def _answered(
    backbone: Backbone,
    methods: Sequence[MethodModule],
    sources: Sequence[Any],
    max_new_tokens: int,
    labels: Sequence[Sequence[int]],
    cost: PassCost | None,
    targets: Sequence[Sequence[int]] = (),
    stops: Sequence[str] = (),
) -> tuple[list[list[str]], list[float | None]]:
    """Each method's answers and, where the tree holds all ``targets``, its mean loss of a target token."""
    cost = cost or PassCost(grain=backbone.grain)
    tree = _tree(labels, max_new_tokens)
    nodes = tree.tokens if backbone.embeds_answers else []
    rows = [np.asarray([*source, *nodes]) for source in sources]
    tokens = len(np.unique(np.concatenate(rows))) if rows else 0
    apart = any(method.inner for method in methods)
    together = 1 if apart else max(1, TABLE_BYTES // max(1, tokens * 4 * backbone.facts.width))
    found: list[list[str]] = []
    losses: list[float | None] = []
    for first in range(0, len(methods), together):
        these = methods[first : first + together]
        every = _rows_at_once(these, backbone.facts.width) or max(1, len(rows))
        texts: list[list[str]] = [[] for _ in these]
        parts: list[list[tuple[float, int] | None]] = [[] for _ in these]
        for start in range(0, max(1, len(rows)), every):
            some, wanted = rows[start : start + every], targets[start : start + every]
            answering = _Answering(backbone, these, some, len(nodes), tree, max_new_tokens, cost, wanted)
            answering.stops = Stops(tuple(stops), backbone.tokenizer) if stops else None
            with weight_updates_of(backbone, these[0]).applied() if these[0].inner else nullcontext():
                for given, more, part, loss in zip(texts, answering.run(), parts, answering.losses, strict=True):
                    given += more
                    part.append(loss)
        found += texts
        losses += [_mean(part) for part in parts]
    return found, losses


def _rows_at_once(methods: Sequence[MethodModule], width: int) -> int:
    """Rows whose prompts fit into the table, where each row has its own; 0: all."""
    own = sum(method.prompt_length for method in methods if method.method.prompts_by_row)
    return max(1, TABLE_BYTES // (own * 4 * width)) if own else 0


def _mean(parts: Sequence[tuple[float, int] | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(part[0] for part in known) / sum(part[1] for part in known) if len(known) == len(parts) else None


def score(
    backbone: Backbone,
    methods: Sequence[MethodModule],
    split: Any,
    metrics: Sequence[str],
    max_new_tokens: int,
    labels: Sequence[Sequence[int]] = (),
    cost: PassCost | None = None,
    classes: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    stops: Sequence[str] = (),
) -> list[Scored]:
    """Greedy answers of each method on a split, their metrics in percent, and the loss of its targets.

    Args:
        classes: the task's target texts, over which some metrics average (`trials.tasks.metrics`).
        groups: what each row belongs to, for metrics that look at groups.
        stops: see `answers`.
    """
    sources, targets, texts = split.batch(range(len(split)))
    given, losses = _answered(backbone, methods, sources, max_new_tokens, labels, cost, targets, stops)
    return [
        Scored(compute(metrics, predictions, texts, classes, groups), predictions, texts, loss)
        for predictions, loss in zip(given, losses, strict=True)
    ]


class _Answering:
    """All rows of some methods.

    Args:
        rows: source tokens, and behind them the tree's nodes where answers are embedded.
        nodes: how many those are.
        targets: token ids of the rows' right answers, for `losses`; may be empty.

    Attributes:
        stops: what ends an answer beside its end-of-sequence token.
        likelihoods: of each label of the tree by method and row, as they are computed; None: they are not asked for.
    """

    likelihoods: dict[tuple[int, int], list[float]] | None = None
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
        tokens: dict[tuple[int, int], Sequence[int]] = {}
        unread = pairs  # to be read, or read again, and answered token by token
        if self.tree.labels:
            unread = [pair for part in self._parts(pairs) for pair in self._follow(part, tokens)]
        for part in self._parts(unread):
            inputs = self._inputs(part, 0)
            found = self.backbone.greedy(inputs, self.max_new_tokens, partial(self._embed, part, inputs), self.stops)
            tokens |= zip(part, found.tolist(), strict=True)
        texts = self.backbone.text([tokens[pair] for pair in pairs], self.stops)
        return [texts[k * len(self.rows) : (k + 1) * len(self.rows)] for k in range(len(self.methods))]

    @torch.no_grad()
    def look(self) -> None:
        """Compute `likelihoods` alone, where the tree does not hold all labels."""
        for part in self._parts(self._pairs):
            self._note_likelihoods(part, self.backbone.tree_logits(self._inputs(part, self.nodes), self.tree)[0])

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        return [(k, i) for k in range(len(self.methods)) for i in range(len(self.rows))]

    def _parts(self, pairs: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        """The pairs of each pass."""
        lengths = [self.methods[k].prompt_length + len(self.rows[i]) for k, i in pairs]
        return ([pairs[place] for place in places] for places in passes(lengths, self.cost))

    def _follow(
        self, pairs: Sequence[tuple[int, int]], tokens: dict[tuple[int, int], Any]
    ) -> Sequence[tuple[int, int]]:
        """Answer the rows of a pass in the tree, and those that leave it where that needs no reading; the others."""
        logits, decode = self.backbone.tree_logits(self._inputs(pairs, self.nodes), self.tree)
        if self._summed:
            self._note_losses(pairs, logits)
        if self.likelihoods is not None:
            self._note_likelihoods(pairs, logits)
        labels = [self.tree.followed(choices) for choices in self.backbone.choices(logits).tolist()]
        tokens |= {pair: label for pair, label in zip(pairs, labels, strict=True) if label is not None}
        left = [row for row, label in enumerate(labels) if label is None]
        if left and decode is not None:
            tokens |= zip([pairs[row] for row in left], decode(left, self.max_new_tokens).tolist(), strict=True)
            return []
        return [pairs[row] for row in left]

    def _note_losses(self, pairs: Sequence[tuple[int, int]], logits: Tensor) -> None:
        owners = [k for k, i in pairs for _ in self._paths[i]]
        steps = [(row, *step) for row, (_, i) in enumerate(pairs) for step in self._paths[i]]
        rows, nodes, tokens = map(self.backbone.numbers, zip(*steps, strict=True))
        losses = torch.nn.functional.cross_entropy(logits[rows, nodes], tokens, reduction="none")
        for k, loss in zip(owners, losses.tolist(), strict=True):  # in this order on every device
            self._summed[k] += loss

    def _note_likelihoods(self, pairs: Sequence[tuple[int, int]], logits: Tensor) -> None:
        steps = [(n, *step) for n, label in enumerate(self.tree.labels) for step in self.tree.path(label) or ()]
        owners, nodes, tokens = map(self.backbone.numbers, zip(*steps, strict=True))
        taken = (logits[:, nodes, tokens] - logits.logsumexp(-1)[:, nodes]).double()
        found = taken.new_zeros(len(pairs), len(self.tree.labels)).index_add_(1, owners, taken)
        assert self.likelihoods is not None
        self.likelihoods |= zip(pairs, found.tolist(), strict=True)

    def _inputs(self, pairs: Sequence[tuple[int, int]], nodes: int) -> Inputs:
        """Rows of a pass, with so many of the tree's nodes behind each source."""
        cut = self.nodes - nodes
        places = [self.table.row(k, i) for k, i in pairs]
        index = self.table.index([p[: len(p) - cut] for p in places], self.cost.grain)
        lengths = [len(p) - cut for p in places]
        numbers = self.backbone.numbers
        return Inputs(self.table.values[index], numbers(lengths), numbers([n - nodes for n in lengths]))

    def _embed(self, pairs: Sequence[tuple[int, int]], inputs: Inputs, ids: Tensor, number: int) -> Tensor:
        """Answer tokens of a pass, each shifted by its row's method as the token after its source and `number` more."""
        embedded = torch.nn.functional.embedding(ids[:, None], self.backbone.embedding).float()
        shifted = torch.empty_like(embedded)
        owners = self.backbone.numbers([k for k, _ in pairs])
        for k in sorted({k for k, _ in pairs}):
            rows, method = owners == k, self.methods[k]
            places = inputs.starts[rows] + number - method.prompt_length
            shifted[rows] = method.offset(embedded[rows], places[:, None], ids[rows, None])
        return shifted
