"""Early stopping as Ray Tune sees it: Tune's scheduler for all of ours. What it decides is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from orchestrator.engines.ray_internals import hold
from orchestrator.record.record import report_of
from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.decision import Action, Decision
from orchestrator.schedulers.journaled import JournaledScheduler

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

_ACTIONS = {
    Action.CONTINUE: TrialScheduler.CONTINUE,
    Action.PAUSE: TrialScheduler.PAUSE,
    Action.STOP: TrialScheduler.STOP,
    Action.DIVERGED: TrialScheduler.STOP,
}


class TuneScheduler(FIFOScheduler):
    """Does with Tune's trials what a `JournaledScheduler` says.

    It also decides who starts: Tune is shown every trial as paused until it is its turn, so that a trial which is let
    past its rung goes before one that has not begun, and that before one which others may still overtake; a trial that
    waited when a search was interrupted waits on. Tune's own ``max_concurrent_trials`` must be left out, since it
    counts trials that wait as running; ``at_once`` is in its place.

    Ray's own schedulers forget what they know when a search is resumed. Each start of a search makes this one anew from
    one that remembers.

    Args:
        explain: called with a trial's number, why it is about to be ended, and the status that it then has.
        at_once: trials that may train at the same time.

    Attributes:
        exhausted: whether all trials of the search have been added; others that wait may be promoted then.
    """

    def __init__(
        self, journaled: JournaledScheduler, explain: Callable[[int, str, TrialStatus], None], at_once: int
    ) -> None:
        super().__init__()
        self.journaled = journaled
        self.explain = explain
        self.at_once = at_once
        self.exhausted = False
        self._trials: dict[int, Trial] = {}

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """A trial is new, or is tried again after a failure."""
        number = number_of(trial)
        if number not in self._trials:
            self.journaled.start(number)
            trial.set_status(Trial.PAUSED)  # Tune files it under this status when we return
            trial.init_local_path()  # Tune's results want a folder even of a trial that never starts
        else:
            hold(tune_controller, trial)
        self._trials[number] = trial

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Tune asks here after every report."""
        number = number_of(trial)
        decisions = self.journaled.report(number, report_of(result))
        self._carry_out(tune_controller, decisions, number)
        return _ACTIONS[self.journaled.action(number)]

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> None:
        """A trial has ended, by itself or by a decision."""
        number, status = number_of(trial), TrialStatus(result.get("status", TrialStatus.FINISHED))
        if (
            "step" in result and (number, result["step"]) not in self.journaled.reports
        ):  # Tune asks nobody about a last report
            self._carry_out(tune_controller, self.journaled.report(number, report_of(result)), number)
        self._ended(tune_controller, trial, TrialStatus.FINISHED if status is TrialStatus.RUNNING else status)

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        """A trial was ended while it waited."""
        self._ended(tune_controller, trial, TrialStatus.STOPPED_EARLY)

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """A trial has failed; others may have waited for it."""
        if trial.status != Trial.ERROR:  # else it is tried again, and `on_trial_add` follows
            self._ended(tune_controller, trial, TrialStatus.FAILED)

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Whom the next free worker trains: one that is let past its rung, one that has not begun, the best that waits.

        Raises:
            JournalError: an earlier decision could not be written down. Tune takes errors elsewhere for a trial's own.
        """
        if self.journaled.failure is not None:
            raise self.journaled.failure
        self._end_what_is_over(tune_controller)
        if self._active() >= self.at_once:
            return next((trial for trial in self._trials.values() if trial.status == Trial.PENDING), None)
        number = self._next()
        if number is not None and self.journaled.action(number) is Action.PAUSE:
            self.journaled.promote(number)
        return None if number is None else self._trials[number]

    def has_room(self) -> bool:
        """For a searcher: whether there is a free worker, and no trial yet that it would train.

        When all trials are over there is room in any case: with nothing left to train `at_once` may be 0, and only a
        searcher that is asked can say that it has no more.
        """
        return self._next() is None and (self._active() < self.at_once or self.all_over())

    def status(self, number: int) -> TrialStatus:
        """Where a trial stands; one that is paused at a rung is waiting."""
        over = self.journaled.scheduler.over.get(number)
        if over is not None:
            return over.status if isinstance(over, Decision) else over
        return TrialStatus.WAITING if self.journaled.action(number) is Action.PAUSE else TrialStatus.RUNNING

    def all_over(self) -> bool:
        """Whether no trial that Tune knows of will train again."""
        return all(trial.status in (Trial.TERMINATED, Trial.ERROR) for trial in self._trials.values())

    def _active(self) -> int:
        return sum(trial.status in (Trial.RUNNING, Trial.PENDING) for trial in self._trials.values())

    def _next(self) -> int | None:
        """The number of the paused trial to go on with."""
        paused = [n for n, trial in self._trials.items() if trial.status == Trial.PAUSED]
        free = [n for n in paused if self.journaled.action(n) is Action.CONTINUE]
        begun = (n for n in free if n in self.journaled.scheduler.best)
        chosen = next(begun, next(iter(free), None))
        if chosen is not None or not self.exhausted:
            return chosen
        return self.journaled.scheduler.promotable(n for n in paused if self.journaled.action(n) is Action.PAUSE)

    def debug_string(self) -> str:
        """One line for Tune's own status."""
        scheduler = self.journaled.scheduler
        return f"{scheduler.name}: {len(scheduler.over)} of {len(scheduler.numbers)} trials are over"

    def _end_what_is_over(self, tune_controller: TuneController) -> None:
        """Stop trials that Tune was given although they had ended: a kill came between a decision and its record."""
        for number, trial in self._trials.items():
            over = self.journaled.scheduler.over.get(number)
            if over is not None and trial.status == Trial.PAUSED:
                if isinstance(over, Decision):
                    self.explain(number, over.sentence, over.status)
                tune_controller.stop_trial(trial)

    def _ended(self, tune_controller: TuneController, trial: Trial, status: TrialStatus) -> None:
        number = number_of(trial)
        self._carry_out(tune_controller, self.journaled.end(number, status), number)

    def _carry_out(self, tune_controller: TuneController, decisions: Iterable[Decision], asking: int) -> None:
        """Stop trials that waited; the one that asks is stopped by the answer that Tune gets."""
        for decision in decisions:
            if decision.ends:
                self.explain(decision.number, decision.sentence, decision.status)
                if decision.number != asking and decision.number in self._trials:
                    tune_controller.stop_trial(self._trials[decision.number])

    def __reduce__(self) -> tuple[type[FIFOScheduler], tuple[()]]:
        # Tune pickles its scheduler with the run. That copy is never used: a resumed search makes its own.
        return FIFOScheduler, ()


def number_of(trial: Trial) -> int:
    """The trial's number in its search."""
    return int(trial.config["number"])
