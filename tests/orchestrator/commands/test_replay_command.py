"""`adept-search replay` and `benchmarks.stopping`, from the command line to the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.stopping import front, main
from orchestrator.cli import app
from orchestrator.schedulers.simulation.figures import ReplayRow
from tests.orchestrator.made_records import make_record, make_trial

BLOOMS = {1: [10, 20, 30, 40, 90], 2: [50, 60, 60, 60, 60], 3: [30, 30, 30, 30, 30], 4: [20, 20, 20, 20, 20]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A search that was trained whole."""
    trials = [make_trial(number, [float(s) for s in scores]) for number, scores in BLOOMS.items()]
    make_record(*trials).save(tmp_path / "whole" / "search.json")
    return tmp_path


def test_a_search_is_recorded_and_replayed_beside_its_baselines(folder: Path) -> None:
    curves, figures = folder / "curves.parquet", folder / "out" / "figures.json"
    command = ["replay", str(curves), "--record", str(folder / "whole"), "--scheduler", "promotion,none"]
    run = CliRunner().invoke(app, [*command, "--deterministic", "--repeats", "10", "--json", str(figures)])
    assert run.exit_code == 0, run.output
    assert "Ray's ASHA" in run.output
    assert "One grid: its intervals are of the order of start alone." in " ".join(run.output.split())
    rows = {row["name"].split(" ")[0]: row for row in json.loads(figures.read_text())["rows"]}
    # One of four goes on after two reports (a quarter of five, in whole reports), without the one that blooms late.
    assert rows["promotion"]["share"] == pytest.approx((4 * 2 + 1 * 3) / 20)
    assert rows["promotion"]["regret"] == 30.0
    assert (rows["none"]["share"], rows["none"]["regret"], rows["none"]["kept"]) == (1.0, 0.0, 1.0)


def test_equal_scores_may_be_told_apart_by_their_losses(folder: Path) -> None:
    trials = [make_trial(number, [50.0, 50.0, 50.0, 50.0, 50.0 + number]) for number in BLOOMS]
    for trial in trials:
        for report in trial.reports:
            report["validation/loss"] = 1.0 / trial.number
    make_record(*trials).save(folder / "tied" / "search.json")
    shares = {}
    for ties in ("keep", "loss"):
        figures = folder / f"{ties}.json"
        command = ["replay", str(folder / "c.parquet"), "--record", str(folder / "tied"), "--scheduler", "promotion"]
        command += ["--rank-by", "score", "--repeats", "3"]
        run = CliRunner().invoke(app, [*command, "--ties", ties, "--json", str(figures)])
        assert run.exit_code == 0, run.output
        first = json.loads(figures.read_text())["rows"][0]
        shares[first["name"]] = (first["share"], first["regret"])
    assert shares == {
        "promotion, grace period default, reduction factor 4, by score": (1.0, 0.0),
        "promotion, grace period default, reduction factor 4, ties by loss": (pytest.approx((4 * 2 + 1 * 3) / 20), 0.0),
    }
    figures = folder / "by_loss.json"
    for asked in ([], ["--rank-by", "loss"]):
        command = ["replay", str(folder / "c.parquet"), "--scheduler", "promotion", *asked]
        assert CliRunner().invoke(app, [*command, "--repeats", "3", "--json", str(figures)]).exit_code == 0
        first = json.loads(figures.read_text())["rows"][0]
        # One of four goes on after the first report (a tenth of five, in whole reports), and past the second rung.
        assert first["name"] == "promotion, grace period default, reduction factor 4"
        assert first["share"] == pytest.approx((4 * 1 + 1 * 4) / 20)


@pytest.mark.parametrize("option", ["--ties", "--rank-by"])
def test_losses_that_were_not_recorded_decide_nothing(folder: Path, option: str) -> None:
    run = CliRunner().invoke(
        app, ["replay", str(folder / "d.parquet"), "--record", str(folder / "whole"), option, "loss"]
    )
    assert run.exit_code == 2
    assert f"{option} loss: no losses are known of" in " ".join(run.output.split())


def test_all_that_is_wrong_is_said(folder: Path) -> None:
    run = CliRunner().invoke(
        app, ["replay", "x", "--scheduler", "ahsa", "--reduction-factor", "1", "--grace-period", "2"]
    )
    assert run.exit_code == 2
    assert (
        "--scheduler ahsa: must be one of asha, promotion, freeze-thaw, median, none (did you mean 'asha'?)"
        in run.output
    )
    assert "--reduction-factor 1: must be at least 2" in run.output
    assert "--grace-period 2.0: a share of the budget" in run.output
    run = CliRunner().invoke(app, ["replay", str(folder / "c"), "--record", str(folder)])
    assert run.exit_code == 2
    assert "no search record at" in run.output
    whole = ["replay", str(folder / "c"), "--record", str(folder / "whole"), "--repeats", "2"]
    run = CliRunner().invoke(app, [*whole, "--json", str(folder)])
    assert run.exit_code == 2 and f"{folder}: it is a folder, and a file is needed" in run.output
    assert CliRunner().invoke(app, [*whole, "--seed", "-1"]).exit_code == 2


def row(name: str, share: float, regret: float) -> ReplayRow:
    return ReplayRow(name, share, regret, 1.0, 1.0, 0.0, {}, 1)


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    rows = [row("a", 0.5, 0.0), row("b", 0.2, 1.0), row("c", 0.3, 1.0), row("d", 0.3, 0.5), row("e", 0.6, 0.2)]
    assert [r.name for r in front(rows)] == ["b", "d", "a"]


def test_the_benchmark_sweeps_and_writes_its_choice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curves = folder / "curves.parquet"
    assert CliRunner().invoke(app, ["replay", str(curves), "--record", str(folder / "whole")]).exit_code == 0
    main([str(curves), "--repeats", "2", "--results", str(folder)])
    found = json.loads((folder / "stopping-curves.json").read_text())
    assert found["chosen"] in capsys.readouterr().out.replace("\n", " ")
    assert {row["name"] for row in found["rows"]} >= set(found["front"])
    assert found["keeps_the_aim"] == []  # what blooms late is found only by training nearly all of it
    with pytest.raises(SystemExit, match="there is no such file of curves"):
        main([str(folder / "nowhere.parquet")])
