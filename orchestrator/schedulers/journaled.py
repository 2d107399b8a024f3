"""A scheduler with a memory on disk: every event and every decision is written down before it counts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.record.errors import JournalError
from orchestrator.record.journal import Entry, Journal
from orchestrator.record.record import RENAMED_SETTINGS, SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.base import Scheduler
from orchestrator.schedulers.decision import Action, Decision

log = logging.getLogger(__name__)

LATER = {"ties": "keep", "rank_by": "score"}  # settings that older journals lack, and what they went by


class JournaledScheduler:
    """Asks a scheduler, and keeps a journal of reports, ends and decisions.

    A search that is resumed makes its own anew from the same journal and the search's record. Decisions in the
    journal hold as they are, even where this version would decide otherwise; a decision that was made and could not be
    carried out any more is in `stops`, so that it can be (`catch_up`). What the record knows and the journal does not
    is taken in as if it came now.

    Args:
        scheduler: fresh; it is brought to where the search was.
        journal: None: nothing is kept (replays, tests).
        trials: the record's trials.

    Attributes:
        failure: why the journal could not be written, or the search cannot go on; every later call raises it.

    Raises:
        JournalError: the journal belongs to a search with other settings, or cannot be written.
    """

    def __init__(
        self, scheduler: Scheduler, journal: Journal | None = None, trials: Iterable[TrialRecord] = ()
    ) -> None:
        self.scheduler = scheduler
        self.journal = journal
        self.reports: dict[tuple[int, int], dict[str, Any]] = {}
        self.failure: Exception | None = None
        if journal is not None:
            self._read(journal)
        self._keep([], self.scheduler.settle())
        self._take_up(trials)

    @property
    def stops(self) -> dict[int, Decision]:
        """The decisions that ended trials, by the trials' numbers."""
        return {number: over for number, over in self.scheduler.over.items() if isinstance(over, Decision)}

    def report(self, number: int, report: Mapping[str, Any]) -> list[Decision]:
        """Take in a report with its ``step``, ``score`` and ``best_score``; what follows is on disk when this returns.

        A report of a step that was judged already changes nothing: ask `action` what holds for the trial.
        """
        step = int(report["step"])
        fresh = (number, step) not in self.reports
        if fresh:
            self._note(number, report)
        decisions = self.scheduler.settle()
        event = {"event": "report", "number": number, "report": dict(report)}
        self._keep([event] if fresh or decisions else [], decisions)
        return decisions

    def end(self, number: int, status: TrialStatus) -> list[Decision]:
        """A trial ended by itself; nothing new where a decision has ended it already."""
        if number in self.scheduler.over:
            return []
        decisions = self.scheduler.end(number, status)
        self._keep([{"event": "end", "number": number, "status": status}], decisions)
        return decisions

    def start(self, number: int, anew: bool = False) -> None:
        """A trial is about to be trained: for the first time, or again where it had failed.

        Args:
            anew: forget all about it, its end and its reports included: the user wants it trained from the start.
        """
        over = self.scheduler.over.get(number)
        if anew or (isinstance(over, TrialStatus) and over.is_retried):
            self._start(number, anew)
            self._keep([{"event": "start", "number": number, "anew": anew}], self.scheduler.settle())

    def promote(self, number: int) -> Decision:
        """A free worker goes on with a waiting trial that is `Scheduler.promotable`."""
        decision = self.scheduler.promote(number)
        self._keep([], [decision])
        return decision

    def action(self, number: int) -> Action:
        """What holds for a trial now."""
        over = self.scheduler.over.get(number)
        if isinstance(over, Decision):
            return over.action
        return Action.PAUSE if self.scheduler.is_paused(number) else Action.CONTINUE

    def catch_up(
        self, record: SearchRecord, planned: Mapping[int, tuple[Mapping[str, Any], int]] | None = None
    ) -> list[str]:
        """Bring a record to what the journal knows: reports that it lacks, and ends that it does not know.

        Args:
            planned: configuration and seed of each trial, by its number, for trials that the record does not know yet.

        Returns:
            What was done, a sentence each.
        """
        recorded = {trial.number for trial in record.trials}
        for number in sorted({number for number, _ in self.reports} - recorded):
            if planned is not None and number in planned:
                configuration, seed = planned[number]
                record.trials.append(
                    TrialRecord(f"journal-{number}", number, dict(configuration), seed, TrialStatus.INTERRUPTED)
                )
        record.trials.sort(key=lambda trial: (trial.number, trial.seed))
        steps: dict[int, list[int]] = {}
        for number, step in sorted(self.reports):
            steps.setdefault(number, []).append(step)
        return [sentence for trial in record.trials for sentence in self._catch_up(trial, steps.get(trial.number, []))]

    def _catch_up(self, trial: TrialRecord, reported: Sequence[int]) -> Iterator[str]:
        missing = [step for step in reported if step > trial.step]
        trial.reports += [self.reports[trial.number, step] for step in missing]
        if missing:
            steps = ", ".join(f"{step:,}" for step in missing)
            yield f"trial {trial.number}: the report of step {steps} is taken from the journal"
        over = self.scheduler.over.get(trial.number)
        if trial.status.is_over or over is None:
            return
        if isinstance(over, Decision):
            trial.status = over.status
            trial.reason = over.sentence
            yield f"trial {trial.number}: {trial.status} now, as decided before: {over.sentence}"
        elif not over.is_retried:
            trial.status = over
            yield f"trial {trial.number}: {trial.status}, as the journal says"

    def _keep(self, events: list[Entry], decisions: list[Decision]) -> None:
        if self.failure is not None:  # the scheduler knows now what the disk does not: nothing more may follow from it
            raise self.failure
        if self.journal is None:
            return
        made = [{"event": "decision", **d.as_dict(), "sentence": d.sentence} for d in decisions]
        try:
            self.journal.append([*events, *made])
        except JournalError as error:
            self.failure = error
            raise

    def _read(self, journal: Journal) -> None:
        settings = {"event": "settings", **self.scheduler.settings}
        if journal.damage:
            log.warning(journal.damage)
        if not journal.found:
            journal.append([settings])
            return
        written = {RENAMED_SETTINGS.get(key, key): value for key, value in journal.found[0].items()}
        before = {**{key: value for key, value in LATER.items() if key in settings}, **written}
        changed = [key for key in settings | before if settings.get(key) != before.get(key)]
        if changed:
            raise JournalError(
                f"{journal.path} was written with another {', '.join(changed)}: "
                + "; ".join(f"{key} was {before.get(key)}, is {settings.get(key)}" for key in changed)
                + ". Give the settings of before, or start another search under another --name"
            )
        for entry in journal.found[1:]:
            self._replay(entry)

    def _replay(self, entry: Entry) -> None:
        event = entry["event"]
        if event == "decision":
            self.scheduler.take(Decision.from_dict(entry))
        elif event == "end":
            self.scheduler.note_end(entry["number"], TrialStatus(entry["status"]))
        elif event == "start":
            self._start(entry["number"], entry["anew"])
        else:
            self._note(entry["number"], entry["report"])

    def _start(self, number: int, anew: bool) -> None:
        self.scheduler.start(number, anew)
        if anew:
            self.reports = {key: report for key, report in self.reports.items() if key[0] != number}

    def _note(self, number: int, report: Mapping[str, Any]) -> None:
        step, score = int(report["step"]), float(report["score"])
        best, loss = report.get("best_score"), report.get("validation/loss")
        self.reports[number, step] = dict(report)
        if report.get("status") == TrialStatus.DIVERGED:
            # By its loss: a score of its spoilt parameters would compare nothing.
            self.scheduler.note_end(number, TrialStatus.DIVERGED)
        else:
            self.scheduler.note(number, step, score, *(None if x is None else float(x) for x in (best, loss)))

    def _take_up(self, trials: Iterable[TrialRecord]) -> None:
        """Reports in the order of their steps: all that is known of the order in which they came."""
        trials = list(trials)
        lost = [
            (int(report["step"]), trial.number, report)
            for trial in trials
            for report in trial.reports
            if (trial.number, int(report["step"])) not in self.reports
        ]
        for _, number, report in sorted(lost, key=lambda item: item[:2]):
            self.start(number)  # where it had failed, it was tried again
            if number not in self.scheduler.over:
                self.report(number, report)
        if lost and self.journal is not None and len(self.journal.found) > 1:
            log.info("%d reports of the record were not in the journal; they are taken in again", len(lost))
        for (number, _), report in list(self.reports.items()):
            # The last report is written down before the end: where that is missing, nothing is left to train.
            if report.get("status") == TrialStatus.FINISHED:
                self.end(number, TrialStatus.FINISHED)
        for trial in trials:
            if trial.status.is_over:
                self.end(trial.number, trial.status)
