"""The comparison's rules: equal grids, all mistakes at once, what counts as near, what is marked as extrapolated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.arms import ARMS, ArmRun, Grid, shared_options
from benchmarks.makespan import document_of, grid_of, near_full_grid, options, ratios, table_of
from trials.errors import UserError


@pytest.fixture(scope="module")
def grid() -> Grid:
    return grid_of(options([]))


def run(arm: str, seconds: float, score: float = 60.0, seed: int = 42, extrapolated: bool = False) -> ArmRun:
    memory = {"all_processes": 3 << 20, "workers": 2 << 20, "largest_worker": 1 << 20, "worker_count": 2, "samples": 1}
    return ArmRun(
        arm, seed, seconds, seconds, extrapolated, 100, 24, score, {"train": 1.0, "evaluation": 1.0}, memory, None, 0.7
    )


def test_all_arms_get_the_same_training(grid: Grid) -> None:
    assert (grid.configurations, grid.steps, grid.eval_every, grid.batch_size) == (24, 480, 60, 16)
    assert grid.peer_trials == 24
    given = shared_options(grid, seed=7, steps=grid.steps)
    assert dict(zip(given[::2], given[1::2], strict=True)) == {
        "--task": "rte", "--backbone": "t5-nano", "--steps": "480", "--eval-every": "60", "--batch-size": "16",
        "--warmup-steps": "40", "--max-source-length": "256", "--seed": "7",
    }  # fmt: skip


def test_the_peers_grid_has_our_prompt_lengths() -> None:
    pytest.importorskip("peft")
    from benchmarks.peer import GRID
    from search_spaces import load_space

    ours = load_space(options([]).space, method="adept", d_model=256).configurations
    assert len(GRID) == len(ours) == 24
    lengths = [sorted(int(point["prompt_length"]) for point in points) for points in (GRID, ours)]
    assert lengths[0] == lengths[1]
    assert len({tuple(point.items()) for point in GRID}) == 24


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        grid_of(options(["--peer-trials", "25", "--peer-steps", "61", "--steps", "480"]))
    assert len(error.value.problems) == 2
    small = tmp_path / "two.yaml"
    small.write_text(
        "settings: {steps: 4, eval_every: 2, batch_size: 2, warmup_steps: 0}\n"
        "grids: {adept: {prompt_lr: [0.1, 0.2], mlp_lr: 0.1, prompt_length: 5, bottleneck: 3}}\n"
    )
    with pytest.raises(UserError, match="has 2 configurations, the peer's grid has 24"):
        grid_of(options(["--space", str(small)]))
    assert grid_of(options(["--space", str(small), "--arms", "stopping", "none"])).configurations == 2


def test_ratios_compare_medians_over_seeds() -> None:
    runs = [run("stopping", s, seed=i) for i, s in enumerate((10.0, 11.0, 90.0))] + [run("peer", 110.0)]
    assert ratios(runs)["stopping"] == {"seconds": 11.0, "faster than peer": 10.0}
    assert ratios(runs)["peer"]["faster than stopping"] == 0.1


@pytest.mark.parametrize(("stopped", "near"), [(60.0, 1), (59.3, 1), (59.2, 0), (61.0, 1)])
def test_near_is_at_most_one_validation_example_below(stopped: float, near: int) -> None:
    runs = [
        run("stopping", 1.0, stopped),
        run("none", 2.0, 60.0),
        run("stopping", 1.0, 0.0, seed=43),
    ]  # 43 has no full grid
    assert near_full_grid(runs) == (near, 1)


def test_an_extrapolated_makespan_is_marked(grid: Grid) -> None:
    console = Console(width=140)
    with console.capture() as shown:
        console.print(table_of([run("stopping", 10.0), replace(run("peer", 250.0, extrapolated=True), trials=4)], "t"))
    peer = next(line for line in shown.get().splitlines() if "peer (" in line)
    assert "4 trials measured" in peer
    assert "~250.0 s" in peer
    ours = next(line for line in shown.get().splitlines() if "early stopping" in line)
    assert "25.00" in ours
    assert "~" not in ours


def test_what_is_written_names_no_folder_of_the_machine(grid: Grid, tmp_path: Path) -> None:
    document = document_of(replace(grid, data_dir=tmp_path), [run("stopping", 1.0)])
    assert str(tmp_path) not in str(document)
    assert str(grid.space.parent) not in str(document)


def test_only_the_peer_is_ever_a_part() -> None:
    part = grid_of(options(["--peer-trials", "4"]))
    assert [name for name, arm in ARMS.items() if not part.whole(arm)] == ["peer", "peer-asha"]
