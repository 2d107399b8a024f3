"""Learning rates of the best at the edge of what was searched: those beyond it were not tried, and may be better."""

from __future__ import annotations

from orchestrator.record import formats
from orchestrator.record.record import SearchRecord
from orchestrator.record.selection import Choice

LEVELS = 8
"""Up to so many different values are a grid's, more are drawn from a range."""


def is_learning_rate(name: str) -> bool:
    """Whether a hyperparameter is one, by its name."""
    return name in ("lr", "learning_rate") or name.endswith(("_lr", "_learning_rate"))


def edges(record: SearchRecord, choice: Choice) -> list[str]:
    """A sentence for each rate whose largest or smallest value the winner has, and all that it cannot be told from.

    A trial among these that has a value further inside says that there is nothing to be had beyond.
    """
    if choice.winner is None:
        return []
    best = [choice.winner, *choice.not_distinguishable]
    found = []
    for name in filter(is_learning_rate, choice.winner.configuration):
        values = {v for trial in record.own_trials if isinstance(v := trial.configuration.get(name), int | float)}
        of_the_best = {trial.configuration.get(name) for trial in best}
        if not 2 <= len(values) <= LEVELS or len(of_the_best) != 1:
            continue
        (value,) = of_the_best
        for end, extreme, beyond in (("largest", max(values), "larger"), ("smallest", min(values), "smaller")):
            if value == extreme:
                found.append(
                    f"{name} {formats.value(value)} is the {end} of {len(values)}: a {beyond} one may be better"
                )
    return found
