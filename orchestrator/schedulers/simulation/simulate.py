"""Runs a scheduler over recorded curves: a discrete-event simulation of workers that train one trial each."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.base import Scheduler
from orchestrator.schedulers.simulation.curves import RecordedGrid


@dataclass(frozen=True)
class Outcome:
    """What one replay found and spent.

    Attributes:
        share: of the whole grid's updates.
        regret: points that the chosen configuration's validation score lacks to the best one's.
        kept: whether the best configuration was trained to the end.
        near: whether the chosen one is within one validation example of the best.
        seconds: of the replayed search, from its start to the end of the last trial.
        waited: share of the workers' time in which they had nothing to do.
    """

    share: float
    regret: float
    kept: bool
    near: bool
    seconds: float = 0.0
    waited: float = 0.0


def replay(grid: RecordedGrid, scheduler: Scheduler, order: Sequence[int], workers: int = 1) -> Outcome:
    """One search over a recorded grid.

    Args:
        scheduler: fresh, for the grid's numbers and budget.
        order: in which trials start: the grid's numbers.
        workers: trials that train at the same time. A trial that waits gives its worker to another at once; moving it
            costs nothing.
    """
    return _Replay(grid, scheduler, order, workers).run()


def outcome(grid: RecordedGrid, trained: dict[int, int], seconds: float = 0.0, waited: float = 0.0) -> Outcome:
    """Judge what was found by the rule of a search: the best of those that reached the budget, else of all.

    Args:
        trained: how many reports of each trial were trained.
    """
    spent = sum(grid.curves[number].steps[count - 1] for number, count in trained.items() if count)
    finished = [n for n, count in trained.items() if count == len(grid.curves[n].steps) and not grid.curves[n].diverged]
    if finished:
        chosen = max(grid.curves[n].best for n in finished)
    else:
        seen = [s for n, count in trained.items() for s in grid.curves[n].scores[:count] if not grid.curves[n].diverged]
        chosen = max((score for score in seen if math.isfinite(score)), default=0.0)
    regret = max(0.0, grid.best - chosen)
    return Outcome(
        share=spent / grid.cost,
        regret=regret,
        kept=bool(finished) and regret < 1e-9,
        near=regret <= grid.one_example + 1e-9,
        seconds=seconds,
        waited=waited,
    )


class _Replay:
    def __init__(self, grid: RecordedGrid, scheduler: Scheduler, order: Sequence[int], workers: int) -> None:
        self.grid, self.scheduler, self.workers = grid, scheduler, workers
        self.fresh = list(order)[::-1]
        self.trained = dict.fromkeys(order, 0)
        self.paused: list[int] = []
        self.events: list[tuple[float, int, int]] = []  # when a report comes, a tie-breaker, whose
        self.clock = self.busy = 0.0
        self.started = 0

    def run(self) -> Outcome:
        self._hire()
        while self.events:
            self.clock, _, number = heapq.heappop(self.events)
            self._report(number)
            self._hire()
        idle = 1.0 - self.busy / (self.clock * self.workers) if self.clock else 0.0
        return outcome(self.grid, self.trained, self.clock, idle)

    def _report(self, number: int) -> None:
        curve, index = self.grid.curves[number], self.trained[number]
        self.trained[number] += 1
        loss = curve.losses[index] if curve.losses else None
        self.scheduler.report(number, curve.steps[index], curve.scores[index], loss=loss)
        if self.trained[number] == len(curve.steps):
            self.scheduler.end(number, TrialStatus.FINISHED)
        elif number not in self.scheduler.over:
            if self.scheduler.is_paused(number):
                self.paused.append(number)
            else:
                self._train(number)

    def _hire(self) -> None:
        while len(self.events) < self.workers:
            self.paused = [number for number in self.paused if number not in self.scheduler.over]
            number = next((n for n in self.paused if not self.scheduler.is_paused(n)), None)
            if number is None and self.fresh:
                self.paused.append(number := self.fresh.pop())
            if number is None and (number := self.scheduler.promotable(self.paused)) is not None:
                self.scheduler.promote(number)
            if number is None:
                return
            self.paused.remove(number)
            self._train(number)

    def _train(self, number: int) -> None:
        curve, index = self.grid.curves[number], self.trained[number]
        # Without recorded times an update takes a second: what is fast and what is slow is then equally fast.
        seconds = curve.seconds[index] or float(curve.steps[index] - (curve.steps[index - 1] if index else 0))
        self.busy += seconds
        self.started += 1
        heapq.heappush(self.events, (self.clock + seconds, self.started, number))
