"""Runs that were cut off and go on, which run a command means, and where each keeps its checkpoints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.console import INTERRUPTED
from orchestrator.plan.former_defaults import FORMER
from orchestrator.plan.settings import AUTO
from orchestrator.record.errors import RecordError
from orchestrator.record.record import RECORD
from orchestrator.sweep import fingerprint
from orchestrator.sweep.expand import PlannedSearch
from orchestrator.sweep.pinned import record_in
from orchestrator.sweep.runner import prepare_run
from orchestrator.sweep.runs import chosen_run, moved_into
from orchestrator.sweep.state import STATE, SearchStatus
from tests.orchestrator.made_searches import search_of
from tests.orchestrator.sweep.made_sweeps import made, run, small_sweep, statuses


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    def killed(search: PlannedSearch) -> None:
        if len(trained) == 2:
            raise SystemExit  # as good as a kill: nothing is written after it but what was written before

    trained: list[str] = []
    with pytest.raises(SystemExit):
        run(tmp_path, "2026-01-01", trained, run_one=made(trained, after=killed))
    place = tmp_path / "runs" / "small"
    assert chosen_run(place, None) == "2026-01-01"
    state = run(tmp_path, chosen_run(place, None), trained)
    assert state.exit_code == 0 and len(trained) == 5  # the one that was cut off is given back to its own folder
    assert chosen_run(place, None) != "2026-01-01"


def test_ctrl_c_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    state = run(tmp_path, "one", [], run_one=lambda search, session: 130)
    assert state.ended is None and state.exit_code == 130
    trained: list[str] = []
    assert run(tmp_path, "one", trained).exit_code == 0 and len(trained) == 4


@pytest.mark.parametrize("killed", [False, True])
def test_what_a_search_had_run_before_it_was_cut_off_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    clock, hours = [0.0], 3600.0
    monkeypatch.setattr("orchestrator.sweep.runner.now", lambda: clock[0])

    def cut_off(search: PlannedSearch, session: object) -> int:
        clock[0] += 2 * hours
        record = search_of([trial.config.hyperparameters for trial in search.plan.trials], search.key.task)
        record.wall_seconds = 2 * hours - 5
        record.save(search.plan.folder / RECORD)
        return INTERRUPTED

    run(tmp_path, "one", [], "time_limit: 6h\n", run_one=cut_off)
    place = tmp_path / "runs" / "small"
    if killed:  # the state is then as it was when the search began
        state = json.loads((place / "one" / STATE).read_text())
        state["seconds"] = 0.0
        for search in state["searches"]:
            search["seconds"] = None
        (place / "one" / STATE).write_text(json.dumps(state))
    sweep, searches = small_sweep(tmp_path, "time_limit: 6h\n")
    read: list[Path] = []
    monkeypatch.setattr("orchestrator.sweep.runs.record_in", lambda folder: read.append(folder) or record_in(folder))
    again = prepare_run(sweep, searches, place, "one")
    assert again.left is not None and again.left == pytest.approx(4 * hours, abs=6)
    cut = [one for one in again.state.searches if one.status is SearchStatus.WAITING and one.seconds]
    assert [one.seconds for one in cut] == [pytest.approx(2 * hours, abs=6)]
    assert read == [Path(cut[0].folder)], "a record of many trials is long: once is enough"


@pytest.mark.parametrize("query", ["", "?scheme=http&endpoint_override=10.0.0.1:8333"])
def test_each_run_has_a_folder_of_its_own_in_the_storage(tmp_path: Path, query: str) -> None:
    _, searches = small_sweep(tmp_path)
    stored = replace(searches[0], options={**searches[0].options, "storage": f"s3://b/a{query}"})
    moved = moved_into(stored, tmp_path / "runs" / "small" / "two")
    assert moved.options["storage"] == moved.plan.settings.storage == f"s3://b/a/small/two{query}"


def test_where_a_run_keeps_its_checkpoints_makes_no_other_search(tmp_path: Path) -> None:
    _, searches = small_sweep(tmp_path)
    stored = replace(searches[0], options={**searches[0].options, "storage": "s3://b/a"})
    runs = [moved_into(stored, tmp_path / "runs" / "small" / name).plan for name in ("one", "two")]
    assert fingerprint.parts_of(runs[0]) == fingerprint.parts_of(runs[1])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema": 99}, "a newer version of this program wrote it \\(schema 99; this one reads up to 1\\)"),
        ({"searches": 3}, "is damaged"),
    ],
)
def test_a_state_that_cannot_be_read_is_refused(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    run(tmp_path, "one", [])
    path = tmp_path / "runs" / "small" / "one" / STATE
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(RecordError, match=problem):
        run(tmp_path, "one", [])


@pytest.mark.parametrize("then", FORMER, ids=["latest", "first"])
def test_a_run_that_an_earlier_version_began_ends_in_its_defaults(tmp_path: Path, then: dict[str, Any]) -> None:
    """Also the searches whose turn had not come, and those that were taken over from another run."""
    defaults = f"overrides: [{{where: {{backbone: t5-nano}}, options: {json.dumps(then)}}}]\n"
    run(tmp_path, "one", [], defaults, run_one=made([], failing=["debsec"]))
    begun = run(tmp_path, "two", [], defaults, run_one=made([], failing=["debsec"]))
    assert statuses(begun)["debmatch pt"] == "taken over"
    planned: list[PlannedSearch] = []
    after = run(tmp_path, "two", [], run_one=made([], after=planned.append))
    assert [one.name for one in after.searches] == [one.name for one in begun.searches]
    assert {(one.key.task, one.plan.settings.precision) for one in planned} == {("debsec", "float32")}
    assert all("--precision float32" in one.command for one in after.searches if one.key.task == "debsec")
    fresh: list[PlannedSearch] = []
    run(tmp_path, "three", [], run_one=made([], after=fresh.append))
    assert {one.plan.settings.precision for one in fresh} == {AUTO}
