"""Precisions are compared by the grids, and the reports, that both have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.precision import compared, recorded
from tests.orchestrator.made_records import make_record, make_trial


def write(folder: Path, name: str, precision: str, *scores: list[float], every: int = 10) -> None:
    trials = [make_trial(number, list(each)) for number, each in enumerate(scores, start=1)]
    for trial in trials:
        for place, report in enumerate(trial.reports, start=1):
            report["step"] = place * every
    search = make_record(*trials, task="rte")
    search.settings = {**search.settings, "precision": precision}
    search.save(folder / name / "search.json")


def test_scores_are_compared_at_the_steps_that_both_have(tmp_path: Path) -> None:
    write(tmp_path / "single", "rte-0", "float32", [40.0, 50.0], [60.0, 55.0], every=20)
    write(tmp_path / "single", "rte-1", "float32", [40.0, 50.0], [60.0, 55.0])
    write(tmp_path / "half", "rte-0", "bfloat16", [99.0, 41.0, 99.0, 56.0], [99.0, 52.0, 99.0, 50.0])
    found = recorded([tmp_path / "single", tmp_path / "half"])
    assert found["rte"].tolist() == [[[50.0, 60.0]], [[56.0, 52.0]]]
    figures = compared(found["rte"])
    assert figures["difference"] == pytest.approx(-1.0)
    assert (figures["regret"], figures["rank"], figures["other_seed"]) == ([10.0], [2], None)
    low, high = figures["interval_95"]
    assert low < figures["difference"] < high and (low + high) / 2 == pytest.approx(figures["difference"])
    assert figures["same_winner"] == 0
    assert "seconds" not in figures


def test_grids_of_another_precision_or_of_none_in_common_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "single", "rte-0", "float32", [1.0])
    write(tmp_path / "half", "rte-1", "bfloat16", [1.0])
    with pytest.raises(SystemExit, match="no grid is in both"):
        recorded([tmp_path / "single", tmp_path / "half"])
    with pytest.raises(SystemExit, match="not in float32: rte-1"):
        recorded([tmp_path / "half", tmp_path / "half"])
    write(tmp_path / "half", "rte-0", "bfloat16", [1.0], every=7)
    with pytest.raises(SystemExit, match=r"rte-0: .* in common"):
        recorded([tmp_path / "single", tmp_path / "half"])


def test_times_are_kept_where_they_were_measured() -> None:
    scores = np.array([[[1.0, 2.0]], [[1.0, 2.5]]])
    assert compared(scores, {"float32": 2.0, "bfloat16": 1.0})["seconds"] == {"float32": 2.0, "bfloat16": 1.0}


def test_beside_the_precisions_stands_what_another_seed_changes() -> None:
    single = np.array([[10.0, 20.0, 30.0], [25.0, 20.0, 10.0]])
    half = single + np.array([[0.0, 15.0, 0.0], [0.0] * 3])
    figures = compared(np.array([single, half]), again=np.array([single, single]))
    assert (figures["regret"], figures["rank"], figures["same_winner"]) == ([10.0, 0.0], [2, 1], 1)
    assert (figures["other_seed"]["regret"], figures["other_seed"]["rank"]) == ([15.0, 20.0], [3, 3])
    assert figures["other_seed"]["rank_correlation"] == pytest.approx(-1.0)
    assert (figures["again"]["spread"], figures["again"]["rank"]) == (0.0, [1, 1])


def test_grids_that_tell_nothing_apart_have_no_correlation() -> None:
    figures = compared(np.array([[[0.0] * 3], [[0.0, 1.0, 0.0]]]))
    assert (figures["rank_correlation"], figures["regret"]) == (None, [0.0])
