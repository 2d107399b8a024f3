"""Searches one after the other in one process: one Ray, engines that stay loaded, one run in MLflow above them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import ray
from mlflow import MlflowClient
from rich.console import Console

from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.record.engines import updates_per_second
from orchestrator.record.record import SearchRecord
from orchestrator.run.run import run_search
from orchestrator.run.session import Session
from orchestrator.tracking.sweep_run import SweepRun, SweepShown
from tests.orchestrator.run.toy_task import make_task, write_space

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]

PARENT = "mlflow.parentRunId"


def test_searches_of_a_session_share_engines_and_are_below_one_run(
    tmp_path: Path, fresh_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(make_task(tmp_path, fresh_database))
    write_space(tmp_path, 4)
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    sweep_run = SweepRun.open(store, "demo", "demo night", "uid", SweepShown(headline="Two methods"))
    session = Session(headline=lambda: "sweep demo", sweep_run=sweep_run)
    shown, engines, records = io.StringIO(), [], []

    def search(method: str) -> None:
        given = {"task": "toy.yaml", "backbone": "t5-nano", "space": "space.yaml", "output": str(tmp_path / "runs")}
        given |= {"name": method, "method": method, "scheduler": "none", "devices": "1", "tracking_uri": store}
        settings, problems = read_settings(given)
        plan = make_plan(settings, problems)
        assert run_search(plan, given, Console(file=shown, width=200), session=session) == 0
        engines.append([name for name in ray.util.list_named_actors() if name.startswith("engine-")])
        records.append(SearchRecord.load(plan.folder / "search.json"))

    search("adept")
    search("lora")
    before = shown.getvalue().count("sweep demo")
    search("adept")  # finished: shown at once
    assert engines[0] == engines[1] == engines[2] and len(engines[0]) == 1
    assert shown.getvalue().count("sweep demo") == before >= 2
    assert session.engines is not None
    session.engines.close()
    assert sweep_run.close() == []

    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("demo")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    (top,) = [run for run in found if run.data.tags["kind"] == "sweep"]
    searches = [run for run in found if run.data.tags["kind"] == "search"]
    assert {run.info.run_name: run.data.tags[PARENT] for run in searches} == dict.fromkeys(
        ("adept", "lora"), top.info.run_id
    )
    trials = [run for run in found if run.data.tags["kind"] == "trial"]
    assert {run.data.tags[PARENT] for run in trials} == {run.info.run_id for run in searches}
    for record in records:
        assert record.experiment == "demo"
        assert record.engines["count"] == 1 and record.engines["devices"] == ["cpu"]
        assert 50 << 20 < record.engines["peak_memory"] < 8 << 30
        rate = updates_per_second(record)
        assert rate is not None and rate > 0
