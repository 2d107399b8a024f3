"""A scheduler by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.schedulers.asha import Asha, Promotion, Ties
from orchestrator.schedulers.base import NoStopping, Scheduler
from orchestrator.schedulers.median import Median

STOP_CHANCE = 0.02
"""With ``freeze-thaw`` a trial is stopped at this chance of winning, where nothing else is asked for."""

FREEZE_THAW_SHARE = 0.4
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
    stop_chance: float = STOP_CHANCE,
    configurations: Mapping[int, Mapping[str, Any]] | None = None,
    examples: int = 0,
) -> Scheduler:
    """The scheduler of that name: ``asha``, ``promotion``, ``freeze-thaw``, ``median`` or ``none``.

    Args:
        numbers: of all trials of the search. steps: budget of a trial. grace_period: first rung.
        deterministic: decide independently of the order in which trials arrive. For both kinds of halving that is the
            same: a rung is decided when nobody can reach it any more.
        ties: how both kinds of halving treat equal scores.
        stop_chance, configurations, examples: see `orchestrator.schedulers.freeze_thaw`.

    Raises:
        KeyError: no such scheduler.
    """
    if name == "freeze-thaw":
        from orchestrator.schedulers.freeze_thaw import FreezeThaw  # not at the top: it needs numpy, options do not

        return FreezeThaw(numbers, steps, stop_chance, configurations, examples)
    if name == "asha" and not deterministic:
        return Asha(numbers, steps, grace_period, reduction_factor, ties)
    return {
        "asha": lambda: Promotion(numbers, steps, grace_period, reduction_factor, together=True, ties=ties),
        "promotion": lambda: Promotion(
            numbers, steps, grace_period, reduction_factor, together=deterministic, ties=ties
        ),
        "median": lambda: Median(numbers, steps, grace_period, together=deterministic),
        "none": lambda: NoStopping(numbers, steps),
    }[name]()
