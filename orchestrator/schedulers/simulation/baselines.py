"""What a scheduler must beat: the whole grid, chance at the same cost, Ray's own halving, and one look at everybody."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from orchestrator.schedulers.base import Scheduler
from orchestrator.schedulers.decision import Action, Decision
from orchestrator.schedulers.rung import Rung
from orchestrator.schedulers.simulation.curves import RecordedGrid
from orchestrator.schedulers.simulation.simulate import Outcome, outcome


class RayAsha(Scheduler):
    """Ray Tune's ``AsyncHyperBandScheduler`` itself, asked offline, with its rules and its defaults.

    Its clock counts reports, as ``training_iteration`` does, and it compares last scores.

    Args:
        every: updates from one report to the next.
        grace_period: in reports.
    """

    name = "ray asha"

    def __init__(
        self, numbers: Iterable[int], steps: int, every: int, grace_period: int = 1, reduction_factor: float = 4
    ) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler

        super().__init__(numbers, steps)
        self.every = every
        self._ray = AsyncHyperBandScheduler(
            metric="score",
            mode="max",
            max_t=steps // every,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
        )
        self._asked: dict[int, Any] = {}
        self._controller: Any = None  # which this scheduler never looks at

    def report(
        self, number: int, step: int, score: float, best: float | None = None, loss: float | None = None
    ) -> list[Decision]:
        """What Ray answers."""
        if number not in self._asked:
            self._asked[number] = SimpleNamespace(trial_id=str(number))
            self._ray.on_trial_add(self._controller, self._asked[number])
        result = {"training_iteration": step // self.every, "score": score}
        answer = self._ray.on_trial_result(self._controller, self._asked[number], result)
        if answer == "STOP" and step < self.steps:
            decision = Decision(number, Action.STOP, step, score)
            self.over[number] = decision
            return [decision]
        return []

    def _pass(self, number: int, step: int, score: float) -> None:
        raise AssertionError("Ray keeps its own rungs")

    def _decide(self, rung: Rung, open_: list[int]) -> Iterable[Decision]:
        return ()


def whole(grid: RecordedGrid) -> Outcome:
    """Every trial to its end."""
    return outcome(grid, {number: len(curve.steps) for number, curve in grid.curves.items()})


def random_subset(grid: RecordedGrid, share: float, chance: random.Random) -> Outcome:
    """As many trials, drawn at random, to their ends as cost that share of the grid on average; one at least."""
    wanted = share * len(grid.curves)
    count = math.floor(wanted) + (chance.random() < wanted % 1)
    drawn = chance.sample(sorted(grid.curves), max(1, min(count, len(grid.curves))))
    return outcome(grid, {number: len(grid.curves[number].steps) for number in drawn})


def first_look(grid: RecordedGrid, share: float, chance: random.Random) -> Outcome:
    """One report of every trial, then the best of them to their ends, as many as that share pays for; one at least.

    Equal first scores are drawn lots for.
    """
    first = {number: curve.scores[0] for number, curve in grid.curves.items()}
    finite = sorted(n for n, score in first.items() if math.isfinite(score))
    chance.shuffle(finite)
    ranked = sorted(finite, key=lambda number: -first[number])
    looks = sum(curve.steps[0] for curve in grid.curves.values())
    wanted = (share * grid.cost - looks) / (grid.steps - grid.every) if grid.steps > grid.every else 1.0
    count = max(1, math.floor(wanted) + (chance.random() < wanted % 1))
    trained = {n: len(grid.curves[n].steps) if n in ranked[:count] else 1 for n in grid.curves}
    return outcome(grid, trained)
