"""What a search knows when it goes on: its record, its journal and its checkpoints, brought to the same.

A report is in its checkpoint first, then in the journal, then in the record, and a kill may come between any two. Where
a machine was lost with its disk, journal and record are as a storage has them: several reports behind the checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from orchestrator.plan.planned_trial import PlannedTrial
from orchestrator.record.record import Report, SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.journaled import JournaledScheduler
from orchestrator.store.checkpoints import attempts, reports_after
from orchestrator.store.paths import Folder

ANEW = "anew-"  # how the ids of trials begin whose checkpoints must not count any more


def take_up(
    record: SearchRecord,
    journaled: JournaledScheduler,
    checkpoints: Folder,
    numbered: Iterable[PlannedTrial],
    planned: Callable[[], Iterable[PlannedTrial]],
    holds: Callable[[int], bool],
) -> Iterator[str]:
    """Bring record and journal to what either, or a checkpoint, knows; what was done, a sentence each.

    Args:
        numbered: the trials whose numbers the plan alone decides. planned: those that there may be beside the record's,
            as far as the record decides; a checkpoint says whether it is of such a one.
        holds: whether a trial's number is among the scheduler's.
    """
    yield from journaled.catch_up(record, {t.number: (t.config.hyperparameters, t.config.seed) for t in numbered})
    recorded = {trial.number for trial in record.trials}
    unrecorded: dict[int, list[Report]] = {}  # of a trial that the checkpoints alone know: each is read once
    for trial in planned() if attempts(checkpoints) else ():  # a fresh search asks its storage once, not for each trial
        if trial.number in recorded:
            continue
        unknown = TrialRecord(f"checkpoint-{trial.number}", *trial.identity, TrialStatus.INTERRUPTED)
        if reports := reports_after(checkpoints, unknown):
            record.trials.append(unknown)
            unrecorded[trial.number] = reports
    lost = [
        (report, known)
        for known in record.trials
        if holds(known.number) and not known.status.is_settled and not known.trial_id.startswith(ANEW)
        if _is_open(journaled, known.number)
        for report in unrecorded.get(known.number) or reports_after(checkpoints, known)
    ]
    for report, known in sorted(lost, key=_when):  # decisions depend on it
        if not _is_open(journaled, known.number):
            continue
        journaled.start(known.number)  # where it had failed
        known.reports.append(report)
        journaled.report(known.number, report)
        if report["status"] != TrialStatus.RUNNING:
            journaled.end(known.number, TrialStatus(report["status"]))
        yield f"trial {known.number}: the report of step {report['step']:,} is taken from its checkpoint"
    yield from journaled.catch_up(record)


def _is_open(journaled: JournaledScheduler, number: int) -> bool:
    over = journaled.scheduler.over.get(number)
    return over is None or (isinstance(over, TrialStatus) and over.is_retried)


def _when(lost: tuple[Report, TrialRecord]) -> tuple[float, int]:
    """When a report came, and the order of those that do not say it."""
    report, _ = lost
    return report.get("time", 0.0), report["step"]
