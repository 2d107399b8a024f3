"""The run of a sweep: what is run, left out, taken over and written down."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

from orchestrator.console import PlainConsole
from orchestrator.record.errors import LockError
from orchestrator.store.lock import SearchLock
from orchestrator.sweep import fingerprint
from orchestrator.sweep.expand import PlannedSearch
from orchestrator.sweep.runner import prepare_run, run_sweep
from orchestrator.sweep.shown import print_sweep_plan
from orchestrator.sweep.state import SearchStatus, read_state
from orchestrator.tracking.store import TrackingError
from tests.orchestrator.sweep.made_sweeps import made, run, small_sweep, statuses

ALL = ["debmatch adept", "debsec adept", "debmatch pt", "debsec pt"]


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
