"""What MLflow shows of a search's record: names, parameters, tags, points and times of its runs; nothing of a store.

The same record always gives the same: a point that is sent twice has the same time, and MLflow keeps one of the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.record.record import STARTED, SearchRecord, TrialRecord, is_finite
from orchestrator.record.status import TrialStatus
from orchestrator.tracking import notes

NOTE = "mlflow.note.content"
PARENT = "mlflow.parentRunId"
UID = "search_id"  # of the search's run and of its trials': a name may be used again
SWEEP = "sweep_id"  # of a sweep's run
KEY = "tracking_key"  # of a trial's run; unlike its trial's id it is always the same
RERUNS = "reruns"
ADAPTER = "adapter"  # the tag of the step whose adapter is among the artifacts, and their folder

RUN_STATUS: dict[TrialStatus, str] = {
    TrialStatus.FINISHED: "FINISHED",
    TrialStatus.STOPPED_EARLY: "FINISHED",
    TrialStatus.DIVERGED: "FAILED",
    TrialStatus.FAILED: "FAILED",
    TrialStatus.INTERRUPTED: "KILLED",
}
"""MLflow's own word for how a trial or a search ended."""

VALUES_A_CALL = 1000  # MLflow's own limit
NOT_TAKEN_UP = TrialStatus.INTERRUPTED, "not taken up again after the search was resumed"


@dataclass(frozen=True, kw_only=True)
class End:
    """How a search ended, beyond its trials.

    Attributes:
        status: ``finished``, ``interrupted`` or ``failed``.
        figures: of the whole search: best validation score, test score, examples behind it, steps trained, share of the
            grid's steps.
        artifacts: files for the top of the run's artifacts, e.g. ``summary.md``.
        winner: the winner's configuration; empty where there is none. Shown as tags ``winner.<name>``: a search that is
            resumed may find another winner, and MLflow's parameters never change.
        tags: more of them; ``finding.headline`` begins the run's description, too.
    """

    status: TrialStatus = TrialStatus.FINISHED
    figures: Mapping[str, float] = field(default_factory=dict)
    artifacts: Sequence[Path] = ()
    winner: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """The numbers of one report, by their names; ``time`` in milliseconds since 1970."""

    values: Mapping[str, float]
    step: int
    time: int


def milliseconds(seconds: float) -> int:
    """MLflow's clock."""
    return round(1000 * seconds)


def search_start(record: SearchRecord) -> float:
    """When a search began, in seconds since 1970; 0 where its record does not say."""
    try:
        return datetime.fromisoformat(str(record.provenance[STARTED])).timestamp()
    except (KeyError, ValueError):
        return 0.0


def trial_start(record: SearchRecord, trial: TrialRecord) -> float:
    """When a trial began; in older records the search's own start."""
    return search_start(record) if trial.started is None else trial.started


def times(record: SearchRecord, trial: TrialRecord) -> Iterator[float]:
    """When each report was made; in older records as if the trial had trained without a pause since its start."""
    clock = trial_start(record, trial)
    for report in trial.reports:
        if is_finite(report.get("time")):
            clock = float(report["time"])
        else:
            clock += sum(float(report[k]) for k in ("seconds/train", "seconds/evaluation") if is_finite(report.get(k)))
        yield clock


def trial_end(record: SearchRecord, trial: TrialRecord) -> float:
    """When a trial ended, or made its last report."""
    return max([trial_start(record, trial), *times(record, trial)]) if trial.ended is None else trial.ended


def search_end(record: SearchRecord) -> float:
    """When the last trial ended."""
    return max([search_start(record), *(trial_end(record, trial) for trial in record.trials)])


def points(record: SearchRecord, trial: TrialRecord, after: int) -> Iterator[list[Point]]:
    """The reports of later steps than ``after``, in batches that one call takes."""
    batch: list[Point] = []
    count = 0
    for report, time in zip(trial.reports, times(record, trial), strict=True):
        if int(report["step"]) <= after:
            continue
        values = notes.finite_numbers({name: value for name, value in report.items() if name != "time"})
        if batch and count + len(values) > VALUES_A_CALL:
            yield batch
            batch, count = [], 0
        batch.append(Point(values, int(report["step"]), milliseconds(time)))
        count += len(values)
    if batch:
        yield batch


def has_begun(trial: TrialRecord) -> bool:
    """Whether a trial has begun, in whichever process: then it has a run."""
    return bool(trial.started or trial.reports)


def by_key(record: SearchRecord) -> dict[str, TrialRecord]:
    """The trials that have a run or had one, by its name; where two have the same number, the second names its seed."""
    keyed: dict[str, TrialRecord] = {}
    for trial in record.trials:
        if not (has_begun(trial) or trial.reruns):
            continue
        name = f"trial {trial.number:02d}"
        keyed[f"{name} seed {trial.seed}" if name in keyed else name] = trial
    return keyed


def trial_params(record: SearchRecord, trial: TrialRecord) -> dict[str, str]:
    """A trial's hyperparameters and whatever else tells it from others."""
    recipe = {"recipe": record.recipe} if record.recipe else {}
    return notes.texts({**trial.configuration, "seed": trial.seed, **recipe})


def trial_identity(record: SearchRecord, trial: TrialRecord, key: str, parent: str) -> dict[str, str]:
    """The tags by which a trial's run is found again."""
    identity = {"search": record.name, "kind": "trial", UID: record.uid, KEY: key, "trial": str(trial.number)}
    return identity | {PARENT: parent} | ({RERUNS: str(trial.reruns)} if trial.reruns else {})


def running_tags(record: SearchRecord, trial: TrialRecord) -> dict[str, str]:
    """The tags of a trial that trains."""
    return {"status": TrialStatus.RUNNING.value, "reason": "", "trial_id": trial.trial_id, NOTE: _note(record, trial)}


def ended_tags(
    record: SearchRecord, trial: TrialRecord, status: TrialStatus, reason: str, adapter: str
) -> dict[str, str]:
    """The tags of a trial that ended, for good or until its search is resumed.

    Args:
        adapter: the step whose adapter is among the artifacts; empty where there is none.
    """
    best = None if trial.best_score is None else (trial.best_score, trial.best_step or 0)
    note = notes.trial_end_note(_note(record, trial), status, reason, best, bool(adapter))
    return {"status": status.value, "reason": reason, "trial_id": trial.trial_id, ADAPTER: adapter, NOTE: note}


def standing(trial: TrialRecord, search_over: bool) -> tuple[TrialStatus, str]:
    """A trial's status and its reason; where the search is over, none is left waiting or running."""
    if search_over and not trial.status.has_ended:
        return NOT_TAKEN_UP
    return trial.status, trial.reason or trial.error


def search_tags(record: SearchRecord, params: Mapping[str, Any], end: End | None) -> dict[str, str]:
    """The tags of a search that runs, or that ended."""
    if end is None:
        return {"status": TrialStatus.RUNNING.value, NOTE: notes.search_note(record.name, params)}
    headline = end.tags.get("finding.headline", "")
    note = notes.search_end_note(record.name, params, end.winner, end.status, headline)
    winner = {f"winner.{name}": value for name, value in end.winner.items()}
    return {**notes.texts({**winner, **end.tags}), "status": end.status.value, NOTE: note}


def _note(record: SearchRecord, trial: TrialRecord) -> str:
    recipe = {"recipe": record.recipe} if record.recipe else {}
    return notes.trial_note(trial.number, record.name, {**trial.configuration, "seed": trial.seed, **recipe})
