"""What is compared of a cell from night to night: where it stands, what is worse, how it is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.nights.gate.level import Limits
from orchestrator.nights.night import Cell, Night
from orchestrator.nights.verdict import Quantity
from orchestrator.sweep.rules import GateRules

HARDWARE = ("cpu", "gpu")
"""Keys of a night's provenance: speed and memory are compared between nights on the same."""
MARGIN = 0.3
"""Part of the chance of a false alarm that is given to the tests: noise with heavy tails, or in which a night resembles
the one before, gives more alarms than they say (`python -m benchmarks.gate_rates`)."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How one quantity is compared.

    Attributes:
        name: in sentences. share: of the sweep's chance of a false alarm.
        of: its value, None where the night has none. why_not: the reason then.
        sign: 1 where larger is better, -1 where smaller is.
        is_ratio: compared by ratios, not by differences.
        least: the smallest change that counts, as a difference of `level_value`.
        single, both: parts of the chance that are spent on a single night and on two in a row; without the first, two
            nights are needed.
        on_hardware: compared between nights on the same hardware only.
        shown: a value in words, as it would be in that night.
    """

    name: str
    share: float
    of: Callable[[Night, Cell], float | None]
    why_not: Callable[[Night, Cell], str]
    sign: int
    is_ratio: bool
    least: Callable[[GateRules], float]
    single: float = 0.0
    both: float = 1.0
    on_hardware: bool = False
    shown: Callable[[float, Night], str]

    def level_value(self, value: float) -> float:
        """The value as it is followed: larger is better, and ratios are differences."""
        return self.sign * (math.log(value) if self.is_ratio else value)

    def value(self, level_value: float) -> float:
        """The value back from that."""
        return math.exp(self.sign * level_value) if self.is_ratio else self.sign * level_value

    def limits(self, rules: GateRules, cells: int) -> Limits:
        """How it is followed in a sweep of so many cells."""
        chance = MARGIN * rules.false_alarms * self.share / cells
        return Limits(chance * self.both, chance * self.single, self.least(rules), rules.window)


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 and math.isfinite(value) else None


def _relative_speed(night: Night, cell: Cell) -> float | None:
    speed, kernel = _positive(cell.updates_per_second), _positive(night.calibration)
    return speed / kernel if speed and kernel else None


CHAMPION = 0.2
"""Part of a score's chance that is spent on the comparison with the champion."""

MEASURES: Mapping[Quantity, Measure] = {
    Quantity.SCORE: Measure(
        name="score",
        share=0.5,
        of=lambda night, cell: cell.score,
        why_not=lambda night, cell: "it has no test score",
        sign=1,
        is_ratio=False,
        least=lambda rules: max(rules.points, 1e-6),
        single=0.15,
        both=0.65,
        shown=lambda value, night: f"{value:.2f}",
    ),
    Quantity.SPEED: Measure(
        name="speed",
        share=0.3,
        of=_relative_speed,
        why_not=lambda night, cell: (
            "the calibration kernel was not measured in this night"
            if _positive(cell.updates_per_second)
            else "updates a second were not measured"
        ),
        sign=1,
        is_ratio=True,
        least=lambda rules: -math.log1p(-rules.slowdown),
        on_hardware=True,
        shown=lambda value, night: f"{value * (night.calibration or 1.0):.3g} updates a second",
    ),
    Quantity.MEMORY: Measure(
        name="peak memory",
        share=0.1,
        of=lambda night, cell: _positive(cell.peak_memory),
        why_not=lambda night, cell: "peak memory was not measured",
        sign=-1,
        is_ratio=True,
        least=lambda rules: math.log1p(rules.memory),
        on_hardware=True,
        shown=lambda value, night: f"{value / 2**20:,.0f} MiB",
    ),
    Quantity.EFFICIENCY: Measure(
        name="share of the grid's steps",
        share=0.1,
        of=lambda night, cell: _positive(cell.share_of_grid),
        why_not=lambda night, cell: "the share of the grid's steps is not known",
        sign=-1,
        is_ratio=True,
        least=lambda rules: math.log1p(rules.efficiency),
        shown=lambda value, night: f"{value:.1%}",
    ),
}
