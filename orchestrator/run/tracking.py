"""A search's runs in MLflow: taken up when it starts, completed when it ends, or later where MLflow was away then."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich.console import Console

from orchestrator.command_lines import resume_command
from orchestrator.plan.search_folder import checkpoints_of
from orchestrator.record.record import RECORD, SearchRecord, write_atomically
from orchestrator.record.selection import choose_winner
from orchestrator.record.status import TrialStatus
from orchestrator.store.checkpoints import SCRATCH, adapter_here
from orchestrator.store.layout import TUNE
from orchestrator.summarizer.results.winner_check import check_winner
from orchestrator.tracking import earlier
from orchestrator.tracking.store import StoreAwayError
from orchestrator.tracking.tracker import End, Tracker, TrackingError

if TYPE_CHECKING:
    from orchestrator.plan.plan import Plan
    from orchestrator.tracking.sweep_run import SweepRun

WRITTEN = "tracking.json"  # in a search's folder: which record MLflow has whole


def experiment_of(plan: Plan, record: SearchRecord | None, sweep_run: SweepRun | None) -> str:
    """Name of the experiment in MLflow that a search's runs are in: a sweep's, or that of its task."""
    if record is not None:
        return record.experiment or plan.task.name
    return plan.task.name if sweep_run is None else sweep_run.experiment


def open_tracker(plan: Plan, begun: bool, record: SearchRecord | None, experiment: str) -> tuple[Tracker, str]:
    """A search's tracker, and what to say where MLflow is away.

    Args:
        begun: such a search, or one of a sweep that has begun, goes on without its store; a new one must be able to
            write there. record: of one that goes on; None where it was lost.

    Raises:
        TrackingError: the store cannot be used.
    """
    try:
        return Tracker.open(plan.settings.tracking_uri, experiment), ""
    except StoreAwayError as error:
        if begun and (record is None or record.tracking_uri == error.store.shown):
            goes_on = "The search goes on without it, and MLflow is written from its record when it answers"
            return Tracker(error.store), f"{error.problems[0]}. {goes_on}, now or {way_on(plan)}"
        if not begun:
            raise
        kept = f"all that search {plan.name} has done is kept in {plan.folder}; it goes on {way_on(plan)}"
        raise TrackingError([*error.problems, kept]) from None


def new_uid(folder: Path) -> str:
    """What tells a search from others: by an earlier version the id of its run in MLflow, which nothing else names."""
    return earlier.run_of_search(folder) or uuid.uuid4().hex


def start_tracking(
    plan: Plan,
    record: SearchRecord,
    tracker: Tracker,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    sweep_run: SweepRun | None = None,
) -> None:
    """Make or find the search's run, below a sweep's where it is part of one.

    Raises:
        TrackingError: the store answered, and does not take the search.
    """

    def adapter(number: int) -> Path | None:
        best = next((trial.best_step for trial in record.trials if trial.number == number), None)
        return adapter_here(checkpoints_of(plan), plan.folder / TUNE / SCRATCH, number, best or 0)

    above = {} if sweep_run is None else {"above": sweep_run.run_id}
    tracker.start(record, params, tags, adapter, earlier.run_of_search(plan.folder), **above)


def end_of(plan: Plan, record: SearchRecord, artifacts: Sequence[Path]) -> End:
    """The figures, the files and the winner of a search that has trained all it will."""
    choice = choose_winner(record)
    winner = choice.winner
    trained = sum(trial.step for trial in record.trials)
    figures = {"steps_trained": trained, "share_of_grid": trained / plan.steps}
    if winner is not None and winner.best_score is not None and record.test is not None:
        validation = choice.mean(winner) or winner.best_score  # with several seeds, what they have in the mean
        figures |= {f"validation/{record.metric}": validation, "validation/n": record.sizes["validation"]}
        for name in record.test.metrics:
            figures[f"test/{name}"] = fmean(test.metrics[name] for test in record.tests)
        figures |= {"test/n": record.test.n, "seeds": len(record.tests)}
    found = check_winner(record, choice)
    return End(
        status=TrialStatus.FINISHED if winner else TrialStatus.FAILED,
        figures=figures,
        artifacts=artifacts,
        winner={"trial": winner.number, **winner.configuration} if winner else {},
        tags={"finding": found.verdict, "finding.headline": found.headline},
    )


def close_tracking(plan: Plan, tracker: Tracker, console: Console) -> bool:
    """Write the rest of a search that is over, or say how that is done later; whether MLflow has everything."""
    left = tracker.close()
    if left:
        shown = "; ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        text = f"MLflow has not taken yet: {shown}. It is in the search's record, and written {way_on(plan)}"
        console.print(text, soft_wrap=True)
        return False
    written = {"store": tracker.store.shown, "record": _fingerprint(plan.folder)}
    write_atomically(plan.folder / WRITTEN, json.dumps(written) + "\n")
    if earlier.remove_outbox(plan.folder):
        console.print("note: the outbox of an earlier version is removed: MLflow is written from the search's record")
    return True


def complete_tracking(
    plan: Plan,
    record: SearchRecord,
    console: Console,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    artifacts: Iterable[Path],
    sweep_run: SweepRun | None = None,
) -> None:
    """Write what MLflow lacks of a search that is finished; says how that went, if there was anything."""
    if _is_written(plan.folder) or not (record.uid or earlier.run_of_search(plan.folder)):
        return
    try:
        tracker = Tracker.open(plan.settings.tracking_uri, experiment_of(plan, record, sweep_run))
    except TrackingError as error:
        console.print(f"MLflow has not everything of this search. {error.problems[0]}")
        console.print(f"It is in the search's record, and written {way_on(plan)}", soft_wrap=True)
        return
    record.uid = record.uid or new_uid(plan.folder)
    with tracker:
        start_tracking(plan, record, tracker, params, tags, sweep_run)
        tracker.end(record, end_of(plan, record, list(artifacts)))
        if close_tracking(plan, tracker, console):
            console.print("MLflow has now what it had missed", soft_wrap=True)


def way_on(plan: Plan) -> str:
    """The command that writes what MLflow lacks, in words."""
    command = resume_command(plan.name, plan.settings.output, plan.settings.storage)
    return f"when MLflow answers: give the same command again, or: {command}"


def _fingerprint(folder: Path) -> str:
    return hashlib.sha256((folder / RECORD).read_bytes()).hexdigest()


def _is_written(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / WRITTEN).read_bytes())["record"] == _fingerprint(folder))
    except (OSError, ValueError, KeyError, TypeError):
        return False
