"""Learning curves for the tests of early stopping, drawn from a seed, and a worker pool without clocks."""

from __future__ import annotations

import random
from typing import Any

from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.decision import Action, Decision
from orchestrator.schedulers.journaled import JournaledScheduler

BUDGET, EVERY = 900, 100


def curves(seed: int, trials: int = 12) -> dict[int, list[float]]:
    """Scores at 100, 200, ... 900 of each trial: a level that is approached at its own pace, with ties and noise."""
    draw = random.Random(seed)
    found = {}
    for number in range(1, trials + 1):
        level, pace = draw.choice([0.0, 30.0, 60.0, 60.0, draw.uniform(20, 80)]), draw.uniform(0.3, 3)
        found[number] = [
            round(level * (1 - (1 + step) ** -pace) + draw.gauss(0, 2) * (level > 0), 1)
            for step in range(BUDGET // EVERY)
        ]
    return found


def losses(seed: int, trials: int = 12) -> dict[int, list[float]]:
    """Validation losses beside `curves`: falling, no two alike."""
    draw = random.Random(-seed)
    floors = {number: draw.uniform(0.2, 2.0) for number in range(1, trials + 1)}
    return {n: [floor + draw.uniform(0.5, 1.0) / (1 + step) for step in range(9)] for n, floor in floors.items()}


def report_of(scores: list[float], index: int, losses: list[float] | None = None) -> dict[str, Any]:
    last = index + 1 == len(scores)
    best = max(scores[: index + 1])
    report = {"step": EVERY * (index + 1), "score": scores[index], "best_score": best, "status": _status(last)}
    return report if losses is None else {**report, "validation/loss": losses[index]}


def _status(last: bool) -> str:
    return "finished" if last else "running"


class Workers:
    """Trains one report of a trial drawn at random, over and over, as a scheduler lets it; `at` is what was trained."""

    def __init__(
        self,
        journaled: JournaledScheduler,
        scores: dict[int, list[float]],
        order: random.Random,
        at_once: int = 3,
        losses: dict[int, list[float]] | None = None,
    ) -> None:
        self.journaled, self.scores, self.order, self.at_once, self.losses = journaled, scores, order, at_once, losses
        self.at = dict.fromkeys(scores, 0)
        self.fresh = order.sample(sorted(scores), len(scores))
        self.running: list[int] = []
        self.trained = 0

    def run(self, events: int = 10**6) -> list[Decision]:
        """Go on until all is over, or for so many reports."""
        made: list[Decision] = []
        while events and self._hire():
            events -= 1
            number = self.order.choice(self.running)
            report = report_of(self.scores[number], self.at[number], self.losses[number] if self.losses else None)
            self.at[number] += 1
            self.trained += 1
            made += self.journaled.report(number, report)
            if report["status"] == "finished":
                made += self.journaled.end(number, TrialStatus.FINISHED)
            self.running = [n for n in self.running if self._runs(n)]
        return made

    def resumed(self, journaled: JournaledScheduler, order: random.Random) -> Workers:
        """The same search after a kill: trials go on where they were."""
        again = Workers(journaled, self.scores, order, self.at_once, self.losses)
        again.at, again.fresh, again.trained = dict(self.at), [n for n in again.fresh if n not in journaled.stops], 0
        again.fresh = [n for n in again.fresh if again._runs(n)]
        return again

    def _runs(self, number: int) -> bool:
        return number not in self.journaled.scheduler.over and self.journaled.action(number) is Action.CONTINUE

    def _hire(self) -> bool:
        while len(self.running) < self.at_once:
            waiting = [n for n in self.scores if self.at[n] and self.journaled.action(n) is Action.PAUSE]
            released = [
                n for n in self.scores if self.at[n] and self._runs(n) and n not in self.running and n not in self.fresh
            ]
            if released:
                self.running.append(released[0])
            elif self.fresh:
                self.running.append(self.fresh.pop(0))
            elif (promoted := self.journaled.scheduler.promotable(waiting)) is not None:
                self.journaled.promote(promoted)
                self.running.append(promoted)
            else:
                break
        return bool(self.running)
