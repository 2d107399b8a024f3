"""How much a score on n examples can mean. Scores, errors and intervals are in points (0 to 100)."""

from __future__ import annotations

import math

# Metrics that are the share of examples answered right: these alone have a binomial error. An F1 or a correlation on
# the same n has an error of another size, and none is better than a wrong one.
PROPORTIONS = frozenset({"accuracy", "em", "exact_match", "pass@1"})


def one_example(n: int | None) -> float | None:
    """Points that one of n examples is worth; exact for proportions, a scale for other metrics."""
    return 100.0 / n if n else None


def standard_error(score: float, n: int | None, metric: str) -> float | None:
    """The binomial standard error sqrt(p (1 - p) / n) of a proportion; None for other metrics or without examples."""
    share = _share(score, n, metric)
    return None if share is None or not n else 100.0 * math.sqrt(share * (1.0 - share) / n)


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
