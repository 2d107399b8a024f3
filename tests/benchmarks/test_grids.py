"""Recording grids: validation losses are part of what is kept."""

from __future__ import annotations

from pathlib import Path

from benchmarks.grids import held_with_losses
from orchestrator.schedulers.simulation.curves import read_curves, record
from tests.orchestrator.made_records import make_record, make_trial


def test_a_grid_without_losses_is_recorded_again_and_one_with_them_is_not(tmp_path: Path) -> None:
    blind, seeing = (
        make_record(make_trial(1, [1.0, 2.0]), make_trial(2, [1.0, 4.0]), task=task) for task in ("rte", "cola")
    )
    for search in (blind, seeing):
        for trial in search.trials:
            for report in trial.reports:
                report.pop("validation/loss", None)
                if search is seeing:
                    report["validation/loss"] = 1.0 / report["step"]
    path = record([blind, seeing], tmp_path / "curves.parquet")
    assert held_with_losses(path) == {("cola", "adept", 42)}
    assert held_with_losses(tmp_path / "nowhere.parquet") == set()
    cola = next(grid for grid in read_curves(path) if grid.task == "cola")
    assert cola.curves[2].losses == tuple(1.0 / step for step in cola.curves[2].steps)
