"""A scheduler by its name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.schedulers import asha
from orchestrator.schedulers.asha import Asha, Promotion, RankBy, Ties
from orchestrator.schedulers.base import NoStopping, Scheduler
from orchestrator.schedulers.median import Median, expected_median_share

STOP_CHANCE = 0.02
"""With ``freeze-thaw`` a trial is stopped at this chance of winning, where nothing else is asked for."""

FREEZE_THAW_SHARE = 0.3
"""Of a grid's steps, what ``freeze-thaw`` spends on recorded grids that learn (`python -m benchmarks.frontier`)."""


def make_scheduler(
    name: str,
    numbers: Iterable[int],
    steps: int,
    *,
    grace_period: int,
    reduction_factor: int,
    deterministic: bool = False,
    ties: Ties = "keep",
    rank_by: RankBy = "score",
    stop_chance: float = STOP_CHANCE,
    configurations: Mapping[int, Mapping[str, Any]] | None = None,
    examples: int = 0,
) -> Scheduler:
    """The scheduler of that name: ``asha``, ``promotion``, ``freeze-thaw``, ``median`` or ``none``.

    Args:
        numbers: of all trials of the search. steps: budget of a trial. grace_period: first rung.
        deterministic: decide independently of the order in which trials arrive. For both kinds of halving that is the
            same: a rung is decided when nobody can reach it any more.
        ties, rank_by: how both kinds of halving treat equal scores, and what they compare trials by.
        stop_chance, configurations, examples: see `orchestrator.schedulers.freeze_thaw`.

    Raises:
        KeyError: no such scheduler.
    """
    if name == "freeze-thaw":
        from orchestrator.schedulers.freeze_thaw import FreezeThaw  # not at the top: it needs numpy, options do not

        return FreezeThaw(numbers, steps, stop_chance, configurations, examples)
    if name == "asha" and not deterministic:
        return Asha(numbers, steps, grace_period, reduction_factor, ties, rank_by)
    return {
        "asha": lambda: Promotion(numbers, steps, grace_period, reduction_factor, True, ties, rank_by),
        "promotion": lambda: Promotion(numbers, steps, grace_period, reduction_factor, deterministic, ties, rank_by),
        "median": lambda: Median(numbers, steps, grace_period, together=deterministic),
        "none": lambda: NoStopping(numbers, steps),
    }[name]()


def expected_end(
    name: str,
    step: int,
    steps: int,
    grace_period: int,
    reduction_factor: int,
    trials: float = math.inf,
    rank_by: RankBy = "score",
) -> float:
    """The step at which a trial is expected to end that stands at one, under the scheduler of that name.

    Args:
        trials: how many there are: at least one of them is trained whole.
    """
    if name == "none":
        return float(steps)
    if name == "freeze-thaw":
        return max(float(step), steps * max(FREEZE_THAW_SHARE, 1.0 / trials))
    if name == "median":
        share = expected_median_share(steps, grace_period)
        return share * steps if step <= grace_period else float(steps)
    return asha.expected_end(step, steps, grace_period, reduction_factor, trials, rank_by)
