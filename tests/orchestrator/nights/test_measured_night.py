"""A night made of a sweep's state and the records of its searches."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.nights.history import History
from orchestrator.nights.measure import measured_night
from orchestrator.nights.night import CellStatus
from orchestrator.record.record import RECORD, SearchRecord, TestResult
from orchestrator.record.selection import choose_winner
from orchestrator.store.predictions import PREDICTIONS, write_predictions
from orchestrator.sweep.cells import CellKey
from orchestrator.sweep.state import SearchState, SearchStatus, SweepState
from tests.orchestrator.made_records import make_record, make_trial

KEY = CellKey("rte", "adept", "t5-base")


def state(*searches: SearchState, **fields: Any) -> SweepState:
    given: dict[str, Any] = {"run": "2026-03-02", "calibration": [90.0, 110.0, 100.0], "provenance": {"cpu": "x"}}
    started = datetime(2026, 3, 2, 2, tzinfo=UTC)
    return SweepState(sweep="demo", started=started, searches=list(searches), **{**given, **fields})


def search(status: SearchStatus, folder: Path | str = "", **fields: Any) -> SearchState:
    return SearchState(key=KEY, status=status, folder=str(folder), fingerprint="f1", command="again", **fields)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A search of three trials, whose winner was trained on a second seed and tested on both."""
    place = tmp_path / "run" / "rte-adept"
    trials = [
        make_trial(1, [60, 70, 75, 76, 77], configuration={"prompt_lr": 0.3}),
        make_trial(2, [50, 55], "stopped early", configuration={"prompt_lr": 0.1}),
        make_trial(3, [58, 68, 73, 74, 75], configuration={"prompt_lr": 0.3}),
    ]
    trials[2].seed = 43
    record = make_record(*trials, test=TestResult(1, 74.0, {"accuracy": 74.0}, 139, 0.72, 5000))
    record.engines = {"count": 2, "peak_memory": 500_000_000}
    record.seed_tests = [TestResult(3, 72.0, {"accuracy": 72.0}, 139, 0.72, 5000)]
    answers = {"ids": ["a"], "gold": ["1"], "given": ["1"]}
    place.mkdir(parents=True)
    write_predictions(record, place, [(trials[0], answers), (trials[2], answers)])
    record.save(place / "search.json")
    return place


def test_a_finished_search_is_measured(folder: Path) -> None:
    night = measured_night(state(search(SearchStatus.FINISHED, folder, parts={"code": "c"})))
    (cell,) = night.cells
    assert (night.date, night.sweep, night.calibration, night.provenance["cpu"]) == ("2026-03-02", "demo", 100.0, "x")
    assert cell.status is CellStatus.MEASURED and cell.metric == "accuracy" and cell.parts == {"code": "c"}
    assert [(one.seed, one.score, one.n, one.trial) for one in cell.scores] == [(42, 74.0, 139, 1), (43, 72.0, 139, 3)]
    assert {one.predictions for one in cell.scores} == {str(folder / PREDICTIONS)}
    assert (cell.score, cell.validation, cell.configuration) == (73.0, 76.0, {"prompt_lr": 0.3})
    assert cell.updates_per_second == pytest.approx(12_000 / (12 * 11.5))  # twelve reports of 1,000 updates each
    assert cell.share_of_grid == pytest.approx(12 / 15) and cell.peak_memory == 500_000_000


def test_the_precision_that_was_found_out_is_a_part_of_a_cell(folder: Path) -> None:
    record = SearchRecord.load(folder / RECORD)
    record.settings["precision"] = "bfloat16"
    record.save(folder / RECORD)
    (cell,) = measured_night(state(search(SearchStatus.FINISHED, folder, parts={"code": "c"}))).cells
    assert cell.parts == {"code": "c", "precision": "bfloat16"} and cell.precision == "bfloat16"


def test_a_pinned_search_has_no_share_of_a_grid(folder: Path) -> None:
    (cell,) = measured_night(state(search(SearchStatus.FINISHED, folder, search="pinned"))).cells
    assert cell.share_of_grid is None and cell.score == 73.0


def test_a_search_that_was_taken_over_has_its_scores_and_no_speed(folder: Path, tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    history.append(measured_night(state(search(SearchStatus.FINISHED, folder), run="2026-03-01")))
    taken = state(search(SearchStatus.TAKEN_OVER, folder, measured_on="2026-03-01"), calibration=[])
    there = measured_night(taken).cells[0]
    assert (there.status, there.score, there.updates_per_second) == (CellStatus.TAKEN_OVER, 73.0, None)
    shutil.rmtree(folder)
    earlier = history.nights("demo")
    gone = measured_night(taken, earlier).cells[0]
    assert gone.scores == earlier[0].cells[0].scores and gone.validation == there.validation
    assert gone.updates_per_second is None and measured_night(taken).calibration is None
    assert measured_night(taken).cells[0].status is CellStatus.FAILED  # nothing has its results


@pytest.mark.parametrize("status", [SearchStatus.FAILED, SearchStatus.NOT_RUN, SearchStatus.RUNNING])
def test_what_was_not_measured_says_why(status: SearchStatus) -> None:
    (cell,) = measured_night(state(search(status))).cells
    assert cell.status is (CellStatus.FAILED if status is SearchStatus.FAILED else CellStatus.NOT_RUN)
    assert cell.why and cell.score is None
    assert measured_night(state(search(status, why="the data are gone"))).cells[0].why == "the data are gone"


def test_a_search_without_a_test_score_has_failed(folder: Path) -> None:
    record = make_record(make_trial(1, [60]))
    assert choose_winner(record).winner is not None
    record.save(folder / "search.json")
    (cell,) = measured_night(state(search(SearchStatus.FINISHED, folder))).cells
    assert cell.status is CellStatus.FAILED and cell.why == "its search has no test score"
