"""What a run of a sweep does with its searches: order, time, failures, what is taken over, and going on."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from orchestrator.console import INTERRUPTED, PlainConsole
from orchestrator.record.errors import LockError, RecordError
from orchestrator.record.record import RECORD
from orchestrator.store.lock import SearchLock
from orchestrator.sweep import fingerprint
from orchestrator.sweep.cells import CellKey
from orchestrator.sweep.expand import PlannedSearch
from orchestrator.sweep.order import expected_seconds, fair_order
from orchestrator.sweep.pinned import record_in
from orchestrator.sweep.runner import prepare_run, run_sweep
from orchestrator.sweep.runs import chosen_run, moved_into
from orchestrator.sweep.shown import print_sweep_plan
from orchestrator.sweep.state import STATE, SearchState, SearchStatus, SweepState, read_state
from orchestrator.tracking.store import TrackingError
from tests.orchestrator.made_searches import search_of
from tests.orchestrator.sweep.made_sweeps import made, small_sweep

ALL = ["debmatch adept", "debsec adept", "debmatch pt", "debsec pt"]


def run(folder: Path, name: str, trained: list[str], more: str = "", **given: Any) -> SweepState:
    sweep, searches = small_sweep(folder, more)
    how = {"run_one": made(trained), **given}
    return run_sweep(sweep, searches, folder / "runs" / "small", name, PlainConsole(quiet=True), **how)


def statuses(state: SweepState) -> dict[str, str]:
    return {f"{one.key.task} {one.key.method}": str(one.status) for one in state.searches}


def test_every_search_runs_once_and_is_kept(tmp_path: Path) -> None:
    trained: list[str] = []
    state = run(tmp_path, "one", trained, between=lambda: 5.0)
    assert sorted(trained) == sorted(ALL) and state.exit_code == 0 and state.ended is not None
    assert state.calibration == [5.0] * 4
    kept = read_state(tmp_path / "runs" / "small" / "one")
    assert kept == state
    for search in state.searches:
        assert Path(search.folder).parent == tmp_path / "runs" / "small" / "one"
        assert search.seconds is not None and search.fingerprint and "--steps 20" in search.command
    again: list[str] = []
    assert statuses(run(tmp_path, "one", again)) == statuses(state) and again == []


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


def test_what_does_not_fit_the_time_is_said_and_goes_first_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    took = {"debmatch adept": 40.0, "debsec adept": 30.0, "debmatch pt": 20.0, "debsec pt": 10.0}
    clock = [0.0]
    monkeypatch.setattr("orchestrator.sweep.runner.now", lambda: clock[0])

    def passes(search: PlannedSearch) -> None:
        clock[0] += took[f"{search.key.task} {search.key.method}"]

    run(tmp_path, "one", [], run_one=made([], after=passes))
    trained: list[str] = []
    more = "unchanged: train again\ntime_limit: 55s\n"
    sweep, searches = small_sweep(tmp_path, more)
    place, timed = tmp_path / "runs" / "small", made(trained, after=passes)
    state = run_sweep(sweep, searches, place, "two", PlainConsole(soft_wrap=True), run_one=timed)
    assert trained == ["debmatch adept", "debsec pt"]
    (search,) = [one for one in state.searches if one.key[:2] == ("debsec", "adept")]
    assert search.status is SearchStatus.NOT_RUN
    assert search.why == "it would take about 30 s, and the time limit leaves 15 s"
    assert "not run: debsec, adept on t5-nano: it would take about 30 s" in capsys.readouterr().out
    trained.clear()
    run(tmp_path, "three", trained, more, run_one=timed)
    assert trained[:2] == ["debsec adept", "debmatch pt"]


def test_a_failed_search_does_not_end_the_sweep(tmp_path: Path) -> None:
    state = run(tmp_path, "one", [], run_one=made([], failing=["debsec"]))
    assert statuses(state)["debmatch pt"] == "finished" and state.exit_code == 1
    assert {one.why for one in state.those(SearchStatus.FAILED)} == {"the rows of debsec are gone"}
    trained: list[str] = []
    assert run(tmp_path, "one", trained).exit_code == 0
    assert sorted(trained) == ["debsec adept", "debsec pt"]
    assert run(tmp_path, "two", [], "unchanged: train again", run_one=made([], ["debsec", "debmatch"])).exit_code == 3


def test_an_error_of_any_kind_is_written_down_with_its_search(tmp_path: Path) -> None:
    def broken(search: PlannedSearch, session: object) -> int:
        raise RuntimeError("Ray is away")

    state = run(tmp_path, "one", [], run_one=broken)
    assert {one.why for one in state.searches} == {"RuntimeError: Ray is away"} and state.exit_code == 3


def test_unchanged_work_is_taken_over_and_changed_work_is_not(tmp_path: Path) -> None:
    first = run(tmp_path, "one", [])
    trained: list[str] = []
    second = run(tmp_path, "two", trained)
    assert trained == [] and second.exit_code == 0
    assert {(one.status, one.measured_on) for one in second.searches} == {(SearchStatus.TAKEN_OVER, "one")}
    assert [one.folder for one in second.searches] == [one.folder for one in first.searches]
    third = run(tmp_path, "three", trained, "overrides: [{where: {method: pt}, options: {steps: 30}}]\n")
    assert sorted(trained) == ["debmatch pt", "debsec pt"]
    assert third.searches[0].measured_on == "one"  # where it was trained, not where it was taken over
    trained.clear()
    run(tmp_path, "four", trained, "unchanged: train again\n")
    assert sorted(trained) == sorted(ALL)


def test_a_plan_tells_what_is_unchanged_from_what_its_run_has_finished(tmp_path: Path) -> None:
    run(tmp_path, "one", [])
    sweep, searches = small_sweep(tmp_path)
    shown = {}
    for name in ("one", "two"):
        shown[name] = StringIO()
        running = prepare_run(sweep, searches, tmp_path / "runs" / "small", name, spaces=tmp_path / "spaces")
        print_sweep_plan(running, None, PlainConsole(file=shown[name], width=120))
    finished = "0 to run, 0 unchanged and taken over, 4 finished in this run, whatever has changed since\n"
    assert finished in shown["one"].getvalue()
    assert "0 to run, 4 unchanged and taken over\n" in shown["two"].getvalue()
    assert shown["two"].getvalue().count("taken over from one") == 4


@pytest.mark.parametrize(("part", "value"), [("code_digest", "other"), ("_data", "other rows"), ("_weights", "")])
def test_other_code_data_or_unknown_weights_are_trained_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, value: str
) -> None:
    run(tmp_path, "one", [])
    monkeypatch.setattr(fingerprint, part, lambda *given: value)
    trained: list[str] = []
    state = run(tmp_path, "two", trained)
    assert sorted(trained) == sorted(ALL) and bool(state.searches[0].fingerprint) == bool(value)


def test_what_was_taken_over_is_trained_where_its_results_are_gone(tmp_path: Path) -> None:
    first = run(tmp_path, "one", [])
    (Path(first.searches[0].folder) / "search.json").unlink()
    trained: list[str] = []
    run(tmp_path, "two", trained)
    assert trained == ["debsec adept"]


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


def test_a_run_without_its_tracking_server_is_refused_as_often_as_it_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for _ in range(2):
        with pytest.raises(TrackingError, match="no server answers"):
            run(tmp_path, "one", [], run_one=None)
    assert read_state(tmp_path / "runs" / "small" / "one") is None


def test_two_at_once_are_refused_with_the_process(tmp_path: Path) -> None:
    with (
        SearchLock(tmp_path / "runs" / "small", "small", what="sweep"),
        pytest.raises(LockError, match=r"sweep small is running already \(process \d+ on host"),
    ):
        run(tmp_path, "one", [])


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
