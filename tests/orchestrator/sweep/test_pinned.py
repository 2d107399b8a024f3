"""Searches that train the champion alone, and all in its turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.sweep.cells import CellKey
from orchestrator.sweep.expand import PlannedSearch
from tests.orchestrator.sweep.made_sweeps import made, run


def test_a_pinned_search_trains_the_last_winner_alone_and_all_in_its_turn(tmp_path: Path) -> None:
    more = "search: pinned\nfull_every: 3\nunchanged: train again\n"
    counts: list[int] = []
    seen = []
    for name in ("one", "two", "three", "four"):
        counts.clear()
        state = run(tmp_path, name, [], more, run_one=made([], after=lambda search: counts.append(search.plan.count)))
        seen.append(({one.search for one in state.searches}, set(counts)))
    assert seen == [({"full"}, {2}), ({"pinned"}, {1}), ({"pinned"}, {1}), ({"full"}, {2})]
    champion = {"prompt_lr": 0.123, "prompt_length": 7}
    champions = {CellKey("debsec", "pt", "t5-nano"): champion}
    configurations: dict[str, Any] = {}

    def note(search: PlannedSearch) -> None:
        configurations[" ".join(search.key[:2])] = search.plan.trials[0].config.hyperparameters

    run(tmp_path, "five", [], more, champions=champions, run_one=made([], after=note))
    assert champion.items() <= configurations["debsec pt"].items()
    assert configurations["debmatch pt"]["prompt_length"] != 7


def test_all_is_searched_in_its_turn_also_where_no_run_that_did_is_left(tmp_path: Path) -> None:
    """The champion is another sweep's, or somebody has removed the folders of old runs."""
    more = "search: pinned\nfull_every: 3\nunchanged: train again\n"
    champion = {"prompt_lr": 0.123, "prompt_length": 7}
    key = CellKey("debsec", "pt", "t5-nano")
    states = [run(tmp_path, name, [], more, champions={key: champion}) for name in ("one", "two", "three", "four")]
    assert [found.search for state in states if (found := state.search(key))] == ["pinned", "pinned", "full", "pinned"]
