"""Tracking on a real MLflow server, as a team has one: over HTTP, artifacts too, with a crash in the middle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.artifacts import download_artifacts

from orchestrator.tracking.tracker import End, Tracker
from tests.faults.small_search import Server
from tests.orchestrator import tracked
from tests.orchestrator.tracked import trial

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

    tracker, record = Tracker.open(server.uri, "rte"), tracked.record(trial(1, {100: 50.0}))
    tracker.start(record, {"task": "rte"}, find_adapter={1: adapter}.get)
    assert tracker.flush()

    server.kill()
    begun = time.monotonic()
    scores = {100: 50.0, 200: 60.0, 300: 60.0}
    for step in (200, 300):
        record.trials = [trial(1, {at: score for at, score in scores.items() if at <= step}), trial(2)]
        tracker.put(record)
    record.trials = [trial(1, scores, "finished"), trial(2, status="stopped early", reason="at step 100 of 400")]
    tracker.put(record)
    assert time.monotonic() - begun < 1.0, "the search waited for the server"
    assert not tracker.flush(timeout=2.0)

    server.start()
    tracker.end(record, End(figures={"test_score": 61.5}, winner={"prompt_lr": 0.3}))
    assert tracker.close(timeout=60.0) == []

    found = tracked.runs(server.uri)
    assert set(found) == {"s", "trial 01", "trial 02"}
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    run_id = found["trial 01"].info.run_id
    assert tracked.points(server.uri, found["trial 01"]) == list(scores.items())
    got = download_artifacts(run_id=run_id, tracking_uri=server.uri, dst_path=str(tmp_path / "got"))
    assert (Path(got) / "adapter" / "adapter_model.safetensors").read_bytes() == b"\1" * 50_000
    assert found["s"].data.metrics == {"test_score": 61.5}
    assert tracker.ui_url_hint().startswith(f"{server.uri}/#/experiments/")
