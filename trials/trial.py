"""A trial in training: its method, optimizer moments, place in the data and best checkpoint so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from trials.batching.dropout import row_keys
from trials.batching.randomness import batch_rows
from trials.config import Report, TrialConfig
from trials.methods.base.module import MethodModule
from trials.stack.optimizer import Moments


class Split(Protocol):
    """Tokenised rows of one split (see `trials.data.Split`)."""

    def __len__(self) -> int: ...

    def batch(self, rows: Any) -> tuple[list[Any], list[Any], list[str]]:
        """Source ids, target ids and target texts of some rows."""


def rate_factor(update: int, warmup: int, total: int) -> float:
    """The share of the peak learning rate at an update (from 0): linear warm-up, then linear decay to 0 at ``total``.

    As ``get_linear_schedule_with_warmup`` in the released code: the first update is at rate 0.
    """
    if update < warmup:
        return update / max(1, warmup)
    return max(0.0, (total - update) / max(1, total - warmup))


@dataclass
class Best:
    """The first checkpoint with the best selection score so far.

    Attributes:
        score: of the validation split, in percent; minus infinity before the first report.
        step: the update it was taken after.
        state: the method's parameters then.
    """

    score: float = -math.inf
    step: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)


class Trial:
    """One configuration with one seed. Many of them are trained together by a `trials.stack.step.Stack`.

    What is drawn at random depends on (seed, step) alone, so a restart needs no generator's state, and the position
    in the data is the step.

    Args:
        rows: those of train that it is trained on; None: all.
    """

    def __init__(self, config: TrialConfig, method: MethodModule, rows: Sequence[int] | None = None) -> None:
        self.config = config
        self.method = method
        self.rows = rows
        groups = method.parameter_groups()
        self.peaks = {group: rate for group, rate in method.peak_rates().items() if groups[group]}
        self.moments: dict[str, Moments] = {
            name: (torch.zeros_like(p.data), torch.zeros_like(p.data)) for name, p in method.named_parameters()
        }
        self.step = 0
        self.best = Best()
        self.last_score = math.nan
        self.loss_sum = torch.zeros((), device=method.prompt.device)
        self.loss_count = 0
        self.train_seconds = 0.0

    def learning_rates(self) -> dict[str, float]:
        """The rate of the next update, by group."""
        factor = rate_factor(self.step, self.config.warmup_steps, self.config.steps)
        return {group: peak * factor for group, peak in self.peaks.items()}

    def next_rows(self, size: int) -> list[int]:
        """Row numbers of the next batch out of ``size`` training rows."""
        size = size if self.rows is None else len(self.rows)
        places = batch_rows(self.config.seed, self.step, size, self.config.batch_size)
        return places if self.rows is None else [self.rows[place] for place in places]

    def row_keys(self, rows: int) -> np.ndarray:
        """What the next update's dropout masks are made from: one word for each row of its batch."""
        return row_keys(self.config.seed, self.step, rows)

    def advance(self, loss: Tensor, seconds: float) -> None:
        """Note an update that has been made.

        Args:
            loss: of this update, a scalar.
            seconds: its share of the stack's time.
        """
        self.loss_sum += loss
        self.loss_count += 1
        self.step += 1
        self.train_seconds += seconds

    @property
    def due(self) -> bool:
        """Whether the next thing to do is a report."""
        return self.step >= self.config.steps or (self.step % self.config.eval_every == 0 and self.loss_count > 0)

    @property
    def diverged(self) -> bool:
        """Whether a loss since the last report, or a parameter, is not finite. Waits for the device."""
        finite = torch.isfinite(self.loss_sum) & torch.stack(
            [torch.isfinite(p).all() for p in self.method.parameters()]
        ).all().to(self.loss_sum.device)
        return not bool(finite)

    def report(
        self,
        metrics: dict[str, float] | None,
        selection: str,
        loss: float | None = None,
        evaluation_seconds: float = 0.0,
    ) -> Report:
        """Close the stretch since the last report.

        Args:
            metrics: validation metrics in percent; None where the trial diverged and was not evaluated.
            selection: the metric that chooses the best checkpoint (first strictly best).
            loss: on validation, in nats a target token, if it is known.
        """
        if metrics is not None:
            self.last_score = metrics[selection]
            if self.last_score > self.best.score:
                state = {k: v.detach().clone() for k, v in self.method.state_dict().items()}
                self.best = Best(self.last_score, self.step, state)
        status = "diverged" if metrics is None else "finished" if self.step >= self.config.steps else "running"
        report = Report(
            step=self.step,
            score=self.last_score,
            best_score=self.best.score if self.best.state else math.nan,
            best_step=self.best.step,
            train_loss=float(self.loss_sum) / max(1, self.loss_count),
            validation_loss=loss,
            validation=metrics or {},
            learning_rates=self.learning_rates(),
            train_seconds=self.train_seconds,
            evaluation_seconds=evaluation_seconds,
            status=status,  # type: ignore[arg-type]
        )
        self.loss_sum = torch.zeros_like(self.loss_sum)
        self.loss_count = 0
        self.train_seconds = 0.0
        return report
