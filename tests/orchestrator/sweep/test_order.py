"""In which order the searches of a run take their turns, and how long each is expected to take."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator.sweep.cells import CellKey
from orchestrator.sweep.order import expected_seconds, fair_order
from orchestrator.sweep.state import SearchState, SearchStatus, SweepState


def test_tasks_take_turns_the_longest_search_first() -> None:
    seconds = {("a", "x"): 9, ("a", "y"): 8, ("b", "x"): 3, ("b", "y"): 20, ("c", "x"): 1}
    keys = [CellKey(task, method, "t5-nano") for task, method in seconds]

    def ordered(first: set[CellKey]) -> list[str]:
        found = fair_order(keys, lambda key: key, lambda key: seconds[key[:2]], first)
        return ["".join(key[:2]) for key in found]

    assert ordered(set()) == ["by", "ax", "cx", "bx", "ay"]
    assert ordered({CellKey("c", "x", "t5-nano"), CellKey("a", "y", "t5-nano")}) == ["ay", "cx", "by", "ax", "bx"]


def test_what_took_long_before_is_expected_to_take_long_again() -> None:
    def search(method: str, estimate: float, seconds: float | None, definition: str = "d") -> SearchState:
        key = CellKey("debsec", method, "t5-nano")
        status = SearchStatus.WAITING if seconds is None else SearchStatus.FINISHED
        return SearchState(key=key, status=status, estimate=estimate, seconds=seconds, parts={"search": definition})

    earlier = SweepState(sweep="s", run="one", started=datetime.now(UTC))
    earlier.searches = [search("adept", 10, 40), search("pt", 10, 20)]
    assert expected_seconds(search("adept", 10, None), 10, [earlier]) == 40
    assert expected_seconds(search("adept", 20, None, "other"), 20, [earlier]) == 60  # three times its estimate
    assert expected_seconds(search("lora", 5, None), 5, []) == 5
