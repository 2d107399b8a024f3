"""Early stopping by a model of the learning curves: trials that may still win go on, in the order of their chances."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.base import Scheduler
from orchestrator.schedulers.decision import Action, Decision, Expectation
from orchestrator.schedulers.forecast import PRIORS, Array, Forecaster, Prior, Report
from orchestrator.schedulers.rung import Rung

NEAR = 0.5
"""Trials go on whose chance to be the best is at least this share of the leader's; the others wait."""


class FreezeThaw(Scheduler):
    """Trains report by report those trials that are most likely the best, and ends what can hardly win any more.

    Every trial waits at each of its reports. When all that may train have reported, `forecast` says how each trial
    will end, and so how likely it is to be the best. Those with no more than ``chance`` to beat all others by more
    than one validation example are stopped, the least likely first; the leader and those near it (`NEAR`) go on to
    their next report; the others stay as they are, and go on when their chances have risen. So the search is over when
    one trial has come to its end and no other has more than ``chance`` of beating it.

    Decisions rest on the same reports in whatever order these come: a search is decided alike on any number of
    workers, with or without ``--deterministic``.

    Args:
        chance: above 0, below 1.
        configurations: by number, as far as they are known beforehand; near ones learn from each other.
        examples: of the validation split; 0 where not known.
    """

    name = "freeze-thaw"

    def __init__(
        self,
        numbers: Iterable[int],
        steps: int,
        chance: float,
        configurations: Mapping[int, Mapping[str, Any]] | None = None,
        examples: int = 0,
        priors: Sequence[Prior] = PRIORS,
    ) -> None:
        super().__init__(numbers, steps)
        self.chance, self.examples = chance, examples
        self.configurations = {n: dict(values) for n, values in (configurations or {}).items() if n in self.numbers}
        self.seen: dict[int, dict[int, Report]] = {}
        self._forecaster = Forecaster(sorted(self.numbers), steps, self.configurations, examples, priors)

    @property
    def settings(self) -> dict[str, Any]:
        """What the decisions depend on beside the reports."""
        return {
            **super().settings,
            "stop_chance": self.chance,
            "examples": self.examples,
            "configurations": [[number, values] for number, values in sorted(self.configurations.items())],
        }

    def note(self, number: int, step: int, score: float, best: float | None = None, loss: float | None = None) -> None:
        """Take a report in without deciding."""
        if number not in self.over and math.isfinite(score):
            known = loss if loss is not None and math.isfinite(loss) else None
            self.seen.setdefault(number, {}).setdefault(step, (score, known))
        super().note(number, step, score, best, loss)

    def start(self, number: int, anew: bool = False) -> None:
        """A trial that had ended is trained again."""
        super().start(number, anew)
        if anew:
            self.seen.pop(number, None)

    def take(self, decision: Decision) -> None:
        """Let a decision count: it lifts what the trial waited for earlier (after a search whose journal was lost)."""
        super().take(decision)
        if decision.action in (Action.CONTINUE, Action.STOP):
            for rung in self.rungs.values():
                if rung.step < decision.step and decision.number in rung.open:
                    rung.take(decision.number, decision.action)

    def _pass(self, number: int, step: int, score: float) -> None:
        if step < self.steps:
            self.enter(self.rungs.setdefault(step, Rung(step)), number)

    def _decide(self, rung: Rung, open_: list[int]) -> Iterable[Decision]:
        raise NotImplementedError("decided over all rungs at once")

    def _decide_all(self) -> list[Decision]:
        live = sorted(self.numbers - self.over.keys())
        at = {number: rung for _, rung in sorted(self.rungs.items()) for number in rung.open}
        if not live or any(number not in at for number in live):
            arrived = [n for n in live if n in at and n not in at[n].actions]
            return [*self._taken(at[n].decision(n, Action.PAUSE) for n in arrived)]
        return [*self._taken(list(self._compare(live, at)))]

    def _compare(self, live: Collection[int], at: Mapping[int, Rung]) -> Iterator[Decision]:
        """Who is stopped, who goes on, and, of those who have just come by, who waits."""
        ends = self._ends()
        place = self._forecaster.index
        pool = [n for n in sorted(self.numbers) if n in live or self.over.get(n) is TrialStatus.FINISHED]
        leads = np.bincount(ends[:, [place[n] for n in pool]].argmax(axis=1), minlength=len(pool)) / len(ends)
        mean = {n: float(ends[:, place[n]].mean()) for n in pool}
        to_lead = dict(zip(pool, leads.tolist(), strict=True))
        ranked = sorted(live, key=lambda n: (to_lead[n], mean[n], -n))  # the least likely first
        best = max(pool, key=lambda n: (mean[n], -n))
        wins, left = {}, list(pool)
        for number in ranked:
            others = [place[n] for n in left if n != number]
            beaten = ends[:, others].max(axis=1) if others else np.full(len(ends), -np.inf)
            wins[number] = float((ends[:, place[number]] > beaten + self._example).mean())
            if others and wins[number] <= self.chance:
                left.remove(number)
        least = NEAR * max((to_lead[n] for n in ranked if n in left), default=0.0)
        for number in ranked:
            if number not in left:
                action = Action.STOP
            elif to_lead[number] >= least:
                action = Action.CONTINUE
            elif number in at[number].actions:
                continue
            else:
                action = Action.PAUSE
            own, top = ends[:, place[number]], ends[:, place[best]]
            expected = Expectation(
                round(mean[number], 2), round(float(own.std()), 2), round(mean[best], 2), round(float(top.std()), 2),
                round(wins[number], 4),
            )  # fmt: skip
            yield at[number].decision(number, action, expected=expected)

    def _ends(self) -> Array:
        """The best score that each trial will have had, in points: samples x trials; below all for those out of it."""
        ends = self._forecaster.ends(self.seen)
        for number, place in self._forecaster.index.items():
            over = self.over.get(number)
            if over is None:
                ends[:, place] = np.maximum(ends[:, place], self.best[number])
            else:
                finished = over is TrialStatus.FINISHED
                ends[:, place] = self.best.get(number, -np.inf) if finished else -np.inf
        return ends

    @property
    def _example(self) -> float:
        return 100.0 / self.examples if self.examples else 0.0
