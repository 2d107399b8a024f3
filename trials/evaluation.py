"""Answers and scores of many trials at once: every trial that is due on every row, in passes of similar lengths.

Where the answers are a small closed set (labels, few numbers), one decoder step over their tree gives most of them;
rows that leave the tree, and all rows of tasks that ask for a text, are answered greedily, token by token.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from trials.answering import Answering
from trials.backbones.answers import MOST_NODES, AnswerTree
from trials.backbones.loading import Backbone
from trials.backbones.stops import Stops
from trials.batching.passes import PassCost
from trials.methods.base.module import MethodModule
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
            answering = Answering(backbone, [method], rows, len(nodes), part, max_new_tokens, cost, ())
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
            answering = Answering(backbone, these, some, len(nodes), tree, max_new_tokens, cost, wanted)
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
