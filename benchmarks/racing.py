"""Which of two reports has the higher score, known from the first of the rows, in an order drawn once.

A score is a mean over the N rows of validation, and these are drawn without replacement: what is asked is not what a
trial would score on further rows, but what the rest of these will add. The test is a bet against the null that the
first report's total is at most ``margin`` above the second's: with S the sum of the differences so far, the rest must
then have a mean of at most (margin - S) / (rows left), and a capital that grows by 1 + bet x (difference - that mean)
with each row is a supermartingale. It exceeds 1 / a with probability a at most, whenever one looks (Ville), and so does
the mean of the capitals of several bets (`BETS`). That is the test by betting of Waudby-Smith and Ramdas
(arXiv:2010.09686, on sampling without replacement; arXiv:2006.04347 has earlier bounds for it). Where the rows left are
too few to change what is known, the capital is infinite.

Racing by Hoeffding's bound is Maron and Moore's (1993); on paired rows, one against one, it needs far fewer of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BETS = (0.05, 0.15, 0.4, 0.85)
"""Near the best bet, difference / variance, for 1, 3, 8 and 20 points where a fifth of the answers differs."""


def log_capital(first: Array, second: Array, margin: float, ends: NDArray[np.int64]) -> Array:
    """Logarithm of the highest capital up to each look, against: total of ``first`` <= total of ``second`` + margin.

    Args:
        first, second: values per row in [0, 1], in the order in which they are evaluated; shape (..., N), broadcast.
        margin: in rows; negative for the claim that the first is not below.
        ends: rows known at each look, rising, the last N.

    Returns:
        Shape (..., looks).
    """
    gap = first - second
    rows = gap.shape[-1]
    total_gap = np.cumsum(gap, axis=-1)
    mean = (margin - (total_gap - gap)) / (rows - np.arange(rows))  # of the rows left, were the null true to its edge
    mean = np.clip(mean, -1.0, 1.0)
    total = np.zeros((len(BETS), *gap.shape[:-1], len(ends)))
    gain, most = gap - mean, 0.95 / np.maximum(1.0 + mean, 1e-9)  # the loss is 1 + mean at most
    for place, bet in enumerate(BETS):
        grown = np.log1p(np.minimum(bet, most) * gain)
        total[place] = np.cumsum(grown, axis=-1)[..., ends - 1]
    highest = total.max(axis=0)
    capital = highest + np.log(np.exp(total - highest).mean(axis=0))
    certain = total_gap[..., ends - 1] - (rows - ends) > margin + 1e-6  # were all rows left to go the other way
    known = np.maximum.accumulate(np.where(certain, np.inf, capital), axis=-1)
    known[..., -1] = np.where(certain[..., -1], np.inf, -np.inf)  # all rows are known: no bet
    return known


def looks(rows: int, chunk: int) -> NDArray[np.int64]:
    """Rows known after each chunk."""
    return np.array([*range(chunk, rows, chunk), rows])


class Answers:
    """The answers of some trials' reports in one order of the rows, and all that has been compared in it.

    Args:
        right: by trial, bool (reports, N). order: of the rows. chunk: rows between two looks.

    Attributes:
        ends: rows known at each look.
    """

    def __init__(self, right: dict[int, NDArray[np.bool_]], order: NDArray[np.int64], chunk: int) -> None:
        self.right = {number: np.asarray(own[:, order], np.float64) for number, own in right.items()}
        self.sums = {n: np.pad(own.cumsum(1), ((0, 0), (1, 0))) for n, own in self.right.items()}
        self.ends = looks(len(order), chunk)
        self._capital: dict[tuple[int, int, int, int, float], Array] = {}

    def capital(self, one: int, count: int, other: int, others: int, margin: float) -> Array:
        """`log_capital` of a trial's first reports against another's: (count, others, looks)."""
        key = (one, count, other, others, margin)
        if key not in self._capital:
            a, b = self.right[one][:count], self.right[other][:others]
            parts = [log_capital(row[None], b, margin, self.ends) for row in a]
            self._capital[key] = np.stack(parts).astype(np.float32)
        return self._capital[key]


class Race:
    """How many rows of each report are evaluated, and what is certain about trials from them.

    Any report can be evaluated further at any later time, as if an adapter were kept with each: that is the most that a
    test can save.

    Args:
        level: of error of one decision.

    Attributes:
        known: looks that each report has had, by trial; 0 none.
    """

    def __init__(self, answers: Answers, level: float) -> None:
        self.answers, self.level = answers, level
        self.right, self.ends, self.capital = answers.right, answers.ends, answers.capital
        self.known = {number: np.zeros(len(own), int) for number, own in self.right.items()}

    @property
    def spent(self) -> int:
        """Rows evaluated, of all reports."""
        return int(sum(self._rows(known).sum() for known in self.known.values()))

    def _rows(self, known: NDArray[Any]) -> NDArray[np.int64]:
        return np.concatenate([[0], self.ends])[known]

    def score(self, number: int, report: int) -> float:
        """On the rows known; below all where none is."""
        rows = self._rows(self.known[number])[report]
        return float(self.answers.sums[number][report, rows] / rows) if rows else -1.0

    def standing(self, number: int, count: int) -> float:
        """The best of a trial's first reports, on the rows known."""
        return max(self.score(number, report) for report in range(count))

    def raise_to(self, number: int, reports: Iterable[int], look: int) -> None:
        """Evaluate so much of these reports at least."""
        for report in reports:
            self.known[number][report] = max(self.known[number][report], look)

    def best_are_above(self, ones: list[int], others: list[int], count: int, margin: float) -> Array:
        """Logarithms of e-values for: the best of a trial's first reports is above another's by more than ``margin``.

        Were it not, none of the first trial's reports would be above the other's best one: the mean of their capitals
        against that one is a supermartingale, and the least such mean is below it, whichever the best one is.

        Args:
            ones, others: trials, one by one, or one of them against each of the others.
        """
        capital = np.stack(
            [self.capital(one, count, other, count, margin) for one, other in np.broadcast(ones, others)]
        )  # pairs, reports, reports, looks
        known = [np.stack([self.known[n][:count] for n in numbers]) for numbers in (ones, others)]
        look = np.minimum(known[0][:, :, None], known[1][:, None, :])
        at = np.take_along_axis(capital, np.maximum(look - 1, 0)[..., None], 3)[..., 0]
        return np.asarray(log_mean(np.where(look > 0, at, -np.inf).swapaxes(0, 1)).min(axis=-1))

    def idle(self, number: int, count: int) -> NDArray[np.bool_]:
        """Which of a trial's first reports are certainly not its best: they need no further rows."""
        known = self.known[number][:count]
        capital = self.capital(number, count, number, count, -1.0)
        look = np.minimum.outer(known, known)
        at = np.take_along_axis(capital, np.maximum(look - 1, 0)[..., None], 2)[..., 0]
        sure = (np.where(look > 0, at, -np.inf) >= math.log(2 * count / self.level)) & ~np.eye(count, dtype=bool)
        earlier = np.tri(count, k=-1, dtype=bool)  # of two that are equal on all rows one stays
        return (sure & ~(sure.T & earlier)).any(axis=0)


def log_mean(values: Array) -> Array:
    """Logarithm of the mean over the first axis of exponentials."""
    capped = np.clip(values, -1e9, 1e9)
    most = capped.max(axis=0)
    found = most + np.log(np.exp(capped - most).mean(axis=0))
    return np.where(most >= 1e9, np.inf, np.where(most <= -1e9, -np.inf, found))
