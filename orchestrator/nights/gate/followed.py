"""One quantity of one cell through the nights that can be compared, and the finding of the last of them."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.nights.gate.level import Change, Level
from orchestrator.nights.gate.noise import FEWEST, Spread, growth
from orchestrator.nights.gate.quantities import HARDWARE, MEASURES
from orchestrator.nights.gate.rows import KeptAnswers, RowEvidence
from orchestrator.nights.gate.sentences import causes, commits_between, probability
from orchestrator.nights.gate.training_noise import training_spread
from orchestrator.nights.night import Cell, CellStatus, Night
from orchestrator.nights.verdict import Finding, Outcome, Quantity
from orchestrator.sweep.rules import GateRules

_SAME = {"data": "the data", "backbone": "the backbone's weights"}
"""Parts of a cell's fingerprint, in words: nights in which they differ are not compared."""
_NOTED = 0.002  # p at which growing noise is mentioned

Measured = tuple[Night, Cell]


def comparable(night: Night, cell: Cell, before: Sequence[Night]) -> tuple[list[Measured], str]:
    """The nights that measured a cell on the same data, backbone and precision, this one last; and why no more, if so.

    Nights before a change of the data are left out, also where the data changed back.
    """
    found: list[Measured] = [(night, cell)]
    for one in reversed(before):
        other = one.cell(cell.key)
        if other is None or other.status is not CellStatus.MEASURED:
            continue
        if what := differing(cell, other):
            return found[::-1], f"{what} changed after {one.date}"
        found.append((one, other))
    return found[::-1], ""


def differing(cell: Cell, other: Cell) -> str:
    """Why the scores of two cells cannot be compared; empty where they can."""
    if cell.precision != other.precision:
        return f"the precision ({other.precision} to {cell.precision})"
    parts = (words for part, words in _SAME.items() if cell.parts.get(part) != other.parts.get(part))
    return next(parts, "" if cell.metric == other.metric or not other.metric else "the metric")


class Followed:
    """A quantity from night to night.

    Args:
        nights: that measured the cell on the same data, the one judged last. cells: in the sweep.
        apart: why earlier nights are left out; empty where they are not.

    Attributes:
        level: after the last night.
    """

    def __init__(
        self,
        quantity: Quantity,
        nights: Sequence[Measured],
        cells: int,
        rules: GateRules,
        kept: KeptAnswers,
        apart: str = "",
    ) -> None:
        self.quantity, self.measure, self.apart, self._kept = quantity, MEASURES[quantity], apart, kept
        self.night, self.cell = nights[-1]
        self.limits = self.measure.limits(rules, cells)
        self.nights: list[Measured] = []
        for one in nights:
            if self.measure.on_hardware and _hardware(one[0]) != _hardware(self.night):
                self.apart = f"{one[0].date} ran on other hardware"
            elif self.measure.of(*one) is not None:
                self.nights.append(one)
        self.now = self.measure.of(self.night, self.cell)
        self.level = Level(self.limits)
        self.is_repeated = False
        for number, one in enumerate(self.nights):
            self._follow(number, one)

    def _follow(self, number: int, one: Measured) -> None:
        value = self.measure.of(*one)
        assert value is not None
        previous = self.nights[number - 1][1] if number else None
        # The same answers as the night before are the same training again: they are no second piece of evidence.
        self.is_repeated = (
            self.quantity is Quantity.SCORE and previous is not None and _outcome(previous) == _outcome(one[1])
        )
        if self.is_repeated:
            self.level.change = self.level.unsure = None
            return
        if self.quantity is Quantity.SCORE:
            self.level.follow(number, self.measure.level_value(value), self._rows, self.early)
        else:
            self.level.follow(number, self.measure.level_value(value))

    def _rows(self, now: Sequence[int], before: Sequence[int], direction: int) -> RowEvidence | None:
        new, old = ([self.nights[night][1] for night in side] for side in (now, before))
        return self._kept.evidence(new, old, direction, self.limits.single)

    def early(self, nights: Sequence[int]) -> Spread:
        """How much two trainings differ, before the nights tell it."""
        scores = [[one.score for one in self.nights[night][1].scores] for night in nights]
        return training_spread(scores, self.limits.floor)

    def finding(self) -> Finding:
        """What the last night says."""
        if self.now is None:
            return self._not_compared(self.measure.why_not(self.night, self.cell))
        level, earlier = self.level, len(self.nights) - 1
        if level.change is not None:
            return self._changed(level.change)
        if not self.is_repeated and not level.tested:
            return self._not_compared(self._too_few(earlier))
        if level.unsure is not None:
            return self._unsure(level.unsure)
        if level.standing is not None and level.standing.before - self.level_now >= self.limits.least:
            return self._standing(level.standing)
        return self._fine()

    @property
    def level_now(self) -> float:
        """The last night's value as it is followed."""
        return self.measure.level_value(self.now or 1.0)

    def _too_few(self, earlier: int) -> str:
        if not earlier:
            return f"{self.apart}, and this is the first night since" if self.apart else "it is the first night"
        needed = FEWEST + (0 if self.limits.single else 1)
        since = f"{self.apart}; since then " if self.apart else ""
        return f"{since}there are {earlier} of the {needed} earlier nights that tell how much nights differ"

    def _not_compared(self, why: str) -> Finding:
        return self._made(Outcome.NOT_COMPARED, f"{self.measure.name} not compared: {why}.")

    def _changed(self, change: Change) -> Finding:
        outcome = Outcome.BETTER if change.direction > 0 else Outcome.WORSE
        first, last = self.nights[change.first], self.nights[self._last_before(change)]
        n, test = self._test_of(change)
        before, now = self.measure.value(change.before), self.measure.value(change.now)
        sentence = f"{self._from_to(before, now)} ({test}), since {first[0].date}; {causes(last, first)}."
        return self._made(outcome, sentence, before, now, n, test, first[0].date, commits_between(last[0], first[0]))

    def _unsure(self, change: Change) -> Finding:
        first, last = self.nights[change.first], self.nights[self._last_before(change)]
        n, test = self._test_of(change)
        before, now = self.measure.value(change.before), self.measure.value(change.now)
        advice = "" if len(self.cell.scores) > 2 else "; `seeds: 3` in the sweep file would tell"
        sentence = (
            f"{self._from_to(before, now)}: the rows say worse, but one training may differ so much from another "
            f"({test}){advice}; {causes(last, first)}."
        )
        return self._made(
            Outcome.UNSURE, sentence, before, now, n, test, first[0].date, commits_between(last[0], first[0])
        )

    def _standing(self, change: Change) -> Finding:
        first, last = self.nights[change.first], self.nights[self._last_before(change)]
        before, assumed = self.measure.value(change.before), self.now
        found = self.nights[change.found][0].date
        sentence = (
            f"{self.measure.name} is still worse than before {first[0].date}: "
            f"{self._from_to(before, assumed or 0.0)}; reported on {found}; {causes(last, first)}."
        )
        commits = commits_between(last[0], first[0])
        return self._made(Outcome.STANDING, sentence, before, assumed, self.cell_n, "", first[0].date, commits)

    def _fine(self) -> Finding:
        reference = [night for night in self.level.nights if night != len(self.nights) - 1]
        reference = reference[-self.limits.window :] or self.level.nights
        values = self.level.of(reference)
        before = self.measure.value(sum(values) / len(values))
        grown = growth(self.level.of(self.level.nights[-self.limits.window :]))
        note = ""
        if grown is not None and grown.is_sure and grown.p < _NOTED:
            note = (
                f"; nights differ more than they did: their standard deviation was {grown.before:.2g} and is "
                f"{grown.now:.2g} in the last five (Brown-Forsythe test, {probability(grown.p)})"
            )
        same = "every answer is the one of the night before" if self.is_repeated else "no change beyond noise"
        sentence = f"{self._from_to(before, self.now or 0.0)}: {same}{note}."
        return self._made(Outcome.FINE, sentence, before, self.now, self.cell_n)

    @property
    def cell_n(self) -> int:
        """Test examples, for scores; else the nights that count."""
        if self.quantity is Quantity.SCORE:
            return self.cell.scores[0].n if self.cell.scores else 0
        return len(self.level.nights)

    def _last_before(self, change: Change) -> int:
        return max(change.first - 1, 0)

    def _test_of(self, change: Change) -> tuple[int, str]:
        rows = ""
        if change.rows is not None and (change.rows.is_paired or change.noise.source):
            rows = f"{change.rows.name}: {probability(change.rows.p)}"
        if change.noise.source:
            own = (
                f"against the noise of training, {change.noise.sd:.1f} points {change.noise.source}, "
                f"{probability(change.p)}"
            )
            return (change.rows.n if change.rows else 0), f"{rows}; {own}"
        side = "above" if change.direction * self.measure.sign > 0 else "below"
        what = "this night" if change.first == change.found else "two nights in a row"
        own = f"{what} {side} what the {change.nights} before allow by their noise, {probability(change.p)}"
        n = self.cell_n if self.quantity is Quantity.SCORE else change.nights
        return n, f"{own}; {rows}" if rows else own

    def _from_to(self, before: float, now: float) -> str:
        shown = self.measure.shown
        if not self.measure.is_ratio:
            seeds = f", {len(self.cell.scores)} seeds" if len(self.cell.scores) > 1 else ""
            return (
                f"{self.cell.metric or self.measure.name} from {shown(before, self.night)} to {shown(now, self.night)} "
                f"points (n = {self.cell_n:,}{seeds})"
            )
        return (
            f"{self.measure.name} from {shown(before, self.night)} to {shown(now, self.night)} "
            f"({now / before - 1:+.1%}{', calibrated' if self.quantity is Quantity.SPEED else ''})"
        )

    def _made(
        self,
        outcome: Outcome,
        sentence: str,
        before: float | None = None,
        now: float | None = None,
        n: int = 0,
        test: str = "",
        since: str = "",
        commits: str = "",
    ) -> Finding:
        return Finding(
            key=self.cell.key,
            quantity=self.quantity,
            outcome=outcome,
            before=before,
            now=now,
            n=n,
            test=test,
            since=since,
            commits=commits,
            sentence=f"{self.cell.key}: {sentence}",
        )


def _hardware(night: Night) -> tuple[str, ...]:
    return tuple(night.provenance.get(fact, "") for fact in HARDWARE)


def _outcome(cell: Cell) -> tuple[object, ...]:
    return (
        tuple((one.seed, one.score) for one in cell.scores),
        cell.validation,
        cell.share_of_grid,
        tuple(sorted((name, str(value)) for name, value in cell.configuration.items())),
    )
