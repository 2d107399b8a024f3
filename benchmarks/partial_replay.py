"""Replays of searches over recorded answers, that evaluate only so many rows as decisions need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.racing import Answers, Race, log_capital, log_mean
from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.base import Scheduler
from orchestrator.schedulers.decision import Action, Decision
from orchestrator.schedulers.median import Median
from orchestrator.schedulers.rung import Rung
from orchestrator.schedulers.simulation.curves import RecordedGrid
from orchestrator.schedulers.simulation.figures import Setting
from orchestrator.schedulers.simulation.simulate import replay

Right = dict[int, NDArray[np.bool_]]
"""By trial: which rows each of its reports answers right, (reports, N)."""


@dataclass(frozen=True)
class Claim:
    """A trial goes on or stops: what it was compared with.

    Attributes:
        keep: trials that go on of those who stand there; 0: it was compared with the median of running means.
        among: numbers of those, its own with them.
    """

    number: int
    step: int
    keep: int
    stops: bool
    among: tuple[int, ...]


@dataclass
class Trace:
    """What happened in a search that evaluated all rows.

    Attributes:
        events: reports (trial, index) and claims, in their order. finished: trials that came to their end.
    """

    events: list[tuple[int, int] | Claim] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)

    @property
    def reports(self) -> list[tuple[int, int]]:
        """Those of the events."""
        return [event for event in self.events if isinstance(event, tuple)]


class WatchedRung(Rung):
    """A rung that keeps what it decides."""

    events: list[Any]

    def decide(self, number: int, keep: int) -> Decision:
        """See `Rung.decide`."""
        decision = super().decide(number, keep)
        if 0 < keep < len(self.standings):
            stops = decision.action is Action.STOP
            self.events.append(Claim(number, self.step, keep, stops, tuple(self.standings)))
        return decision


class WatchedMedian(Median):
    """The median rule, that keeps what it decides."""

    events: list[Any]

    def _compare(self, rung: Rung, number: int) -> Decision:
        decision = super()._compare(rung, number)
        if decision.cutoff is not None:
            stops = decision.action is Action.STOP
            self.events.append(Claim(number, rung.step, 0, stops, tuple(self._means[rung.step])))
        return decision


def trace(grid: RecordedGrid, setting: Setting, order: Sequence[int], workers: int) -> Trace:
    """Run a search over a grid and keep its events."""
    found = Trace()
    scheduler: Scheduler = setting.make(grid)
    if isinstance(scheduler, Median):
        scheduler = WatchedMedian(grid.curves, grid.steps, scheduler.grace_period, scheduler.together)
        scheduler.events = found.events
    else:
        for step in scheduler.rungs:
            scheduler.rungs[step] = WatchedRung(step)
            scheduler.rungs[step].events = found.events  # type: ignore[attr-defined]
    count = dict.fromkeys(grid.curves, 0)
    report, end = scheduler.report, scheduler.end

    def watched(number: int, *args: Any, **more: Any) -> list[Decision]:
        found.events.append((number, count[number]))
        count[number] += 1
        return report(number, *args, **more)

    def ended(number: int, status: TrialStatus) -> list[Decision]:
        found.finished.append(number)
        return end(number, status)

    scheduler.report, scheduler.end = watched, ended  # type: ignore[method-assign]
    replay(grid, scheduler, order, workers)
    return found


@dataclass(frozen=True)
class Spent:
    """What a replay with a part of the rows spent and found.

    Attributes:
        rows: share of those that the same search evaluates with all rows at each report.
        at_rungs: the same share, of the reports up to the last rung that decided.
        decisions, wrong: how many there were, and how many came out otherwise.
        lost: points that the winner lacks to that of the same search with all rows.
    """

    rows: float
    at_rungs: float
    decisions: int
    wrong: int
    lost: float


class Partial:
    """One search, over again with a part of the rows.

    Args:
        late: whether reports are evaluated when a decision asks for them; else each at once, until it is certain that
            it is not the trial's best, or, at the rung, what is decided, or, behind the last rung, that it is not the
            best of all.
    """

    def __init__(self, grid: RecordedGrid, answers: Answers, level: float, late: bool) -> None:
        self.grid, self.late, self.level = grid, late, level
        self.race = Race(answers, level)
        self.whole = len(self.race.ends)
        self.stopped: set[int] = set()
        self.wrong = 0

    def run(self, found: Trace) -> Spent:
        """Replay the events."""
        claims = [event for event in found.events if isinstance(event, Claim)]
        rungs = {claim.step for claim in claims if claim.keep}
        last = max(rungs, default=0)
        best: tuple[int, int] | None = None
        for event in found.events:
            if isinstance(event, Claim):
                if self.resolve(event) and event.number in found.finished:
                    self.stopped.add(event.number)
                if not self.late and not event.stops:  # it may win
                    self.race.raise_to(event.number, [self.count(event.number, event.step) - 1], self.whole)
            elif not self.late:
                number, report = event
                step = self.grid.curves[number].steps[report]
                if step not in rungs:
                    best = self.at_once(number, report, best if step > last else None, len(found.reports))
                    best = best if step > last else None
        rest = [number for number in found.finished if number not in self.stopped]
        up_to = {n: self.count(n, last) for n in self.grid.curves}
        early = [(n, r) for n, r in found.reports if r < up_to[n]]
        rows = np.concatenate([[0], self.race.ends])
        at_rungs = sum(rows[self.race.known[n][r]] for n, r in early) / max(1, len(early)) / rows[-1]
        chosen = self.winner(rest) if rest else 0.0
        whole = max(self.grid.curves[n].best for n in found.finished)
        return Spent(
            self.race.spent / (len(found.reports) * rows[-1]), float(at_rungs), len(claims), self.wrong, whole - chosen
        )

    def count(self, number: int, step: int) -> int:
        """How many reports a trial has made at a step."""
        return sum(at <= step for at in self.grid.curves[number].steps)

    def at_once(self, number: int, report: int, leader: tuple[int, int] | None, reports: int) -> tuple[int, int]:
        """Evaluate a report until it is not the best of its trial (of all), else whole; returns who leads then."""
        race = self.race
        rival = leader or max(((number, r) for r in range(report)), key=lambda one: race.score(*one), default=None)
        look = self.whole
        if rival is not None:
            capital = log_capital(race.right[rival[0]][rival[1]], race.right[number][report], -1.0, race.ends)
            capital = capital[: race.known[rival[0]][rival[1]]]
            sure = np.flatnonzero(capital >= math.log((reports if leader else 2 * (report + 1)) / self.level))
            look = int(sure[0]) + 1 if len(sure) else self.whole
        race.raise_to(number, [report], look)
        if rival is None or (look == self.whole and race.score(number, report) > race.score(*rival)):
            return number, report
        return rival

    def resolve(self, claim: Claim) -> bool:
        """Evaluate until it is certain what is decided; returns whether that is to stop, against the truth."""
        others = [number for number in claim.among if number != claim.number]
        for turn in range(len(claim.among) * self.whole * max(len(c.steps) for c in self.grid.curves.values())):
            stops, to_do = self.certain(claim, others)
            if stops is not None:
                self.wrong += stops != claim.stops
                return stops and not claim.stops
            self.extend(claim, to_do, first=turn == 0)
        raise AssertionError(claim)

    def certain(self, claim: Claim, others: Sequence[int]) -> tuple[bool | None, list[int]]:
        """What is decided, None if that is open; and the trials to evaluate further."""
        wanted = math.log(2 * len(others) / self.level)
        if claim.keep:
            above, below = self.halving(claim, others)
            enough = (claim.keep, len(others) - claim.keep + 1)
        else:
            above, below = self.means(claim, others)
            enough = (len(others) // 2 + 1,) * 2
        sure = (above >= wanted, below >= wanted)
        if sure[0].sum() >= enough[0] or sure[1].sum() >= enough[1]:
            return bool(sure[0].sum() >= enough[0]), []
        if all((self.race.known[n][: self.count(n, claim.step)] == self.whole).all() for n in claim.among):
            return claim.stops, []  # an even number of others, and a score between the two in the middle
        lead = [self.standing(claim, n) - self.standing(claim, claim.number) for n in others]
        ranked = sorted(range(len(others)), key=lambda place: -lead[place])
        out = sum(value > 0 for value in lead) >= enough[0]
        chosen = ranked[: enough[0]] if out else ranked[::-1][: enough[1]]
        return None, [others[place] for place in chosen if not sure[0 if out else 1][place]]

    def standing(self, claim: Claim, number: int) -> float:
        """Of a trial at a claim, as far as it is known: its best, or, of another, the mean from the first rung on."""
        count = self.count(number, claim.step)
        if claim.keep or number == claim.number:
            return self.race.standing(number, count)
        return float(np.mean([self.race.score(number, report) for report in self.from_grace(number, claim.step)]))

    def from_grace(self, number: int, step: int) -> list[int]:
        """Reports that count in a running mean."""
        grace = Setting("median").first_rung(self.grid)
        return [r for r, at in enumerate(self.grid.curves[number].steps) if grace <= at <= step]

    def halving(self, claim: Claim, others: Iterable[int]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Of each other trial: evidence that it is above, and that it is not."""
        own, count, every = claim.number, self.count(claim.number, claim.step), list(others)
        above = self.race.best_are_above(every, [own], count, 0.0)
        return above, self.race.best_are_above([own], every, count, -1.0)

    def means(self, claim: Claim, others: Iterable[int]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The same where the others' running means are compared with the trial's best."""
        race, own = self.race, claim.number
        mine = self.count(own, claim.step)
        found: tuple[list[float], list[float]] = ([], [])
        for other in others:
            reports = self.from_grace(other, claim.step)
            look = np.minimum(race.known[own][:mine], race.known[other][reports].min())
            if not look.any():
                found[0].append(-math.inf)
                found[1].append(-math.inf)
                continue
            mean = race.right[other][reports].mean(axis=0)
            for kind, margin in ((0, 0.0), (1, -1.0 / len(reports))):
                one, two = (mean[None], race.right[own][:mine]) if kind == 0 else (race.right[own][:mine], mean[None])
                capital = log_capital(one, two, margin, race.ends)
                at = np.take_along_axis(capital, np.maximum(look - 1, 0)[:, None], 1)[:, 0]
                at = np.where(look > 0, at, -np.inf)
                found[kind].append(float(at.min() if kind == 0 else log_mean(at[:, None])[0]))
        return np.array(found[0]), np.array(found[1])

    def extend(self, claim: Claim, others: Sequence[int], first: bool) -> None:
        """A chunk more of those reports of the trial and of some others that are known least."""
        race, todo = self.race, []
        for number in [claim.number, *others]:
            count = self.count(number, claim.step)
            idle = race.idle(number, count) if claim.keep else np.zeros(count, bool)
            todo += [(number, r) for r in range(count) if not idle[r] and race.known[number][r] < self.whole]
        if not todo:  # nothing but what idles is left
            todo = [
                (n, r) for n in claim.among for r in range(self.count(n, claim.step)) if race.known[n][r] < self.whole
            ]
        least = min(race.known[number][report] for number, report in todo)
        for number, report in todo:
            if race.known[number][report] == least:
                race.raise_to(number, [report], least + 1)

    def winner(self, finished: Sequence[int]) -> float:
        """Race the reports of those that finished; what is not beaten is evaluated whole, and the best of it counts."""
        race = self.race
        reports = [(n, r) for n in finished for r in range(len(self.grid.curves[n].steps))]
        if not self.late:
            return max(race.score(n, r) for n, r in reports if race.known[n][r] == self.whole) * 100
        every = {n: len(self.grid.curves[n].steps) for n in finished}
        capital = np.concatenate(
            [np.concatenate([race.capital(a, every[a], b, every[b], 0.0) for b in finished], axis=1) for a in finished]
        )
        wanted = math.log(len(reports) / self.level)
        active = np.ones(len(reports), bool)
        for look in range(1, self.whole + 1):
            for place in np.flatnonzero(active):
                race.raise_to(reports[place][0], [reports[place][1]], look)
            beaten = (capital[:, :, look - 1] >= wanted)[active].any(axis=0)
            active &= ~beaten
        return max(race.score(*reports[place]) for place in np.flatnonzero(active)) * 100
