"""How much a score on n examples can mean. Scores, errors and intervals are in points (0 to 100)."""

from __future__ import annotations

import math

# Metrics that are the share of examples answered right: these alone have a binomial error. An F1 or a correlation on
# the same n has an error of another size, and none is better than a wrong one.
PROPORTIONS = frozenset({"accuracy", "em", "exact_match", "best_exact_match", "group_accuracy", "pass@1", "pass_at_1"})

CORRELATIONS = frozenset({"mcc", "matthews_correlation", "pearson", "spearman"})
"""Metrics whose standard error is 1 / sqrt(n) where answers and targets are independent."""


def one_example(n: int | None) -> float | None:
    """Points that one of n examples is worth; exact for proportions, a scale for other metrics."""
    return 100.0 / n if n else None


def standard_error(score: float, n: int | None, metric: str) -> float | None:
    """The binomial standard error sqrt(p (1 - p) / n) of a proportion; None for other metrics or without examples.

    At 0 and 100 that would be 0, as if n right answers of n were a certainty. There it is 1 / (n + 1): what Wilson's
    interval of one standard error reaches from the score (Wilson 1927). Everywhere else the binomial one is greater.
    """
    share = _share(score, n, metric)
    return None if share is None or not n else 100.0 * max(math.sqrt(share * (1.0 - share) / n), 1.0 / (n + 1))


def is_extreme(score: float) -> bool:
    """Whether a score is 0 or 100, where an error on both sides says nothing and an interval is needed."""
    return score <= 0.0 or score >= 100.0


def interval(score: float, n: int | None, metric: str) -> tuple[float, float] | None:
    """Wilson's 95 % interval of a proportion, which has a width where the standard error is 0 (a score of 0 or 100)."""
    share = _share(score, n, metric)
    if share is None or not n:
        return None
    from scipy.stats import binomtest  # most of a second to import, and wanted once a search

    bounds = binomtest(round(share * n), n).proportion_ci(0.95, method="wilson")
    return 100.0 * float(bounds.low), 100.0 * float(bounds.high)


def _share(score: float, n: int | None, metric: str) -> float | None:
    if not n or metric not in PROPORTIONS or not math.isfinite(score):
        return None
    return min(max(score / 100.0, 0.0), 1.0)
