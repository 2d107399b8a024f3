"""In which order a sweep's searches run, and which of them there is time for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from statistics import median
from typing import TypeVar

from orchestrator.sweep.cells import CellKey
from orchestrator.sweep.state import SearchState, SearchStatus, SweepState

T = TypeVar("T")


def fair_order(
    searches: Sequence[T],
    key: Callable[[T], CellKey],
    seconds: Callable[[T], float],
    first: Collection[CellKey] = (),
) -> list[T]:
    """The order to run searches in.

    Tasks take turns, the one with the longest search first, each with its longest that is left: so a limit leaves each
    task something, and the end does not wait for a long search that came last. What an earlier run had no time for goes
    before all others, in the same order.

    Args:
        seconds: that a search is expected to take. first: the cells that an earlier run had no time for.
    """
    late = [search for search in searches if key(search) in first]
    return [*_in_turns(late, key, seconds), *_in_turns([one for one in searches if one not in late], key, seconds)]


def _in_turns(searches: Sequence[T], key: Callable[[T], CellKey], seconds: Callable[[T], float]) -> list[T]:
    by_task: dict[str, list[T]] = {}
    for search in sorted(searches, key=seconds, reverse=True):  # stable: equals stay in the file's order
        by_task.setdefault(key(search).task, []).append(search)
    ordered: list[T] = []
    while by_task:
        ordered += [of_task.pop(0) for of_task in by_task.values()]
        by_task = {task: left for task, left in by_task.items() if left}
    return ordered


def not_run_before(earlier: Iterable[SweepState]) -> set[CellKey]:
    """The cells that the last run had no time for.

    Args:
        earlier: the newest first.
    """
    last = next(iter(earlier), None)
    return {search.key for search in last.those(SearchStatus.NOT_RUN)} if last else set()


def expected_seconds(search: SearchState, estimate: float, earlier: Sequence[SweepState]) -> float:
    """What a search will take: as long as the same one took before, else its estimate as estimates turned out to be.

    Args:
        search: with the parts of its fingerprint. estimate: seconds, from operations and the device's rate.
        earlier: other runs, this one with them, the newest first.
    """
    found = [(run, one) for run in earlier for one in run.measured if one.seconds and one is not search]
    for _, one in found:
        if one.key == search.key and one.parts.get("search") == search.parts.get("search"):
            return float(one.seconds or estimate)
    ratios = [one.seconds / one.estimate for _, one in found if one.seconds and one.estimate]
    return estimate * max(1.0, median(ratios)) if ratios else estimate
