"""The end of a search as MLflow is told of it: when it ends, or later, where MLflow or the driver was gone by then."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from rich.console import Console

from orchestrator.command_lines import resume_command
from orchestrator.record.record import SearchRecord
from orchestrator.record.selection import choose_winner
from orchestrator.record.status import TrialStatus
from orchestrator.store.checkpoints import SCRATCH, adapter_here
from orchestrator.store.layout import TUNE
from orchestrator.store.paths import Folder
from orchestrator.summarizer.results.winner_check import check_winner
from orchestrator.tracking.spool import Spool
from orchestrator.tracking.tracker import Tracker, TrackingError
from orchestrator.tune.progress import Progress

if TYPE_CHECKING:
    from orchestrator.plan.resolve import Plan

SPOOL = "tracking"  # the folder of a search's spool, below the search's own


def open_tracker(plan: Plan, begun: bool) -> Tracker:
    """The tracker of a search, with what an earlier run of it has not delivered.

    A search that was begun goes on without its store; a new one must be able to write where it is asked to.

    Raises:
        TrackingError: the store cannot be used.
    """
    spool = plan.folder / SPOOL
    if not begun:
        return Tracker.open(plan.settings.tracking_uri, plan.task.name, spool=spool)
    try:
        return Tracker.reopen(plan.settings.tracking_uri, plan.task.name, spool)
    except TrackingError as error:
        kept = f"all that search {plan.name} has done is kept in {plan.folder}; it goes on {way_on(plan)}"
        raise TrackingError([*error.problems, kept]) from None


def tell_end(plan: Plan, record: SearchRecord, tracker: Tracker, artifacts: Iterable[Path]) -> None:
    """Tell of the figures, the files and the winner of a search that has trained all it will."""
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
    described = {"trial": winner.number, **winner.configuration} if winner else {}
    found = check_winner(record, choice)
    tags = {"finding": found.verdict, "finding.headline": found.headline}
    status = TrialStatus.FINISHED if winner else TrialStatus.FAILED
    tracker.end_search(figures, artifacts, described, status=status, tags=tags)


def tell_the_rest(
    plan: Plan,
    record: SearchRecord,
    console: Console,
    start: Callable[[Tracker], object],
    artifacts: Iterable[Path],
    storage: Folder,
) -> None:
    """Tell MLflow what it does not know yet of a search that is finished; says how that went, if there was anything.

    Args:
        start: takes the search up in a tracker, for the case that a kill came before its end was told.
        artifacts: the search's own files. storage: where its trials' checkpoints are.
    """
    folder = plan.folder / SPOOL
    if not Spool.exists(folder):
        return
    spool = Spool(folder)
    left, ended = len(spool.pending), spool.ended
    spool.close()
    if not left and ended and ended != "interrupted":
        return
    try:
        tracker = Tracker.open(plan.settings.tracking_uri, plan.task.name, spool=folder)
    except TrackingError as error:
        console.print(f"MLflow was not told everything of this search. {error.problems[0]}")
        console.print(f"It is kept in {folder} and delivered {way_on(plan)}", soft_wrap=True)
        return
    with tracker:
        if not tracker.deliver_what_was_left():
            start(tracker)
            for note in tracker.said:
                console.print(f"note: {note}")
            tell_trials(plan, record, tracker, console, storage)
            tell_end(plan, record, tracker, artifacts)
        undelivered = tracker.close()
    told = "MLflow has been told what it had missed" if not undelivered else not_told(plan, undelivered)
    console.print(told, soft_wrap=True)


def tell_trials(plan: Plan, record: SearchRecord, tracker: Tracker, console: Console, storage: Folder) -> None:
    """Tell of every trial what the store has not been told."""
    from orchestrator.tune.callback import TrackingCallback

    progress = Progress(plan.count, plan.steps, record.metric, console, quiet=True)
    callback = TrackingCallback(plan.name, plan.training.steps, tracker, progress, recipe=plan.settings.recipe)
    callback.find_adapter = partial(adapter_here, storage, plan.folder / TUNE / SCRATCH)
    callback.take_up(record.trials)


def not_told(plan: Plan, undelivered: list[str]) -> str:
    """What to say where MLflow did not take everything."""
    shown = "; ".join(undelivered[:5]) + (f" and {len(undelivered) - 5} more" if len(undelivered) > 5 else "")
    return f"MLflow has not taken yet: {shown}. It is kept in {plan.folder / SPOOL} and delivered {way_on(plan)}"


def way_on(plan: Plan) -> str:
    """The command that delivers it, in words."""
    command = resume_command(plan.name, plan.settings.output, plan.settings.storage)
    return f"when MLflow answers: give the same command again, or: {command}"
