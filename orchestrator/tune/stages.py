"""The stages of a search: all configurations on one seed; then, if asked for, the best of them on further seeds.

Each stage has a scheduler, and a journal in which its decisions are kept. What a stage holds follows from the plan, the
record and the journal, so that a search that was killed in either goes on where it was.
"""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.plan.plan import Plan
from orchestrator.plan.planned_trial import PlannedTrial
from orchestrator.record.journal import Journal
from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.selection import choose_winner
from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.base import NoStopping, Scheduler
from orchestrator.schedulers.decision import Action
from orchestrator.schedulers.journaled import JournaledScheduler
from orchestrator.store.checkpoints import begun
from orchestrator.store.paths import Folder
from orchestrator.tune.take_up import ANEW, take_up

if TYPE_CHECKING:
    from orchestrator.searchers.optuna_search import ConfigurationSearch

log = logging.getLogger(__name__)

JOURNAL = "decisions.jsonl"
SEEDS_JOURNAL = "seeds.jsonl"


class Stage(ABC):
    """Trials that are judged together.

    Args:
        journal: its file. record: the search's, brought to what the journal and the ``checkpoints`` know.

    Raises:
        JournalError: the journal is in use, belongs to a search with other settings, or cannot be written.
    """

    def __init__(
        self, plan: Plan, scheduler: Scheduler, journal: Path, record: SearchRecord, checkpoints: Folder
    ) -> None:
        self.plan = plan
        self.record = record
        self.journal = Journal(journal)
        try:
            self.journaled = JournaledScheduler(scheduler, self.journal, self.recorded)
            for sentence in take_up(record, self.journaled, checkpoints, plan.trials, self._planned, self.holds):
                log.info(sentence)
        except BaseException:
            self.journal.close()
            raise

    @property
    def recorded(self) -> list[TrialRecord]:
        """The record's trials that belong to this stage."""
        return [trial for trial in self.record.trials if self.holds(trial.number)]

    @abstractmethod
    def _planned(self) -> list[PlannedTrial]:
        """The trials that there will be, as far as plan, record and checkpoints say."""

    @abstractmethod
    def holds(self, number: int) -> bool:
        """Whether the trial of that number belongs to this stage."""

    @property
    @abstractmethod
    def left(self) -> int:
        """Trials to be trained now: failed ones as well."""

    @property
    @abstractmethod
    def open(self) -> int:
        """Trials that have neither ended nor failed."""

    @abstractmethod
    def trials(self) -> Iterator[PlannedTrial]:
        """The trials that are left, each made when it is its turn."""

    def observe(self, number: int, result: Mapping[str, Any], status: TrialStatus) -> None:
        """What a searcher may learn from (see `TuneSearch`), where there is one."""
        del number, result, status

    def train_anew(self, numbers: Collection[int]) -> None:
        """Forget trials and all that was decided about them: they are trained from the start."""
        for trial in self.recorded:
            if trial.number in numbers:
                self.journaled.start(trial.number, anew=True)
                trial.trial_id = f"{ANEW}{trial.number}"
                trial.status, trial.reports, trial.reason, trial.error = TrialStatus.WAITING, [], "", ""
                trial.started, trial.ended, trial.reruns = None, None, trial.reruns + 1


class SearchStage(Stage):
    """All configurations, stopped early as the scheduler wants it.

    Args:
        searcher: where the configurations come from, unless the plan has them.
    """

    def __init__(
        self,
        plan: Plan,
        scheduler: Scheduler,
        folder: Path,
        record: SearchRecord,
        searcher: ConfigurationSearch | None,
        checkpoints: Folder | None = None,
    ) -> None:
        self.searcher = searcher
        self._numbers = frozenset(plan.numbers)
        self._checkpoints = checkpoints or folder
        super().__init__(plan, scheduler, folder / JOURNAL, record, self._checkpoints)
        if searcher is not None:
            self._forget_unknown()
            self._inform(searcher)

    def _planned(self) -> list[PlannedTrial]:
        """As the plan has them; of those that a searcher has suggested, what the checkpoints of lost ones say."""
        if self.searcher is None:
            return list(self.plan.trials)
        lost = begun(self._checkpoints, [trial.number for trial in self.recorded])
        return [self.plan.trial(n, c["hyperparameters"], c["seed"]) for n, c in lost.items() if self.holds(n)]

    def _forget_unknown(self) -> None:
        """Forget what the journal has of trials of which nothing else is left: others are suggested in their places."""
        judged = {number for number, _ in self.journaled.reports} | self.journaled.scheduler.over.keys()
        for number in sorted(judged - {trial.number for trial in self.recorded}):
            self.journaled.start(number, anew=True)

    def _inform(self, searcher: ConfigurationSearch) -> None:
        """Bring a searcher to what it would know had the search not been interrupted."""
        searcher.take_up(self.recorded)
        for trial in self.recorded:
            if not trial.status.is_over:  # a record may call it waiting, running or interrupted, whatever it does
                waits = self.journaled.action(trial.number) is Action.PAUSE
                status = TrialStatus.WAITING if waits else TrialStatus.RUNNING
                searcher.tell(trial.number, trial.best_score, trial.step, status)

    def train_anew(self, numbers: Collection[int]) -> None:
        """Forget trials and all that was decided about them, in the searcher as well."""
        super().train_anew(numbers)
        if self.searcher is not None:
            self._inform(self.searcher)

    def holds(self, number: int) -> bool:
        """Whether the trial of that number belongs to this stage."""
        return number in self._numbers

    @property
    def left(self) -> int:
        """Trials to be trained now: failed ones as well."""
        return self.plan.samples - sum(trial.status.is_settled for trial in self.recorded)

    @property
    def open(self) -> int:
        """Trials that have neither ended nor failed."""
        return self.plan.samples - sum(trial.status.is_over for trial in self.recorded)

    def observe(self, number: int, result: Mapping[str, Any], status: TrialStatus) -> None:
        """Tell the searcher."""
        if self.searcher is not None:
            self.searcher.hear(number, result, status)

    def trials(self) -> Iterator[PlannedTrial]:
        """The trials that are left; a searcher is asked for one only when there is a worker for it."""
        settled = {trial.number for trial in self.recorded if trial.status.is_settled}
        if self.searcher is None:
            yield from (trial for trial in self.plan.trials if trial.number not in settled)
            return
        for trial in self.recorded:
            if trial.number not in settled:
                yield self.plan.trial(trial.number, trial.configuration)
        while (found := self.searcher.ask()) is not None:
            yield self.plan.trial(*found)


class SeedStage(Stage):
    """The best configurations on further seeds; none is stopped early, since only whole trainings are compared."""

    def __init__(self, plan: Plan, folder: Path, record: SearchRecord, checkpoints: Folder | None = None) -> None:
        self._first = max(plan.numbers, default=0) + 1
        # Which trials there will be is known when the search's own are over: the scheduler does not need their numbers.
        super().__init__(
            plan, NoStopping((), plan.training.steps), folder / SEEDS_JOURNAL, record, checkpoints or folder
        )

    def holds(self, number: int) -> bool:
        """Whether the trial of that number belongs to this stage."""
        return number >= self._first

    @property
    def left(self) -> int:
        """Trials to be trained now: failed ones as well."""
        return sum(1 for _ in self.trials())

    @property
    def open(self) -> int:
        """Trials that have neither ended nor failed."""
        ended = {trial.number for trial in self.recorded if trial.status.is_over}
        return sum(trial.number not in ended for trial in self._planned())

    @staticmethod
    def has_any(plan: Plan, record: SearchRecord, rerun: Collection[int] = ()) -> bool:
        """Whether there are trials on further seeds: as asked for now, or earlier ones that are to be trained again.

        Args:
            rerun: numbers of trials to be trained from the start.
        """
        own = frozenset(plan.numbers)
        again = (trial.number for trial in record.trials if _is_trained_again(trial))
        return plan.repeats > 0 or any(number not in own for number in (*rerun, *again))

    @property
    def warning(self) -> str:
        """What to say before the stage starts: fewer candidates than asked for; else empty."""
        wanted, found = self.plan.settings.top, len(self._best())
        if found >= wanted or not self.plan.repeats:
            return ""
        return f"--top {wanted}: {found} configuration(s) trained the whole budget; no others are compared over seeds"

    @property
    def unknown(self) -> list[PlannedTrial]:
        """Trials that have not begun."""
        known = {trial.number for trial in self.recorded}
        return [trial for trial in self._planned() if trial.number not in known]

    def trials(self) -> Iterator[PlannedTrial]:
        """The trials that are left."""
        settled = {trial.number for trial in self.recorded if trial.status.is_settled}
        return (trial for trial in self._planned() if trial.number not in settled)

    def _planned(self) -> list[PlannedTrial]:
        """The best configurations by validation, among those trained whole, on the seeds that follow the search's own.

        A trial that was trained before keeps its number, whatever has become of the ranking since; one that is to be
        trained again is so whatever the ranking, or the seeds that are asked for now.
        """
        known = {self._as_text(trial.configuration, trial.seed): trial.number for trial in self.recorded}
        free = max(known.values(), default=self._first - 1) + 1
        planned = []
        for trial in self._best():
            for step in range(1, self.plan.settings.seeds):
                seed = self.plan.settings.seed + step
                number = known.get(self._as_text(trial.configuration, seed), free)
                free += number == free
                planned.append(self.plan.trial(number, trial.configuration, seed))
        numbers = {trial.number for trial in planned}
        again = (trial for trial in self.recorded if _is_trained_again(trial) and trial.number not in numbers)
        return planned + [self.plan.trial(trial.number, trial.configuration, trial.seed) for trial in again]

    def _best(self) -> list[TrialRecord]:
        own = [trial for trial in self.record.trials if not self.holds(trial.number)]
        ranking = choose_winner(replace(self.record, trials=own)).ranking
        whole = [trial for trial in ranking if trial.status is TrialStatus.FINISHED and trial.best_score is not None]
        return whole[: self.plan.settings.top]

    @staticmethod
    def _as_text(configuration: Mapping[str, Any], seed: int) -> str:
        return json.dumps([configuration, seed], sort_keys=True)


def _is_trained_again(trial: TrialRecord) -> bool:
    """Whether a trial was to be trained from the start again, and has not come to its end since."""
    return trial.reruns > 0 and not trial.status.is_settled
