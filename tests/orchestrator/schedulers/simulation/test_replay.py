"""Replays: curves survive the file, a replay spends what a search would, and baselines are what they say."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.made_curves import made_grid
from orchestrator.schedulers.asha import Asha, Promotion
from orchestrator.schedulers.base import NoStopping
from orchestrator.schedulers.simulation.baselines import RayAsha, first_look, random_subset, whole
from orchestrator.schedulers.simulation.curves import Curve, RecordedGrid, read_curves, record
from orchestrator.schedulers.simulation.figures import Setting, compare, orders, summarise
from orchestrator.schedulers.simulation.simulate import Outcome, outcome, replay
from tests.orchestrator.made_records import make_record, make_trial
from trials.errors import UserError


def grid_of(*scores: list[float], examples: int = 100, seconds: float = 1.0) -> RecordedGrid:
    curves = {
        number: Curve({"rate": number / 10}, tuple(range(100, 100 * len(s) + 1, 100)), tuple(s), (seconds,) * len(s))
        for number, s in enumerate(scores, 1)
    }
    return RecordedGrid("rte", "t5-nano", "adept", 42, curves, max(c.steps[-1] for c in curves.values()), examples)


def test_curves_come_back_from_the_file(tmp_path: Path) -> None:
    diverged = make_trial(3, [40.0, 30.0], "diverged", configuration={"prompt_lr": 1.0, "init": "text"})
    search = make_record(make_trial(1, [50.0, 60.0, 55.0]), make_trial(2, [1.0, 2.0, 3.0]), diverged)
    other = make_record(*search.trials[:2], task="cola")
    (rte, cola) = read_curves(record([search, other], tmp_path / "curves.parquet"))
    assert (rte.task, rte.backbone, rte.method, rte.seed, rte.steps) == ("rte", "t5-base", "adept", 42, 3_000)
    assert rte.curves[1].scores == (50.0, 60.0, 55.0)
    assert rte.curves[1].seconds == (11.5,) * 3
    assert rte.curves[1].configuration == search.trials[0].configuration
    assert rte.curves[3].configuration == {"prompt_lr": 1.0, "init": "text"}
    assert rte.curves[3].diverged
    assert (rte.best, rte.cost, rte.every, rte.examples) == (60.0, 8_000, 1_000, 138)
    assert cola.curves.keys() == {1, 2}


def test_only_whole_searches_are_recorded_and_every_fault_is_named(tmp_path: Path) -> None:
    stopped = make_record(make_trial(1, [50.0] * 5), make_trial(2, [40.0], "stopped early"), name="one")
    again = make_record(make_trial(1, [50.0] * 5), name="two")
    with pytest.raises(UserError) as error:
        record([stopped, again], tmp_path / "curves.parquet")
    assert error.value.problems == [
        "search one, trial 2: it is stopped early at step 1,000; a search to be recorded is trained whole: "
        "--scheduler none",
        "search two, trial 1: search one has the same trial",
    ]
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    path = record([make_record(make_trial(1, [1.0, 2.0, 3.0]), make_trial(2, [1.0, 2.0, 4.0]))], tmp_path / "c.parquet")
    table = pq.read_table(path)

    def problems(change: pa.Table) -> str:
        pq.write_table(change, path)
        with pytest.raises(UserError) as error:
            read_curves(path)
        return "; ".join(error.value.problems)

    assert "has no column 'score' (float64)" in problems(table.drop(["score"]))
    assert "trial 2: it ends at step 2,000 of 3,000; record searches with --scheduler none" in problems(
        table.slice(0, 5)
    )
    assert "trial 1: steps must rise" in problems(pa.concat_tables([table, table.slice(0, 1)]))
    assert "a grid needs two trials" in problems(table.slice(0, 3))
    path.write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="is no whole Parquet file"):
        read_curves(path)
    with pytest.raises(UserError, match="there is no such file of curves"):
        read_curves(tmp_path / "nowhere.parquet")


def test_a_replay_spends_and_finds_what_the_search_would() -> None:
    grid = grid_of([10, 20, 30], [40, 50, 60], [20, 30, 99], [39, 50, 59])
    together = Promotion(grid.curves, 300, 100, 3, together=True)  # keeps two of four after the first report
    found = replay(grid, together, [1, 2, 3, 4])
    assert (found.share, found.regret, found.kept, found.near) == (8 / 12, 39.0, False, False)
    full = replay(grid, NoStopping(grid.curves, 300), [4, 3, 2, 1])
    assert (full.share, full.regret, full.kept) == (1.0, 0.0, True)
    assert whole(grid).share == 1.0


def test_one_example_short_is_near_but_not_kept() -> None:
    grid = grid_of([50.0, 90.0], [60.0, 89.0], examples=100)
    found = outcome(grid, {1: 1, 2: 2})
    assert (found.regret, found.kept, found.near) == (1.0, False, True)


def test_a_diverged_trial_ends_costs_what_it_trained_and_never_wins() -> None:
    grid = grid_of([10, 20, 30], [40, 95, math.nan])
    found = replay(grid, Asha(grid.curves, 300, 200, 3), [2, 1])
    assert grid.best == 30.0
    assert found.regret == 10.0  # the other was stopped at its rung, below a score of the one that diverged later
    grid = grid_of([10, 20, 30], [40, math.nan])
    assert replay(grid, Asha(grid.curves, 300, 200, 3), [2, 1]) == Outcome(1.0, 0.0, True, True, 5.0, 0.0)


def test_workers_share_the_time_and_those_who_wait_are_counted() -> None:
    grid = grid_of(*[[1.0, 2.0]] * 4, seconds=5.0)
    assert replay(grid, NoStopping(grid.curves, 200), [1, 2, 3, 4], workers=2).seconds == 20.0
    three = replay(grid, NoStopping(grid.curves, 200), [1, 2, 3, 4], workers=3)
    assert (three.seconds, three.waited) == (20.0, pytest.approx(1 / 3))


@pytest.mark.parametrize("workers", [1, 3, 24])
def test_decided_together_neither_order_nor_workers_matter(workers: int) -> None:
    grid = made_grid(1)
    one = replay(grid, Promotion(grid.curves, 3_000, 400, 3, together=True), sorted(grid.curves))
    for order in orders(grid, 10, seed=0):
        found = replay(grid, Promotion(grid.curves, 3_000, 400, 3, together=True), order, workers)
        assert (found.share, found.regret) == (one.share, one.regret)


def test_rays_asha_decides_as_under_tune() -> None:
    """Its rule by hand: at reports 1, 4, ... stop what is below the 75th percentile of the scores before it."""
    grid = grid_of(*[[level] * 5 for level in (50.0, 40.0, 60.0, 57.0, 90.0)])
    scheduler = RayAsha(grid.curves, 500, 100)
    stopped = {}
    for number, curve in grid.curves.items():
        for step, score in zip(curve.steps, curve.scores, strict=True):
            if scheduler.report(number, step, score):
                stopped[number] = step
                break
    assert stopped == {2: 100, 4: 400}  # 57 beats 55, that of 50, 40, 60, but not 57.5, that of 50, 60


def test_baselines_spend_what_they_are_given() -> None:
    grid, chance = made_grid(3), random.Random(0)
    for share in (0.2, 0.35, 0.7):
        for baseline in (random_subset, first_look):
            spent = [baseline(grid, share, chance).share for _ in range(300)]
            assert sum(spent) / 300 == pytest.approx(share, abs=0.01)


def test_halving_beats_chance_on_curves_whose_beginning_tells_of_their_end() -> None:
    grids = [made_grid(seed, trials=16, reports=12, late=0.0) for seed in range(6)]
    rows = {
        row.name.split(",")[0]: row
        for row in compare(grids, [Setting("promotion", 0.25, reduction_factor=3)], repeats=20)
    }
    ours, chance = rows["promotion"], rows["random subset of the same cost"]
    assert ours.share == pytest.approx(chance.share, abs=0.03)
    assert ours.regret < chance.regret / 2
    assert ours.intervals["regret"][1] < chance.intervals["regret"][0]
    assert rows["full grid"].regret == 0.0


def test_intervals_widen_with_the_differences_between_grids() -> None:
    even = {name: [Outcome(0.3, 1.0, True, True)] * 50 for name in "abcd"}
    uneven = {name: [Outcome(0.3, r, True, True)] * 50 for name, r in zip("abcd", (0, 0, 0, 4), strict=True)}
    assert summarise("even", even).intervals["regret"] == (1.0, 1.0)
    row = summarise("uneven", uneven)
    assert row.regret == 1.0
    assert row.intervals["regret"] == (0.0, 3.0)


def test_settings_turn_shares_into_whole_reports() -> None:
    grid = made_grid(0)  # 30 reports of 100 updates
    assert [Setting("asha", g).first_rung(grid) for g in (None, 0.01, 0.1, 0.26, 1.0)] == [800, 100, 300, 800, 3_000]


def test_json_of_a_row_is_json() -> None:
    row = summarise("x", {"a": [Outcome(0.3, 1.0, True, False)]})
    assert json.loads(json.dumps(row.as_dict()))["intervals"]["kept"] == [1.0, 1.0]
