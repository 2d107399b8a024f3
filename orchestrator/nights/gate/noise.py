"""How much nights differ when nothing has changed, measured from the nights themselves, and tests against it.

Values are such that larger is better. A level is a stretch of nights between two changes; nights vary about its mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

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
    """

    sd: float
    freedom: int


def spread(levels: Sequence[Sequence[float]], floor: float) -> Spread | None:
    """The spread of the nights of all levels about their own level's mean; None where there are fewer than `FEWEST`.

    Single nights far from the others (a machine's bad hour) are left out.

    Args:
        floor: the smallest standard deviation that is believed: a few equal nights do not prove that there is none.
    """
    deviations = [np.asarray(level, dtype=float) - np.median(level) for level in levels if len(level)]
    every = np.concatenate(deviations) if deviations else np.empty(0)
    if every.size < FEWEST:
        return None
    limit = _OUTLIER * float(np.median(np.abs(every))) if every.size >= _CLEAN_FROM else math.inf
    kept = [part[np.abs(part) <= max(limit, _OUTLIER * floor)] for part in deviations]
    freedom = sum(max(part.size - 1, 0) for part in kept)
    if not freedom:
        return None
    squares = sum(float(((part - part.mean()) ** 2).sum()) for part in kept if part.size)
    return Spread(max(math.sqrt(squares / freedom), floor), freedom)


def center(level: Sequence[float]) -> float:
    """The mean of a level without the nights far from the others."""
    values = np.asarray(level, dtype=float)
    if values.size < _CLEAN_FROM:
        return float(values.mean())
    deviations = np.abs(values - np.median(values))
    return float(values[deviations <= max(_OUTLIER * float(np.median(deviations)), 1e-12)].mean())


def one_beyond(distance: float, nights: int, noise: Spread) -> float:
    """The chance that a night of the same level lies so far below the mean of ``nights`` (Student's t)."""
    from scipy.special import stdtr

    return float(stdtr(noise.freedom, -distance / (noise.sd * math.sqrt(1 + 1 / nights))))


def both_beyond(nearer: float, nights: int, noise: Spread) -> float:
    """The chance that two nights of the same level both lie at least so far below the mean of ``nights``.

    Both are compared with the same mean and the same estimate of the spread, so their chances do not just multiply: it
    is the mean, over what mean and spread may truly be, of the square of one night's chance. One bad night, however
    bad, is never enough.
    """
    from scipy.special import ndtr

    scales, shifts, weights = _true_values(noise.freedom)
    beyond = ndtr(-(nearer / noise.sd) * scales[:, None] + shifts[None, :] / math.sqrt(nights)) ** 2
    return float((beyond @ weights).mean())


@lru_cache
def _true_values(freedom: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Ratios of an estimated to the true spread, each as likely; and normal deviates with their weights."""
    from scipy.stats import chi2

    deviates, weights = np.polynomial.hermite_e.hermegauss(15)
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
