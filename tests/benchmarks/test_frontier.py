"""The frontier of early stopping: what counts as learnt, and how early reports rank final scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import frontier
from benchmarks.frontier_picture import DEFAULT, draw
from benchmarks.made_curves import made_grid
from orchestrator.schedulers.simulation.curves import read_curves, record
from orchestrator.schedulers.simulation.figures import Setting
from tests.orchestrator.made_records import make_record, make_trial


def test_a_grid_is_learnt_where_its_best_stands_out() -> None:
    grid = made_grid(1, trials=8, reports=6)
    flat = replace(grid, curves={n: replace(c, scores=(50.0,) * 6) for n, c in grid.curves.items()})
    assert frontier.is_learnt(grid)
    assert not frontier.is_learnt(flat)


def test_kendalls_tau_counts_pairs() -> None:
    assert frontier.kendall([1, 2, 3], [10, 20, 30]) == 1.0
    assert frontier.kendall([1, 2, 3], [3, 2, 1]) == -1.0
    assert frontier.kendall([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert frontier.kendall([0, 0, 0], [1, 2, 3]) == 0.0
    assert frontier.ranks([5.0, 1.0, 5.0]) == [2.0, 0.5, 2.0]


def test_losses_are_ranked_beside_scores_where_they_are_known() -> None:
    grid = made_grid(2, trials=6, reports=10)
    assert all(taus.keys() == {"score"} for taus in frontier.signals(grid).values())
    final = {n: curve.scores[-1] for n, curve in grid.curves.items()}
    known = {n: replace(c, losses=(100.0 - final[n],) * 10) for n, c in grid.curves.items()}
    found = frontier.signals(replace(grid, curves=known))
    assert all(taus["loss"] == 1.0 for taus in found.values())


def test_a_rule_is_chosen_on_the_other_tasks_and_judged_on_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cheap, whole = Setting("promotion", 0.2, 2), Setting("none")
    monkeypatch.setattr(frontier, "HALVING", [cheap, whole])
    early = make_record(make_trial(1, [90.0] * 5), make_trial(2, [1.0] * 5), task="rte")
    late = make_record(make_trial(1, [0.0] * 4 + [90.0]), make_trial(2, [1.0] * 5), task="cola")
    grids = read_curves(record([early, late], tmp_path / "curves.parquet"))
    found = frontier.chosen_elsewhere(grids, workers=1, repeats=1)
    assert (found["cola"]["rule"], found["cola"]["regret"], found["cola"]["within"]) == (cheap.name, 89.0, 0.0)
    assert (found["rte"]["rule"], found["rte"]["share"]) == ("none", 1.0)
    assert frontier.chosen_elsewhere(grids[:1], workers=1, repeats=1) == {}


def test_the_tables_are_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = make_record(make_trial(1, [50.0, 60.0, 90.0]), make_trial(2, [1.0, 2.0, 3.0]), make_trial(3, [1.0] * 3))
    curves = record([search], tmp_path / "curves.parquet")
    monkeypatch.setattr(frontier, "RULES", {"none": Setting("none").make})
    frontier.main([str(curves), "--repeats", "2", "--results", str(tmp_path)])
    assert "something is learnt: 1 grid(s)" in capsys.readouterr().out
    written = json.loads((tmp_path / "frontier.json").read_text())
    assert written["rules"]["something is learnt"]["rows"] == {"none": {"share": 1.0, "regret": 0.0, "within": 1.0}}
    with pytest.raises(SystemExit, match="there is no such file of curves"):
        frontier.main([str(tmp_path / "nowhere.parquet")])


def test_the_picture_has_every_rule_once() -> None:
    row = {"share": 0.25, "regret": 0.1, "within": 1.0}
    rules = [DEFAULT, "promotion, grace period 0.1, reduction factor 4, by score", "freeze-thaw, stop chance 0.02"]
    rules += ["median, grace period default", "Ray's ASHA, its defaults", "asha, grace period default"]
    axes = draw(dict.fromkeys(rules, row), grids=7).axes[0]
    kinds = {str(group.get_label()): len(np.asarray(group.get_offsets())) for group in axes.collections}
    wanted = {"Ray's ASHA": 1, "freeze-thaw": 1, "median": 1, "halving by scores": 1, "halving by losses": 2}
    assert {kind: kinds.get(kind) for kind in wanted} == wanted
    assert "7 recorded grids" in axes.get_title(loc="left")
