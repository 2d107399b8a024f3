"""The trials of a search, ranked: what every table, file and page of trials is made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from orchestrator.record.record import SearchRecord, TrialRecord, is_finite
from orchestrator.record.selection import Choice

FIELDS = {
    "rank": "rank",
    "trial": "trial.number",
    "trial_id": "trial.trial_id",
    "winner": "is_winner",
    "not_distinguishable": "is_near",
    "seed": "trial.seed",
    "status": "trial.status",
    "reason": "trial.reason",
    "error": "trial.error",
    "parameters": "parameters",
    "best_score": "trial.best_score",
    "best_step": "trial.best_step",
    "last_score": "trial.last_score",
    "last_step": "trial.step",
    "train_seconds": "trial.train_seconds",
    "evaluation_seconds": "trial.evaluation_seconds",
}
"""Columns of the files of data, with the attribute of a `RankedTrial` that each holds."""


@dataclass(frozen=True)
class RankedTrial:
    """A trial with its place among the others.

    Attributes:
        rank: from 1, the best.
        is_winner: the trial that was chosen.
        wins: the winner, or the winner's configuration on another seed.
        is_near: not distinguishable from the winner.
        mean: of the best scores of its configuration over seeds; None where it was trained on one.
        parameters: trainable ones; None where not known.
    """

    trial: TrialRecord
    rank: int
    is_winner: bool
    wins: bool
    is_near: bool
    mean: float | None
    parameters: int | None

    @property
    def label(self) -> str:
        """The rank with ``*`` for the winner and ``=`` for what is not distinguishable from it."""
        return f"{self.rank}{' *' if self.wins else ' =' if self.is_near else ''}"

    @property
    def fields(self) -> dict[str, Any]:
        """Everything but the configuration, with numbers as they are, by the names of `FIELDS`."""
        return {name: attrgetter(path)(self) for name, path in FIELDS.items()}


def ranked_trials(record: SearchRecord, choice: Choice) -> list[RankedTrial]:
    """All trials, the best first."""
    near = {trial.trial_id for trial in choice.not_distinguishable}
    return [
        RankedTrial(
            trial,
            rank,
            is_winner=trial is choice.winner,
            wins=choice.wins(trial),
            is_near=trial.trial_id in near,
            mean=choice.mean(trial),
            parameters=record.parameters.get(trial.number),
        )
        for rank, trial in enumerate(choice.ranking, 1)
    ]


def split_configuration(trials: Sequence[TrialRecord]) -> tuple[list[str], dict[str, Any]]:
    """The configuration's names that differ between trials, and those that do not with their values."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.configuration))
    values = {name: {json.dumps(t.configuration.get(name), default=str) for t in trials} for name in names}
    varying = [name for name in names if len(values[name]) > 1]
    if not varying:  # a search of one trial: its configuration is the row
        return names, {}
    return varying, {name: trials[0].configuration.get(name) for name in names if name not in varying}


def best_up_to(trial: TrialRecord, step: int) -> float | None:
    """What a rung at this step compares: the best score so far, in points; None where the trial ended before it."""
    if trial.step < step:
        return None
    seen = [report.get("score") for report in trial.reports if report["step"] <= step]
    # After a crash a later report's own best may stand for a report that was lost.
    seen += [report.get("best_score") for report in trial.reports if (report.get("best_step") or step + 1) <= step]
    return max((float(score) for score in seen if score is not None and is_finite(score)), default=None)
