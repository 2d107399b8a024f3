"""The stacked trainer: any number of trials, one batch, one frozen backbone.

Each trial brings its own rows with its own prompt and offsets in front of the backbone; the backbone sees one large
batch. The loss is the sum of the trials' losses, so no gradient of one trial touches another's parameters, and a
trial gets the numbers that it would get alone (to float32 rounding), whatever its neighbours do. One trial is a stack
of one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trials.backbones import Backbone, Inputs
from trials.dropout import TrialRows
from trials.methods import Method
from trials.tasks.metrics import compute
from trials.trial import Split, Trial

EVALUATION_ROWS = 128
"""Rows in one evaluation batch; rows of similar length go together."""


@dataclass
class Scored:
    """One evaluation of a trial on a split."""

    metrics: dict[str, float]
    predictions: list[str]
    targets: list[str]


class Stack:
    """Trains trials of one task on one backbone together.

    Args:
        backbone: frozen; shared by all.
        train: the training rows; each trial goes through them in its own order.
    """

    def __init__(self, backbone: Backbone, train: Split) -> None:
        self.backbone = backbone
        self.train = train

    def step(self, trials: Sequence[Trial]) -> None:
        """One update of each trial, in one forward and backward pass.

        A trial's loss is the mean over its batch's target tokens, as in the published runs. A trial that has diverged
        keeps its non-finite numbers to itself.
        """
        started = time.perf_counter()
        parts: list[Inputs] = []
        layout: list[TrialRows] = []
        first = 0
        for trial in trials:
            sources, targets, _ = self.train.batch(trial.next_rows(len(self.train)))
            dropout = trial.dropout(self.backbone.device)
            part = self.backbone.inputs(trial.method, self.backbone.batch(sources, targets), dropout)
            lengths = {"source": part.mask.shape[1], "target": part.targets.shape[1]}
            layout.append(TrialRows(slice(first, first + len(part.mask)), lengths, dropout))  # type: ignore[arg-type]
            parts.append(part)
            first += len(part.mask)
        token_losses = self.backbone.token_losses(Inputs.stacked(parts), layout)
        losses = [self._mean(token_losses[rows.rows], part) for rows, part in zip(layout, parts, strict=True)]
        torch.stack(losses).sum().backward()
        for trial, loss in zip(trials, losses, strict=True):
            trial.update(loss)
        share = (time.perf_counter() - started) / len(trials)
        for trial in trials:
            trial.train_seconds += share

    @staticmethod
    def _mean(token_losses: Tensor, part: Inputs) -> Tensor:
        return token_losses.sum() / (part.targets >= 0).sum()


@torch.no_grad()
def answers(backbone: Backbone, method: Method, sources: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
    """The method's greedy answers to tokenised sources, in their order."""
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    texts = [""] * len(sources)
    m = method.prompt_length

    def embed(tokens: Tensor, places: Tensor) -> Tensor:
        rows = torch.nn.functional.embedding(tokens[:, None], backbone.embedding).float()
        return method.offset(rows, places[:, None] - m)

    for first in range(0, len(order), EVALUATION_ROWS):
        rows = order[first : first + EVALUATION_ROWS]
        inputs = backbone.inputs(method, backbone.batch([sources[i] for i in rows], None))
        for i, text in zip(rows, backbone.text(backbone.decode(inputs, max_new_tokens, embed)), strict=True):
            texts[i] = text
    return texts


def score(backbone: Backbone, method: Method, split: Split, metrics: Sequence[str], max_new_tokens: int) -> Scored:
    """Greedy answers of a method on a split, and their metrics in percent."""
    sources, _, targets = split.batch(range(len(split)))
    predictions = answers(backbone, method, sources, max_new_tokens)
    return Scored(compute(metrics, predictions, targets), predictions, targets)
