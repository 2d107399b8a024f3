"""A scheduler by its name."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.schedulers.asha import Asha, Promotion, Ties
from orchestrator.schedulers.base import NoStopping, Scheduler
from orchestrator.schedulers.median import Median


def make_scheduler(
    name: str,
    numbers: Iterable[int],
    steps: int,
    *,
    grace_period: int,
    reduction_factor: int,
    deterministic: bool = False,
    ties: Ties = "keep",
) -> Scheduler:
    """The scheduler of that name: ``asha``, ``promotion``, ``median`` or ``none``.

    Args:
        numbers: of all trials of the search. steps: budget of a trial. grace_period: first rung.
        deterministic: decide independently of the order in which trials arrive. For both kinds of halving that is the
            same: a rung is decided when nobody can reach it any more.
        ties: how both kinds of halving treat equal scores.

    Raises:
        KeyError: no such scheduler.
    """
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
