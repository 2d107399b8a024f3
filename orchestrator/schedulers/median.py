"""The median stopping rule without Ray."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from orchestrator.schedulers.base import Scheduler
from orchestrator.schedulers.decision import Action, Decision
from orchestrator.schedulers.rung import Rung


def expected_median_share(steps: int, grace_period: int) -> float:
    """Share of the full grid's steps if half of the trials end at their first comparison, and no others later.

    Half are below the median by what a median is; how many fall below it later depends on the curves' shapes.
    """
    return (grace_period + steps) / (2 * steps)


class Median(Scheduler):
    """Stops a trial whose best score is below the median of the others' averages (Golovin et al. 2017, section 3.2.2).

    At each report from the grace period on, the trial's best score so far is compared with the running averages, over
    reports from the grace period up to that step, of the other trials that have come that far. Ties go on.

    Args:
        grace_period: no trial is stopped before, in updates; neither do earlier scores count in the averages.
        together: a step is decided only when nobody can reach it any more, so that the order of arrival does not
            matter; a trial then waits at each of its reports.
        least: with fewer others than this nothing is decided.
    """

    name = "median"

    def __init__(
        self, numbers: Iterable[int], steps: int, grace_period: int, together: bool = False, least: int = 3
    ) -> None:
        super().__init__(numbers, steps)
        self.grace_period = grace_period
        self.together = together
        self.least = least
        self._scores: defaultdict[int, list[float]] = defaultdict(list)  # from the grace period on
        self._means: defaultdict[int, dict[int, float]] = defaultdict(dict)  # by step and trial

    @property
    def settings(self) -> dict[str, Any]:
        """What the decisions depend on beside the reports."""
        return {**super().settings, "grace_period": self.grace_period, "together": self.together, "least": self.least}

    def start(self, number: int, anew: bool = False) -> None:
        """A trial that had ended is trained again."""
        super().start(number, anew)
        if anew:
            self._scores.pop(number, None)
            for means in self._means.values():
                means.pop(number, None)

    def to_come(self, rung: Rung) -> set[int]:
        """The trials that can still report at the step: none that has reported at a later one."""
        past = {number for later in self.rungs.values() if later.step > rung.step for number in later.standings}
        return super().to_come(rung) - past

    def _pass(self, number: int, step: int, score: float) -> None:
        if self.grace_period <= step < self.steps and self.enter(self.rungs.setdefault(step, Rung(step)), number):
            self._scores[number].append(score)
            self._means[step][number] = statistics.fmean(self._scores[number])

    def _decide(self, rung: Rung, open_: list[int]) -> Iterable[Decision]:
        if self.together and not self.complete(rung):
            arrived = [number for number in open_ if number not in rung.actions]
            return [*self._taken(self._waiting(rung, number) for number in arrived)]
        return [*self._taken(self._compare(rung, number) for number in open_)]

    def _waiting(self, rung: Rung, number: int) -> Decision:
        return rung.decision(number, Action.PAUSE)

    def _compare(self, rung: Rung, number: int) -> Decision:
        means = [mean for other, mean in self._means[rung.step].items() if other != number]
        score = rung.standings[number].score
        if len(means) < self.least:
            return Decision(number, Action.CONTINUE, rung.step, score, n=len(means))
        median = statistics.median(means)
        action = Action.CONTINUE if score >= median else Action.STOP
        return Decision(number, action, rung.step, score, n=len(means), cutoff=median)
