"""A scheduler by its name."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.schedulers.asha import Asha, Promotion, Ties
from orchestrator.schedulers.base import NoStopping, Policy
from orchestrator.schedulers.median import Median


def make_policy(
    name: str,
    numbers: Iterable[int],
    steps: int,
    *,
    grace: int,
    eta: int,
    deterministic: bool = False,
    ties: Ties = "keep",
) -> Policy:
    """The policy of that name: ``asha``, ``promotion``, ``median`` or ``none``.

    Args:
        numbers: of all trials of the search. steps: budget of a trial. grace: first rung.
        deterministic: decide independently of the order in which trials arrive. For both kinds of halving that is the
            same: a rung is decided when nobody can reach it any more.
        ties: how both kinds of halving treat equal scores.

    Raises:
        KeyError: no such policy.
    """
    if name == "asha" and not deterministic:
        return Asha(numbers, steps, grace, eta, ties)
    return {
        "asha": lambda: Promotion(numbers, steps, grace, eta, together=True, ties=ties),
        "promotion": lambda: Promotion(numbers, steps, grace, eta, together=deterministic, ties=ties),
        "median": lambda: Median(numbers, steps, grace, together=deterministic),
        "none": lambda: NoStopping(numbers, steps),
    }[name]()
