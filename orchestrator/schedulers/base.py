"""Which trials go on, as plain objects: no Ray, no clock, no randomness, nothing that a restart could lose.

A `Scheduler` takes in reports and ends of trials and answers with `Decision`s. What it knows follows from these alone,
so the same events in the same order give the same decisions, in a search and in a replay of one.
`orchestrator.schedulers.journaled` keeps both on disk.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.decision import Action, Decision, Standing
from orchestrator.schedulers.rung import Rung


class Scheduler(ABC):
    """Early stopping. Trials are known by their numbers, and all numbers of a search are known from the start.

    A score that is not finite ends a trial as diverged under every scheduler. A trial that went back to a checkpoint
    reports some steps twice: it is judged once a rung, by its first report at or after the rung's step.

    Args:
        numbers: of all trials of the search.
        steps: budget of a trial, in updates.

    Attributes:
        rungs: by their steps.
        over: why trials train no further, by their numbers: their decision, or the status with which they ended.
        latest: whose report came last, and of which step; None where another event came after it.
        best: score of each trial so far. gains: see `Standing`; of trials whose losses are known.
    """

    name: str

    def __init__(self, numbers: Iterable[int], steps: int) -> None:
        self.numbers = frozenset(numbers)
        self.steps = steps
        self.rungs: dict[int, Rung] = {}
        self.over: dict[int, Decision | TrialStatus] = {}
        self.latest: tuple[int, int] | None = None
        self.best: dict[int, float] = {}
        self.gains: dict[int, float] = {}
        self._diverging: dict[int, int] = {}
        self._unsettled = False

    @property
    def settings(self) -> dict[str, Any]:
        """What the decisions depend on beside the reports."""
        return {"scheduler": self.name, "steps": self.steps, "numbers": sorted(self.numbers)}

    def report(
        self, number: int, step: int, score: float, best: float | None = None, loss: float | None = None
    ) -> list[Decision]:
        """Take a report in; returns what follows from it, about this trial and others, already taken into account.

        Args:
            step: updates trained.
            score: on validation, in points, greater is better; may be NaN or infinite.
            best: the trial's own best score so far, where it may know of reports that this scheduler has not seen.
            loss: on validation, in nats; None where not known.
        """
        self.note(number, step, score, best, loss)
        return self.settle()

    def end(self, number: int, status: TrialStatus) -> list[Decision]:
        """A trial ended by itself: finished, failed, ...; others may have waited for it."""
        self.note_end(number, status)
        return self.settle()

    def start(self, number: int, anew: bool = False) -> None:
        """A trial that had ended is trained again: from its last checkpoint, or ``anew`` and judged anew."""
        self.latest = None
        self.over.pop(number, None)
        self._unsettled = True  # it may stand at a rung that all others have left
        if anew:
            self.best.pop(number, None)
            self.gains.pop(number, None)
            for rung in self.rungs.values():
                rung.forget(number)

    def is_paused(self, number: int) -> bool:
        """Whether the trial must not train until it is decided on."""
        return number not in self.over and any(rung.actions.get(number) is Action.PAUSE for rung in self.rungs.values())

    def promotable(self, candidates: Iterable[int]) -> int | None:
        """The waiting trial among ``candidates`` that a free worker should go on with, if one may go on already."""
        return None

    def promote(self, number: int) -> Decision:
        """Let a trial go on that is `promotable`."""
        raise ValueError(f"trial {number} waits for nothing that a free worker could change")

    def note(self, number: int, step: int, score: float, best: float | None = None, loss: float | None = None) -> None:
        """Take a report in without deciding."""
        self.latest = number, step
        if number in self.over:
            return
        if not math.isfinite(score):
            self._diverging[number] = step
            self._unsettled = True
            return
        known = [score, self.best.get(number, -math.inf), -math.inf if best is None else best]
        self.best[number] = max(value for value in known if not math.isnan(value) and value < math.inf)
        if loss is not None:  # one that is not a number is worse than any
            gain = -loss if math.isfinite(loss) else -math.inf
            self.gains[number] = max(gain, self.gains.get(number, -math.inf))
        self._pass(number, step, score)

    def note_end(self, number: int, status: TrialStatus) -> None:
        """Take an end in without deciding."""
        self.latest = None
        self.over.setdefault(number, status)
        self._unsettled = True

    def take(self, decision: Decision) -> None:
        """Let a decision count, one of this scheduler's own or one that was written down earlier."""
        number, action = decision.number, decision.action
        self._diverging.pop(number, None)
        if action is not Action.DIVERGED:
            rung = self.rungs.setdefault(decision.step, Rung(decision.step))
            if number not in rung.standings and decision.score is not None:
                gain = math.inf if decision.loss is None else -decision.loss
                rung.enter(number, self.compared(decision.score, gain))
            rung.take(number, action)
        if decision.ends:
            self.over[number] = decision

    def settle(self) -> list[Decision]:
        """Decide all that can be decided now."""
        made: list[Decision] = []
        if not self._unsettled:
            return made
        self._unsettled = False
        for number, step in sorted(self._diverging.items()):
            made.append(Decision(number, Action.DIVERGED, step, self.best.get(number)))
            self.take(made[-1])
        return made + self._decide_all()

    def enter(self, rung: Rung, number: int) -> bool:
        """Note how the trial stands so far at a rung, unless that is noted there; whether it was not."""
        if number in rung.standings:
            return False
        rung.enter(number, self.compared(self.best[number], self.gains.get(number, math.inf)))
        self._unsettled = True
        return True

    def compared(self, score: float, gain: float) -> Standing:
        """What a trial with this best score and gain is compared by (`Standing`): here by its score alone."""
        return Standing(score)

    def complete(self, rung: Rung) -> bool:
        """Whether no further trial can reach the rung."""
        return not self.to_come(rung)

    def to_come(self, rung: Rung) -> set[int]:
        """The trials that can still reach the rung."""
        return {number for number in self.numbers if number not in rung.standings and number not in self.over}

    def _taken(self, decisions: Iterable[Decision]) -> Iterator[Decision]:
        for decision in decisions:
            self.take(decision)
            yield decision

    @abstractmethod
    def _pass(self, number: int, step: int, score: float) -> None:
        """Enter a finite report into the rungs that it reaches."""

    def _decide_all(self) -> list[Decision]:
        made: list[Decision] = []
        for rung in sorted((rung for rung in self.rungs.values() if rung.open), key=lambda rung: rung.step):
            made += self._decide(rung, sorted(number for number in rung.open if number not in self.over))
        return made

    @abstractmethod
    def _decide(self, rung: Rung, open_: list[int]) -> Iterable[Decision]:
        """Decide what can be decided at a rung about the trials that are open there, and `take` it."""


class NoStopping(Scheduler):
    """Every trial trains its whole budget."""

    name = "none"

    def _pass(self, number: int, step: int, score: float) -> None:
        return None

    def _decide(self, rung: Rung, open_: list[int]) -> Iterable[Decision]:
        return ()
