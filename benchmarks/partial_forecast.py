"""How many rows of a report ``freeze-thaw`` needs until what it decides then is the same for all scores in an interval.

Its decisions are no comparisons of two scores: each report moves the chances of all trials, and these are compared
with `STOP_CHANCE` and with each other. So a report is evaluated until the decisions of its round are those of the whole
score at both ends of the interval that the rows evaluated leave it, the other reports being known whole. The interval
is the normal one for sampling without replacement at a fixed number of rows: it is not valid under repeated looks, and
so errs towards fewer rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from orchestrator.schedulers.decision import Action, Decision
from orchestrator.schedulers.freeze_thaw import FreezeThaw
from orchestrator.schedulers.make import STOP_CHANCE
from orchestrator.schedulers.rung import Rung
from orchestrator.schedulers.simulation.curves import RecordedGrid
from orchestrator.schedulers.simulation.simulate import replay

LOOKS = (1 / 8, 1 / 4, 1 / 2)
"""Shares of the rows at which it is looked; else all."""


class Asking(FreezeThaw):
    """The scheduler, that finds out how many rows it would have needed.

    Attributes:
        rows: of each report, as a share, by the level of error.
    """

    def __init__(self, grid: RecordedGrid, right: dict[int, NDArray[np.bool_]], levels: Sequence[float]) -> None:
        known = {number: curve.configuration for number, curve in grid.curves.items()}
        super().__init__(grid.curves, grid.steps, STOP_CHANCE, known, grid.examples)
        self.answers, self.place = right, {n: {s: i for i, s in enumerate(c.steps)} for n, c in grid.curves.items()}
        self.rows: dict[float, list[float]] = {level: [] for level in levels}
        self._asked: set[tuple[int, int]] = set()

    def _compare(self, live: Collection[int], at: Mapping[int, Rung]) -> Any:
        made = list(super()._compare(live, at))
        whole = actions(made)
        new = [(n, step) for n in live for step in self.seen[n] if (n, step) not in self._asked]
        self._asked.update(new)
        for number, step in new:
            for level, found in self.rows.items():
                found.append(
                    next((look for look in LOOKS if self._same(whole, number, step, look, level, live, at)), 1.0)
                )
        return made

    def _same(
        self, whole: set[Any], number: int, step: int, look: float, level: float, live: Collection[int], at: Any
    ) -> bool:
        """Whether both ends of the interval lead to the same decisions."""
        own = self.answers[number][self.place[number][step]]
        count = round(look * len(own))
        share = float(own[:count].mean())
        spread = (max(share * (1 - share), 1 / len(own)) / count * (1 - count / len(own))) ** 0.5
        held, best = self.seen[number][step], self.best[number]
        try:
            for end in (-1.0, 1.0):
                score = 100.0 * (share + end * float(norm.isf(level / 2)) * spread)
                self.seen[number][step] = (score, held[1])
                self.best[number] = max(value for value, _ in self.seen[number].values())
                if actions(super()._compare(live, at)) != whole:
                    return False
        finally:
            self.seen[number][step], self.best[number] = held, best
        return True


def actions(decisions: Any) -> set[tuple[int, Action]]:
    """What becomes of whom."""
    return {(one.number, one.action) for one in decisions if isinstance(one, Decision)}


def rows_needed(
    grid: RecordedGrid, right: dict[int, NDArray[np.bool_]], order: NDArray[np.int64], levels: Sequence[float]
) -> dict[float, float]:
    """Mean share of the rows by level, in a search over the grid; last reports of trials, which are whole, count."""
    asking = Asking(grid, {n: own[:, order] for n, own in right.items()}, levels)
    replay(grid, asking, sorted(grid.curves), workers=1)
    whole = sum(curve.steps[-1] in asking.seen.get(number, {}) for number, curve in grid.curves.items())
    return {level: (sum(found) + whole) / (len(found) + whole) for level, found in asking.rows.items()}
