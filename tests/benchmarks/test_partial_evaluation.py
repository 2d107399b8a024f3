"""Evaluation in parts: the test's error, what a race decides, made-up answers, and what is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks import answers, partial_evaluation
from benchmarks.made_answers import Likeness, answered_grids, likeness, made_right
from benchmarks.made_curves import made_grid
from benchmarks.partial_forecast import rows_needed
from benchmarks.partial_replay import Claim, Partial, trace
from benchmarks.racing import Answers, log_capital, looks
from orchestrator.record.record import SearchRecord
from orchestrator.schedulers.simulation.curves import record
from orchestrator.schedulers.simulation.figures import Setting
from tests.orchestrator.made_records import make_record, make_trial

ALIKE = Likeness(between=0.5, neighbours=0.9, apart=0.6)


def apart(rows: int, more: int, fewer: int) -> np.ndarray:
    """Two series that differ in so many rows for the one and for the other, in the rows' own order."""
    found = np.zeros((2, rows))
    found[0, :more] = found[1, more : more + fewer] = 1
    return found


def test_equal_totals_are_called_apart_as_rarely_as_is_stated() -> None:
    chance, ends = np.random.default_rng(0), looks(200, 10)
    pair = apart(200, 30, 30)
    orders = np.stack([chance.permutation(200) for _ in range(600)])
    capital = log_capital(pair[0][orders], pair[1][orders], 0.0, ends)
    assert 0 < (capital >= np.log(1 / 0.05)).any(axis=-1).mean() <= 0.05
    assert (capital[:, -1] == -np.inf).all()  # all rows are known


def test_a_difference_is_found_before_all_rows_are_read() -> None:
    chance, ends = np.random.default_rng(0), looks(600, 25)
    pair = apart(600, 120, 30)
    orders = np.stack([chance.permutation(600) for _ in range(100)])
    sure = log_capital(pair[0][orders], pair[1][orders], 0.0, ends) >= np.log(1 / 0.01)
    assert sure.any(axis=-1).all()
    assert 50 < ends[sure.argmax(axis=-1)].mean() < 200


def test_what_the_rows_left_cannot_change_is_certain() -> None:
    better, worse = apart(10, 6, 0)
    assert log_capital(better, worse, 0.0, looks(10, 6))[0] == np.inf
    better, worse = apart(10, 4, 0)
    assert np.isfinite(log_capital(better, worse, 0.0, looks(10, 4))[0])


@pytest.mark.parametrize("rule", ["promotion", "asha", "median"])
def test_a_race_decides_as_all_rows_do_and_reads_fewer(rule: str) -> None:
    grid = made_grid(5, trials=12, reports=4, examples=200)
    right = made_right(grid, ALIKE, 0)
    chance = np.random.default_rng(1)
    whole = trace(grid, Setting(rule), sorted(grid.curves), workers=4)
    assert any(isinstance(event, Claim) for event in whole.events)
    spent = Partial(grid, Answers(right, chance.permutation(200), 20), 0.01, late=True).run(whole)
    assert spent.wrong == 0
    assert spent.lost == pytest.approx(0.0)
    assert spent.rows < 1.0


def test_reports_that_cannot_win_end_early_and_the_winner_is_evaluated_whole() -> None:
    grid = made_grid(5, trials=6, reports=4, examples=200)
    partial = Partial(grid, Answers(made_right(grid, ALIKE, 0), np.arange(200), 20), 0.01, late=False)
    spent = partial.run(trace(grid, Setting("none"), sorted(grid.curves), workers=1))
    best = max(grid.curves, key=lambda number: grid.curves[number].best)
    report = int(np.argmax(grid.curves[best].scores))
    assert partial.race.known[best][report] == partial.whole
    assert spent.lost == pytest.approx(0.0)
    assert spent.rows < 0.9


def test_made_up_answers_have_the_scores_and_are_as_alike_as_asked() -> None:
    grid = made_grid(2, trials=10, reports=5, examples=600)
    right = made_right(grid, ALIKE, 0)
    for number, curve in grid.curves.items():
        assert 100 * right[number].mean(axis=1) == pytest.approx(curve.scores)
    found = likeness(right)
    assert found.between == pytest.approx(0.5, abs=0.1)
    assert found.neighbours == pytest.approx(0.9, abs=0.07)


def test_the_model_of_the_curves_needs_some_of_the_rows() -> None:
    grid = made_grid(3, trials=5, reports=3, examples=100)
    found = rows_needed(grid, made_right(grid, ALIKE, 0), np.arange(100), (0.01, 0.5))
    assert 1 / 8 <= found[0.5] <= found[0.01] <= 1.0


def answered(seed: int = 0) -> pa.Table:
    """As `benchmarks.answers` writes a grid: two trials, two reports, ten rows."""
    rows = []
    for trial, shares in ((1, (3, 5)), (2, (4, 9))):
        for step, count in zip((10, 20), shares, strict=True):
            right = np.packbits(np.arange(10) < count).tobytes()
            own = {"train_seconds": 3.0, "evaluation_seconds": 1.0, "config/prompt_lr": 0.1 * trial}
            known = {"trial": trial, "step": step, "rows": 10, "right": right, "loss": None}
            rows.append({"task": "debsec", "backbone": "t5-nano", "seed": seed, **known, **own})
    return pa.Table.from_pylist(rows)


def test_a_grid_of_answers_takes_the_place_of_the_same_one(tmp_path: Path) -> None:
    file = tmp_path / "answers.parquet"
    for seed in (0, 1, 1):
        answers.add(answered(seed), file)
    found = answered_grids(file)
    assert len(found) == 2
    grid, right, share = found["debsec adept t5-nano seed 1"]
    assert grid.curves[2].scores == (40.0, 90.0)
    assert right[2][1].tolist() == [True] * 9 + [False]
    assert share == 0.25


def test_the_tables_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers.add(answered(), tmp_path / "answers.parquet")
    search: SearchRecord = make_record(*(make_trial(n, [40.0 + n, 50.0, 52.0 + n]) for n in range(1, 6)))
    search.sizes["validation"] = 100
    curves = record([search], tmp_path / "curves.parquet")
    shared = ["--answers", str(tmp_path / "answers.parquet"), "--results", str(tmp_path), "--repeats", "1"]
    partial_evaluation.main([str(curves), *shared])
    assert "curves recorded, answers made up" in capsys.readouterr().out
    written = json.loads((tmp_path / "partial_evaluation.json").read_text())
    rows = written["rules"]["curves recorded, answers made up"]
    assert rows["none: half the rows"]["rows"] == pytest.approx(2 / 3)  # and the best of each trial on all
    assert 0 < rows["promotion: late, 1%"]["rows"] <= 1
