"""Whole searches beyond the plain grid: pausing, proposing, further seeds, trials trained again, and their check."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.orchestrator.run.test_search import finish, folder, record, runs, start

pytestmark = pytest.mark.slow

__all__ = ["folder"]  # the fixture


def command(folder: Path, *arguments: str, code: int = 0) -> str:
    environment = {**os.environ, "RAY_ADDRESS": "local", "RAY_AUTH_MODE": "disabled", "ADEPT_CACHE": str(folder / "c")}
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    return finish(process, code)


def by_number(folder: Path) -> dict[int, dict[str, Any]]:
    return {trial["number"]: trial for trial in record(folder)["trials"]}


def test_promotion_then_further_seeds_then_a_trial_again(folder: Path) -> None:
    options = (
        "--scheduler",
        "promotion",
        "--reduction-factor",
        "2",
        "--grace-period",
        "4",
        "--deterministic",
        "--slots",
        "1",
    )
    finish(start(folder, *options))
    assert record(folder)["seed_tests"] == []
    first = by_number(folder)
    assert sorted(first) == [1, 2, 3, 4]
    assert {trial["status"] for trial in first.values()} == {"finished", "stopped early"}

    more = (*options, "--seeds", "2", "--top", "2")
    output = finish(start(folder, *more))
    assert "over 2 seeds (42: " in output and "mean" in output
    trials = by_number(folder)
    assert {number: trial for number, trial in trials.items() if number <= 4} == first, "a trial was trained again"
    assert [(trials[n]["seed"], trials[n]["status"]) for n in (5, 6)] == [(43, "finished")] * 2
    saved = record(folder)
    tested = [saved["test"]["trial_number"], *(test["trial_number"] for test in saved["seed_tests"])]
    assert [trials[number]["seed"] for number in tested] == [42, 43]
    assert trials[tested[0]]["configuration"] == trials[tested[1]]["configuration"]
    assert "is finished" in finish(start(folder, *more))

    command(folder, "resume", "toy", "--rerun", "5,2")
    again = by_number(folder)
    for number in (2, 5):
        assert again[number]["trial_id"] != trials[number]["trial_id"]
        assert [r["score"] for r in again[number]["reports"]] == [r["score"] for r in trials[number]["reports"]]
    client, parent, tracked = runs(folder)
    assert sorted(tracked) == ["1", "2", "3", "4", "5", "6"]
    assert {run.info.status for run in [parent, *tracked.values()]} == {"FINISHED"}
    assert parent.data.metrics["seeds"] == 2
    for tracked_number, run in tracked.items():
        points = client.get_metric_history(run.info.run_id, "score")
        assert sorted(point.step for point in points) == [r["step"] for r in again[int(tracked_number)]["reports"]]
    assert "no trial of search toy has failed" in command(folder, "resume", "toy", "--rerun", "failed", code=2)


def test_a_trial_is_verified_by_its_run_and_by_its_number(folder: Path) -> None:
    finish(start(folder, "--deterministic", "--scheduler", "none"))
    _, _, tracked = runs(folder)
    by_run = command(folder, "verify", tracked["2"].info.run_id)
    assert "verified: 4 reports, every number the same to the last bit" in by_run
    file = folder / "runs" / "toy" / "search.json"
    document = json.loads(file.read_text())
    next(t for t in document["trials"] if t["number"] == 3)["reports"][1]["train/loss"] += 1e-6
    file.write_text(json.dumps(document))
    assert "NOT verified: the search was deterministic" in command(folder, "verify", "toy/3", code=1)
    assert "has no trial 9" in command(folder, "verify", "toy/9", code=2)
    unknown = f"tyo: there is no such search in {folder / 'runs'} (did you mean 'toy'?)"
    assert unknown in command(folder, "verify", "tyo/1", code=2)


def test_a_searcher_learns_from_an_earlier_search_and_finished_trials_are_reused(folder: Path) -> None:
    finish(start(folder, "--scheduler", "none"))
    shutil.move(folder / "runs" / "toy", folder / "runs" / "before")
    output = finish(start(folder, "--scheduler", "none", "--reuse", "--seeds", "2"))
    trials = by_number(folder)
    assert all(trials[n]["trial_id"].startswith("reused-") for n in range(1, 5))
    assert not trials[5]["trial_id"].startswith("reused-") and trials[5]["seed"] == 43
    assert "trained before, in search toy" in output

    shutil.move(folder / "runs" / "toy", folder / "runs" / "reused")
    arguments = ("--searcher", "tpe", "--samples", "5", "--scheduler", "median", "--warm-start", "--name", "learned")
    output = finish(start(folder, *arguments))
    assert "warm start: toy: 4 of its " in output
    learned = json.loads((folder / "runs" / "learned" / "search.json").read_text())
    rates = [trial["configuration"]["prompt_lr"] for trial in learned["trials"]]
    assert len(rates) == 5 and all(0.1 <= rate <= 0.3 for rate in rates) and len(set(rates)) == 5
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (search,) = client.search_runs(["1"], "tags.search = 'learned' AND tags.kind = 'search'")
    assert search.data.metrics["steps_trained"] == sum(trial["reports"][-1]["step"] for trial in learned["trials"])
