"""How much nights differ when nothing has changed, measured from the nights themselves, and tests against it.

Values are such that larger is better. A level is a stretch of nights between two changes; nights vary about its mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import median

import numpy as np
import numpy.typing as npt

FEWEST = 5
"""Nights from which their spread is known well enough to be used."""
_CLEAN_FROM = 8  # with fewer, the median deviation of good nights is too uncertain to call one of them an outlier
_OUTLIER = 3.5 * 1.4826  # median absolute deviations: 3.5 standard deviations of normal noise
_RECENT = 5
_GROWN = 0.01  # p at which the noise of the last nights alone is used


@dataclass(frozen=True)
class Spread:
    """The standard deviation of a night about its level.

    Attributes:
        freedom: degrees of freedom that it was estimated with.
        source: what it was found from, in words; empty for the nights themselves.
    """

    sd: float
    freedom: int
    source: str = ""


def spread(levels: Sequence[Sequence[float]], floor: float) -> Spread | None:
    """The spread of the nights of all levels about their own level's mean; None where there are fewer than `FEWEST`.

    Single nights far from the others of their level (a machine's bad hour) are left out; nights of another level are no
    measure for that: where nothing was learnt, scores hardly vary.

    Args:
        floor: the smallest standard deviation that is believed: a few equal nights do not prove that there is none.
    """
    deviations = [[value - median(level) for value in level] for level in levels if level]
    if sum(map(len, deviations)) < FEWEST:
        return None
    kept = [[one for one in part if abs(one) <= max(_outlier(part), _OUTLIER * floor)] for part in deviations]
    freedom = sum(len(part) - 1 for part in kept if part)
    if not freedom:
        return None
    return Spread(max(math.sqrt(sum(_squares(part) for part in kept if part) / freedom), floor), freedom)


def step_spread(level: Sequence[float], floor: float) -> Spread | None:
    """The spread of a night by the steps from each night to the next, which a slow drift does not make larger."""
    if len(level) < FEWEST:
        return None
    steps = [other - one for one, other in pairwise(level)]
    limit = max(_outlier(steps), _OUTLIER * floor)
    kept = [step for step in steps if abs(step) <= limit]
    # Neighbouring steps share a night: n of them tell as much as two thirds as many independent ones.
    return Spread(max(math.sqrt(sum(step * step for step in kept) / len(kept) / 2), floor), max(2 * len(kept) // 3, 1))


def center(level: Sequence[float]) -> float:
    """The mean of a level without the nights far from the others."""
    middle = median(level)
    limit = max(_outlier([value - middle for value in level]), 1e-12)
    kept = [value for value in level if abs(value - middle) <= limit]
    return sum(kept) / len(kept)


def likeness(level: Sequence[float]) -> float:
    """How much a night resembles the one before it: their correlation, 0 where it is none or too little is known.

    Such nights are no two independent witnesses: a machine's slow week, or another rounding that stays until the next
    change of the code.
    """
    if len(level) < _CLEAN_FROM:
        return 0.0
    middle = center(level)
    deviations = [value - middle for value in level]
    limit = max(_outlier(deviations), 1e-12)
    deviations = [max(-limit, min(one, limit)) for one in deviations]
    squares = sum(one * one for one in deviations)
    if not squares:
        return 0.0
    found = sum(one * other for one, other in pairwise(deviations)) / squares + 1 / len(level)  # its bias is -1 / n
    return min(max(found, 0.0), 0.8)


def _outlier(deviations: Sequence[float]) -> float:
    if len(deviations) < _CLEAN_FROM:
        return math.inf
    return _OUTLIER * median([abs(one) for one in deviations])


def _squares(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values)


def one_beyond(distance: float, nights: int, noise: Spread, heaviest: int | None = None) -> float:
    """The chance that a night of the same level lies so far below the mean of ``nights`` (Student's t).

    Args:
        heaviest: degrees of freedom at most: noise with tails as heavy as Student's t with so many is allowed for.
    """
    from scipy.special import stdtr

    freedom = min(noise.freedom, heaviest or noise.freedom)
    return float(stdtr(freedom, -distance / (noise.sd * math.sqrt(1 + 1 / nights))))


def both_beyond(nearer: float, nights: int, noise: Spread, alike: float = 0.0) -> float:
    """The chance that two nights of the same level both lie at least so far below the mean of ``nights``.

    Both are compared with the same mean and the same estimate of the spread, so their chances do not just multiply: it
    is the mean, over what mean and spread may truly be, of the square of one night's chance. One bad night, however
    bad, is never enough, and tails matter little: each night alone need not be rare.

    Args:
        alike: correlation of a night with the one before.
    """
    from scipy.special import ndtr

    scales, shifts, weights = _true_values(noise.freedom)
    shared = math.sqrt((1 + alike) / (1 - alike) / nights + alike)  # of the mean before, and of both nights alike
    beyond = ndtr((shifts[None, :] * shared - (nearer / noise.sd) * scales[:, None]) / math.sqrt(1 - alike)) ** 2
    return float((beyond @ weights).mean())


@lru_cache
def _true_values(freedom: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Ratios of an estimated to the true spread, each as likely; and normal deviates with their weights."""
    from scipy.stats import chi2

    deviates, weights = np.polynomial.hermite_e.hermegauss(41)
    likely = (np.arange(200) + 0.5) / 200
    return np.sqrt(chi2.ppf(likely, freedom) / freedom), deviates, weights / weights.sum()


@dataclass(frozen=True)
class Growth:
    """The noise of the last nights beside that of the nights before.

    Attributes:
        before, now: standard deviations. p: of the Brown-Forsythe test that they are equal.
    """

    before: float
    now: float
    p: float

    @property
    def is_sure(self) -> bool:
        """Whether the last nights are noisier beyond chance."""
        return self.now > self.before and self.p < _GROWN


def growth(level: Sequence[float]) -> Growth | None:
    """Whether the last five nights of a level vary more than those before; None where there are too few."""
    from scipy.stats import levene

    if len(level) < _RECENT + _CLEAN_FROM:
        return None
    before, now = np.asarray(level[:-_RECENT], dtype=float), np.asarray(level[-_RECENT:], dtype=float)
    if not now.std():
        return None
    return Growth(float(before.std(ddof=1)), float(now.std(ddof=1)), float(levene(before, now).pvalue))


def recent(level: Sequence[float], floor: float) -> Spread | None:
    """The spread of the last five nights, where they are noisier than those before: the old one is no measure then."""
    found = growth(level)
    return Spread(max(found.now, floor), _RECENT - 1) if found is not None and found.is_sure else None
