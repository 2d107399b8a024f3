"""Tracking on a real MLflow server, as a team has one: over HTTP, artifacts too, with a crash in the middle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from orchestrator.tracking.tracker import Tracker
from tests.faults.small_search import Server

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path, fresh_database: Path) -> Iterator[Server]:
    (tmp_path / "mlflow.db").write_bytes(fresh_database.read_bytes())
    running = Server(tmp_path)
    running.start()
    yield running
    running.kill()


def test_a_search_on_a_server_that_crashes_in_the_middle(server: Server, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"\1" * 50_000)

    tracker = Tracker.open(server.uri, "rte")
    parent = tracker.start_search("s", {"task": "rte"}, {})
    tracker.trial_started("t1", 1, {"prompt_lr": 0.3})
    tracker.reported("t1", {"step": 100, "score": 50.0, "status": "running"})
    assert tracker.flush()

    server.kill()
    begun = time.monotonic()
    tracker.trial_started("t2", 2, {"prompt_lr": 0.4})
    for step in (200, 300):
        tracker.reported("t1", {"step": step, "score": 60.0, "status": "running"})
    tracker.trial_ended("t1", "finished", adapter=adapter)
    tracker.trial_ended("t2", "stopped early", "at step 100 of 400")
    assert time.monotonic() - begun < 1.0, "the search waited for the server"
    assert not tracker.flush(timeout=2.0)

    server.start()
    tracker.end_search({"test_score": 61.5}, [], {"prompt_lr": 0.3})
    assert tracker.close(timeout=60.0) == []

    client = MlflowClient(server.uri)
    found = {run.info.run_name: run for run in client.search_runs([client.get_run(parent).info.experiment_id])}
    assert set(found) == {"s", "trial 01", "trial 02"}
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    run_id = found["trial 01"].info.run_id
    assert [(p.step, p.value) for p in client.get_metric_history(run_id, "score")] == [(100, 50), (200, 60), (300, 60)]
    got = download_artifacts(run_id=run_id, tracking_uri=server.uri, dst_path=str(tmp_path / "got"))
    assert (Path(got) / "adapter" / "adapter_model.safetensors").read_bytes() == b"\1" * 50_000
    assert found["s"].data.metrics == {"test_score": 61.5}
    assert tracker.ui_url_hint().startswith(f"{server.uri}/#/experiments/")
