"""Whether a search learns anything at all: has a trial been above the constant best answer, and if none, is it late?

Searches that learn do so early. `TAKE_OFFS` has the share of the budget at which each of some searches, recorded here
or published, was above its constant answer; ``python -m benchmarks.take_off`` makes it. Where no trial is above it
although almost all of those were by then, nothing is learnt.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from orchestrator.record.binomial import CORRELATIONS

ERRORS = 2.0
"""A trial is above the constant answer that is so many standard errors above it ..."""

RUNNING = 2
"""... in so many reports running: of hundreds of reports one is so high by chance."""

TAKE_OFFS = (
    0.0067, 0.008, 0.008, 0.01, 0.012, 0.02, 0.02, 0.0667, 0.0667, 0.0667, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1333, 0.1333,
    0.15, 0.2, 0.2, 0.25, 0.3,
)  # fmt: skip
"""Shares of the budget: seven searches on t5-nano, and sixteen runs on T5-base with published learning rates."""

CONFIDENCE = 0.95
"""With which nothing is said to be learnt."""

Reports = Sequence[tuple[int, float]]
"""Of one trial, in their order: step in updates, score in points (which may be NaN)."""


def threshold(constant: float, examples: int, metric: str) -> float:
    """The score that counts as above the constant best answer's, in points.

    A correlation of independent answers has the standard error 1 / sqrt(n); any other metric is taken for a proportion,
    one of at least 5 % and at most 95 %, since at 0 and 100 there would be none.
    """
    share = min(max(constant / 100.0, 0.05), 0.95)
    spread = 1.0 if metric in CORRELATIONS else math.sqrt(share * (1.0 - share))
    return constant + ERRORS * 100.0 * spread / math.sqrt(examples)


def take_off(trials: Iterable[Reports], steps: int, least: float) -> float | None:
    """The share of the budget at which the first trial was above ``least`` in `RUNNING` reports; None where none was.

    Args:
        steps: the budget of a trial, in updates.
    """
    found = (
        reports[last][0] / steps
        for reports in trials
        for last in range(RUNNING - 1, len(reports))
        if all(score > least for _, score in reports[last - RUNNING + 1 : last + 1])
    )
    return min(found, default=None)


def confidence(share: float, take_offs: Sequence[float] = TAKE_OFFS) -> float:
    """How sure it is that a search which has not taken off at this share of its budget will not.

    The next of n + 1 searches is as likely in any place among them (Laplace's rule): of those that learn, so many took
    off by then.
    """
    return sum(one <= share for one in take_offs) / (len(take_offs) + 1)


def lateness(
    trials: Iterable[Reports], planned: int, steps: int, take_offs: Sequence[float] = TAKE_OFFS
) -> tuple[float, float] | None:
    """How late it is for a search that has not taken off (`take_off`): share of the budget, and confidence.

    A trial that was above the constant answer from the report before the last on would have been so in `RUNNING`
    reports by now, so the share is that of this report, of the furthest trial: where reports are few, a search is given
    the time of two. The confidence is that it will not take off any more.

    None where less than half of the ``planned`` trials have reported, which may be those with poor learning rates, or
    where it is too early to say with `CONFIDENCE` (with fewer than nineteen take-offs: as surely as they allow).
    """
    begun = [reports for reports in trials if reports]
    if not begun or 2 * len(begun) < planned:
        return None
    share = max((reports[-RUNNING][0] for reports in begun if len(reports) >= RUNNING), default=0) / steps
    sure = confidence(share, take_offs)
    return (share, sure) if share and sure >= min(CONFIDENCE, confidence(1.0, take_offs)) else None
