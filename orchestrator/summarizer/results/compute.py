"""The steps and the device time that a search took, and what it did not have to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.record.engines import REUSED
from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus


@dataclass(frozen=True)
class StepCount:
    """Updates of some trials against their full budget.

    Attributes:
        trained: updates that were trained.
        whole: updates of all these trials at the full budget.
        early: updates saved by early stopping.
        other: updates not trained because a trial waits, broke or was interrupted.
    """

    trained: int
    whole: int
    early: int
    other: int


def count_steps(trials: Sequence[TrialRecord], budget: int) -> StepCount:
    """Count the steps of trials with this budget, in updates."""
    left = [(max(budget - trial.step, 0), trial.status is TrialStatus.STOPPED_EARLY) for trial in trials]
    return StepCount(
        trained=sum(trial.step for trial in trials),
        whole=budget * len(trials),
        early=sum(steps for steps, stopped in left if stopped),
        other=sum(steps for steps, stopped in left if not stopped),
    )


def budget_of(record: SearchRecord) -> int:
    """The updates of a full trial; 0 where the record does not have them."""
    return int(record.settings.get("steps") or 0)


@dataclass(frozen=True)
class ComputeSpent:
    """What a search took, and what it did not have to take.

    Attributes:
        steps, grid: updates trained here, and of all these trials at the full budget.
        early: updates saved by early stopping.
        other: updates not trained because a trial waits, broke or was interrupted.
        reused: updates copied from an earlier search.
        device_seconds: training and evaluation; trials that share a device count their shares of its time.
        stacking: device seconds saved by sharing a device, against a search of the same report whose trials had one for
            themselves; None where there is no such search.
    """

    steps: int
    grid: int
    early: int
    other: int
    reused: int
    device_seconds: float
    stacking: float | None


def spent(record: SearchRecord, others: Sequence[SearchRecord] = ()) -> ComputeSpent:
    """Count a search's steps and device time; ``others`` are where a search without a stack is looked for."""
    count = count_steps(record.trials, budget_of(record))
    here = [trial for trial in record.trials if not _is_reused(trial)]
    steps = sum(trial.step for trial in here)
    like = [other for other in others if other is not record and _alone(other) and _alike(other, record)]
    alone = [pace for other in like if (pace := _pace(other))]  # one that has trained nothing knows of no pace
    stacking = (sum(alone) / len(alone) - _pace(record)) * steps if alone and _stacked(record) else None
    return ComputeSpent(
        steps=steps,
        grid=count.whole,
        early=count.early,
        other=count.other,
        reused=count.trained - steps,
        device_seconds=sum(trial.train_seconds + trial.evaluation_seconds for trial in here),
        stacking=stacking,
    )


def _is_reused(trial: TrialRecord) -> bool:
    return trial.trial_id.startswith(REUSED)


def _alone(record: SearchRecord) -> bool:
    return str(record.provenance.get("slots")) == "1"


def _stacked(record: SearchRecord) -> bool:
    return str(record.provenance.get("slots", "1")) != "1"


def _alike(one: SearchRecord, other: SearchRecord) -> bool:
    settings = ("batch_size", "max_source_length", "precision")
    same = all(one.settings.get(name) == other.settings.get(name) for name in settings)
    hardware = all(one.provenance.get(name) == other.provenance.get(name) for name in ("cpu", "gpu"))
    return same and hardware and (one.task, one.method, one.backbone) == (other.task, other.method, other.backbone)


def _pace(record: SearchRecord) -> float:
    """Device seconds a training step, without evaluation."""
    trials = [trial for trial in record.trials if not _is_reused(trial)]
    steps = sum(trial.step for trial in trials)
    return sum(trial.train_seconds for trial in trials) / steps if steps else 0.0
