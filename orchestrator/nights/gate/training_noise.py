"""How much two trainings of the same thing differ, before there are nights enough to measure it.

The rows of the test split cannot say it: that two models answer differently is certain long before either is better.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from orchestrator.nights.gate.noise import Spread

ASSUMED_SD, ASSUMED_FREEDOM = 4.0, 10
"""Points by which one training's score is assumed to vary, and how firmly (as if from so many more trainings), where
neither seeds nor nights say it: wide, since short trainings of small models vary by 6 points, long ones by less than
one."""
LEAST_FREEDOM = 4
"""Degrees of freedom from which seeds alone are believed: three seeds in two nights."""


def seed_squares(nights: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Squared deviations of a mean over seeds, summed, and their degrees of freedom, by how a night's seeds differ.

    Args:
        nights: each night's score by seed, in points.
    """
    squares = sum(statistics.variance(night) * (len(night) - 1) for night in nights if len(night) > 1)
    return squares / min(map(len, nights)), sum(len(night) - 1 for night in nights)


def training_spread(nights: Sequence[Sequence[float]], floor: float) -> Spread:
    """The standard deviation of a night's mean over seeds.

    Args:
        nights: each night's score by seed, in points. Seeds of one night differ as trainings do; so do nights' means.
        floor: the smallest standard deviation that is believed.
    """
    seeds = min(map(len, nights))
    squares, within = seed_squares(nights)
    if within >= LEAST_FREEDOM:
        return Spread(max(math.sqrt(squares / within), floor), within, f"from {seeds} seeds a night")
    # Of few seeds and nights: the mean of what they say and of what is assumed, each by its weight. The last night is
    # the one in question, so that its distance from the others is no evidence of noise.
    means = [statistics.fmean(night) for night in nights[:-1]]
    between = len(means) - 1
    squares += statistics.variance(means) * between if between > 0 else 0.0
    squares += ASSUMED_FREEDOM * ASSUMED_SD**2 / seeds
    freedom = within + max(between, 0) + ASSUMED_FREEDOM
    return Spread(max(math.sqrt(squares / freedom), floor), freedom, "assumed as long as so little is known")
