"""A quantity followed from night to night: its level, and the nights in which that changed.

Two nights in a row that both lie beyond the noise are a change; for quantities that do not depend on a machine's hour,
a single night far beyond it is, too. A change cuts the history: from then on nights are compared with the new level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestrator.nights.gate.noise import FEWEST, Spread, both_beyond, center, likeness, one_beyond, recent, spread
from orchestrator.nights.gate.rows import RowEvidence

CONFIRMED = 0.01
"""Largest p of the test over rows with which a change of a score is one, where the rows' answers are kept."""
HEAVIEST = 3
"""A single night that no test over rows confirms has to lie beyond noise with the tails of Student's t with 3 degrees
of freedom."""

Rows = Callable[[Sequence[int], Sequence[int], int], RowEvidence | None]
"""(nights now, nights before, direction) -> the test over test rows; None where nothing is known of them."""
Early = Callable[[Sequence[int]], Spread]
"""Nights -> how much two trainings of the same thing differ, as far as it is known before nights enough are."""


@dataclass(frozen=True)
class Limits:
    """How a quantity is followed.

    Attributes:
        both: chance of a false change in two nights in a row. single: of one in a single night; 0 for none such.
        least: a smaller change is none. window: nights of a level that count.
    """

    both: float
    single: float
    least: float
    window: int

    @property
    def floor(self) -> float:
        """The smallest standard deviation that is believed."""
        return self.least / 3


@dataclass(frozen=True)
class Change:
    """The level changed.

    Attributes:
        first, found: nights: the first of the new level, and that in which it was found.
        direction: 1 for better, -1 for worse.
        before, now: means of the old level and of the nights found. nights: that the old level's mean is over.
        p: chance of it without a change, by the noise. noise: what that was taken to be.
        rows: the test over test rows, where there was one.
    """

    first: int
    found: int
    direction: int
    before: float
    now: float
    nights: int
    p: float
    noise: Spread
    rows: RowEvidence | None = None


@dataclass
class Level:
    """Where a quantity stands after the nights followed so far.

    Attributes:
        nights: of this level. earlier: levels before, as nights each.
        change: in the night followed last; None where there was none.
        standing: the change for the worse that has not been made good, nor been there for a whole window of nights.
        tested: whether the last night could be compared at all.
        unsure: a loss in the last night that the test rows confirm, and that two trainings of the same thing may well
            differ by as far as is known; None where there was none.
    """

    limits: Limits
    values: dict[int, float] = field(default_factory=dict)
    nights: list[int] = field(default_factory=list)
    earlier: list[list[int]] = field(default_factory=list)
    change: Change | None = None
    standing: Change | None = None
    tested: bool = False
    unsure: Change | None = None

    def of(self, nights: Sequence[int]) -> list[float]:
        """Their values."""
        return [self.values[night] for night in nights]

    def noise(self, reference: Sequence[int]) -> Spread | None:
        """The spread of nights about their level, over the last ones of this level and of those before."""
        left = self.limits.window - len(reference)
        older: list[list[int]] = []
        for level in reversed(self.earlier):
            if left > 0:
                older.append(level[-left:])
                left -= len(level)
        return spread([self.of(reference), *(self.of(level) for level in older)], self.limits.floor)

    def follow(self, night: int, value: float, rows: Rows | None = None, early: Early | None = None) -> None:
        """Take up the next night.

        Args:
            early: stands in for the noise of the nights until that is known; needed where ``rows`` are.
        """
        self.values[night] = value
        self.change, self.unsure, window = None, None, self.limits.window
        reference = self.nights[-window:]
        # Two nights first: a single one would date a change by a night too late.
        two = (self.nights[-window - 1 : -1], [self.nights[-1], night], self.limits.both) if self.nights else None
        tests = [two] if two is not None and two[0] else []
        if self.limits.single:
            tests.append((reference, [night], self.limits.single))
        self.tested = False
        for before, now, chance in tests:
            found = self._changed(before, now, chance, rows, early)
            if found is not None:
                self.unsure = None
                self._cut(before, now, found)
                return
        self.nights.append(night)
        if self.standing is not None and night - self.standing.found > window:
            self.standing = None

    def _changed(
        self, before: list[int], now: list[int], chance: float, rows: Rows | None, early: Early | None
    ) -> Change | None:
        known = len(before) + sum(map(len, self.earlier))
        if not before or (known < FEWEST and early is None):
            return None
        self.tested = True
        level, new = center(self.of(before)), self.of(now)
        distances = [value - level for value in new]
        mean = sum(distances) / len(now)
        direction = 1 if mean > 0 else -1
        nearer = min(direction * distance for distance in distances)
        if abs(mean) < self.limits.least or nearer <= 0:
            return None
        noise = self.noise(before)

        def p(noise: Spread, heaviest: int | None = None) -> float:
            if len(now) == 1:
                return one_beyond(nearer, len(before), noise, heaviest)
            return both_beyond(nearer, len(before), noise, likeness(self.of(before)))

        def change(noise: Spread) -> Change:
            return Change(now[0], now[-1], direction, level, level + mean, len(before), p(noise), noise, evidence)

        if noise is not None and p(noise) > chance:
            return None
        noisier = recent(self.of(before), self.limits.floor)
        if noisier is not None and p(noisier) > chance:
            return None
        evidence = rows(now, before[-len(now) :], direction) if rows is not None else None
        by_rows = evidence is not None and evidence.p <= chance
        if noise is None:
            if early is None or not by_rows:
                return None
            found = change(early([*before, *now]))
            if found.p > chance:
                self.unsure = found if direction < 0 else None
                return None
            return found
        if evidence is not None and evidence.is_paired and evidence.p > CONFIRMED:
            return None
        if len(now) == 1 and not by_rows and p(noise, HEAVIEST) > chance:
            return None
        return change(noise)

    def _cut(self, before: list[int], now: list[int], change: Change) -> None:
        noise = self.noise(before)
        near = max(self.limits.least, 3.0 * noise.sd if noise is not None else 0.0)
        kept = [night for night in self.nights if night not in now]
        levels = [level for level in self.earlier if abs(center(self.of(level)) - change.now) < near]
        old = levels[-1] if levels else []
        self.change = change
        if change.direction < 0 and self.standing is None:
            self.standing = change
        elif self.standing is not None and change.now > self.standing.before - near:
            self.standing = None
        # Back at a level that was left: its nights count again.
        self.earlier = [*(level for level in self.earlier if level is not old), kept]
        self.nights = [*old, *now]
