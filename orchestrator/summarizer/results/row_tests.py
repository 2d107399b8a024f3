"""Two trainings, or the trainings of several seeds, on the same test rows: a test and an interval of the difference.

They hold for these trainings: other seeds may differ by more than rows do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.record.binomial import PROPORTIONS
from orchestrator.store.predictions import Answers
from orchestrator.summarizer.results.seed_statistics import estimate

PERMUTATIONS = 999
_SEED = 20_250_103  # a test must not give another p each time; the value means nothing


@dataclass(frozen=True)
class RowTest:
    """A two-sided test that both answer the rows equally well.

    Attributes:
        n: test rows, or their groups where the metric is a mean over groups.
        low, high: 95 % interval of the difference in points (Student's t over rows); None for metrics that are no mean
            over rows.
        name: which test it is, on how many rows.
    """

    p: float
    n: int
    name: str
    low: float | None = None
    high: float | None = None


def paired(
    first: Sequence[Answers], second: Sequence[Answers], metric: str, permutations: int | None = None
) -> RowTest:
    """``first`` less ``second`` on the same rows in the same order, one entry a seed in both.

    Proportions of one seed: McNemar's exact test (McNemar 1947): of the rows that one alone has right, each is as
    likely to be the first's. Everything else: the permutation test in which each row's answers, of all seeds together,
    change sides. Where rows belong to groups, those of one change sides together.

    Args:
        permutations: of means over rows, `PERMUTATIONS` where None: no p is smaller than one part in so many.

    Raises:
        ValueError: the rows differ, or there is none.
    """
    rows = first[0]
    if not rows.gold or len(first) != len(second) or not all(rows.same_questions(one) for one in (*first, *second)):
        raise ValueError("a paired test needs answers to the same rows")
    n, of_row = len(rows.gold), _scores_of(metric)
    if of_row is None:
        return RowTest(_permuted(first, second, metric), n, f"paired permutation test over {n:,} test rows")
    differences = np.mean([of_row(one) - of_row(other) for one, other in zip(first, second, strict=True)], axis=0)
    what = f"{n:,} test rows" if len(differences) == n else f"{len(differences):,} groups of test rows"
    n = len(differences)
    interval = estimate((100.0 * differences).tolist())
    if len(first) > 1 or metric not in PROPORTIONS:
        name = f"paired permutation test over {what}" + (f", {len(first)} seeds together" if len(first) > 1 else "")
        return RowTest(_sign_flipped(differences, permutations or PERMUTATIONS), n, name, interval.low, interval.high)
    from scipy.stats import binomtest

    gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    name = f"McNemar's exact test over {what}, {gained + lost:,} of them answered right by one side alone"
    return RowTest(p, n, name, interval.low, interval.high)


def unpaired(first: float, second: float, n: int) -> RowTest:
    """Two proportions in points on n rows each, where the rows' answers are not known: Fisher's exact test.

    On the same rows it finds less than a paired test would, since it takes them for different ones.
    """
    from scipy.stats import fisher_exact

    right = [round(min(max(score, 0.0), 100.0) / 100.0 * n) for score in (first, second)]
    p = float(fisher_exact([[count, n - count] for count in right]).pvalue)
    return RowTest(p, n, f"Fisher's exact test over {n:,} test rows a side, unpaired")


def _scores_of(metric: str) -> Callable[[Answers], np.ndarray] | None:
    """Answers -> what the metric is the mean of, 0 to 1; None where it is no mean over rows or groups."""
    from trials.tasks.metrics import METRICS

    known = METRICS.get(metric, METRICS["accuracy"] if metric in PROPORTIONS else None)
    if known is None or known.by_row is None:
        return None

    def scores(answers: Answers) -> np.ndarray:
        if "code" in known.kinds and answers.passed:  # else the programs would have to be run once more
            return np.array(answers.passed)
        given, gold = known.read(answers.given), known.read(answers.gold)
        return np.array(known.scores(given, gold, answers.groups or None))

    return scores


def _sign_flipped(differences: np.ndarray, permutations: int) -> float:
    moved = differences[differences != 0.0]
    if not moved.size:
        return 1.0
    dice, seen = np.random.default_rng(_SEED), abs(moved.sum()) - 1e-9
    sums = (abs((dice.integers(0, 2, moved.size) * 2.0 - 1.0) @ moved) for _ in range(permutations))
    return (1 + sum(total >= seen for total in sums)) / (1 + permutations)


def _permuted(first: Sequence[Answers], second: Sequence[Answers], metric: str) -> float:
    from trials.tasks.metrics import METRICS, compute

    if metric not in METRICS:
        raise ValueError(f"no metric {metric!r}")
    gold = np.array(first[0].gold, dtype=object)
    sides = [np.array([one.given for one in side], dtype=object) for side in (first, second)]  # (seeds, rows)
    # Rows on which both sides give the same answers change nothing when they change sides.
    moved = np.flatnonzero((sides[0] != sides[1]).any(axis=0))
    if not moved.size:
        return 1.0

    units, unit_of = moved, np.arange(moved.size)
    if first[0].groups:
        units, unit_of = np.unique(np.array(first[0].groups)[moved], return_inverse=True)

    def difference(one: np.ndarray, other: np.ndarray) -> float:
        scores = [[compute([metric], list(given), list(gold))[metric] for given in side] for side in (one, other)]
        return math.fsum(scores[0]) - math.fsum(scores[1])

    dice, seen, beyond = np.random.default_rng(_SEED), abs(difference(*sides)) - 1e-9, 0
    for _ in range(PERMUTATIONS):
        swapped = moved[(dice.random(len(units)) < 0.5)[unit_of]]
        one, other = sides[0].copy(), sides[1].copy()
        one[:, swapped], other[:, swapped] = sides[1][:, swapped], sides[0][:, swapped]
        beyond += abs(difference(one, other)) >= seen
    return (1 + beyond) / (1 + PERMUTATIONS)
