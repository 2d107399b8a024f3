"""What MLflow shows of a search's record, and what a driver's tracker does about a store that is slow or away."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from orchestrator.tracking.tracker import End, Tracker
from tests.orchestrator import tracked
from tests.orchestrator.tracked import NOTE, Outage, artifacts, points, runs, trial

Open = Callable[[], Tracker]


@pytest.fixture
def open_tracker(tracking_uri: str) -> Iterator[Open]:
    opened: list[Tracker] = []

    def open_one() -> Tracker:
        opened.append(Tracker.open(tracking_uri, "rte"))
        return opened[-1]

    yield open_one
    for tracker in opened:
        tracker.close(timeout=5.0)


def test_a_trial_is_a_run_below_the_search_with_its_curve_and_its_adapter(
    open_tracker: Open, tracking_uri: str, tmp_path: Path
) -> None:
    adapter = tracked.make_adapter(tmp_path)
    record = tracked.record(trial(7, {1_000: 54.3, 2_000: 71.0}, "finished"), name="rte-adept")
    record.trials[0].reports[0] |= {"train/loss": tracked.NAN, "note": "text"}
    tracker = open_tracker()
    params, tags = {"task": "rte", "steps": 30_000}, {"git_commit": "abc123"}
    tracker.start(record, params, tags, find_adapter={7: adapter}.get)
    assert tracker.close() == []

    found = runs(tracking_uri)
    run, search = found["trial 07"], found["rte-adept"]
    assert run.info.status == "FINISHED" and run.info.start_time == 1000 * int(tracked.BEGAN + 7)
    assert run.data.params == {
        "prompt_lr": "0.3",
        "mlp_lr": "1e-05",
        "prompt_length": "60",
        "bottleneck": "30",
        "seed": "7",
        "recipe": "paper",
    }
    assert points(tracking_uri, run, "validation/accuracy") == [(1_000, 54.3), (2_000, 71.0)]
    assert points(tracking_uri, run, "train/loss") == [(2_000, 0.0005)]  # no chart can show NaN
    assert {"learning_rate/prompt", "best_score", "score"} <= run.data.metrics.keys() and "time" not in run.data.metrics
    expected = {"mlflow.parentRunId": search.info.run_id, "trial_id": "t7", "search": "rte-adept"}
    assert (expected | {"status": "finished"}).items() <= run.data.tags.items()
    assert "71.0 at step 2,000" in run.data.tags[NOTE] and "in `adapter/`" in run.data.tags[NOTE]
    assert artifacts(tracking_uri, run, "adapter") == {
        "adapter/adapter_config.json": 19,
        "adapter/adapter_model.safetensors": 40_000,
    }
    assert search.data.params == {"task": "rte", "steps": "30000"}
    assert search.data.tags["mlflow.source.git.commit"] == "abc123"


def test_how_a_trial_ended_is_shown(open_tracker: Open, tracking_uri: str) -> None:
    in_mlflow = {"stopped early": "FINISHED", "diverged": "FAILED", "failed": "FAILED", "interrupted": "KILLED"}
    trials = [trial(n, status=status, reason=f"reason {n}") for n, status in enumerate(in_mlflow, 1)]
    tracker = open_tracker()
    tracker.start(tracked.record(*trials))
    tracker.close()
    for number, (status, word) in enumerate(in_mlflow.items(), 1):
        run = runs(tracking_uri)[f"trial 0{number}"]
        assert run.info.status == word
        assert run.data.tags["status"] == status and run.data.tags["reason"] == f"reason {number}"
        assert f"reason {number}" in run.data.tags[NOTE]


def test_the_end_of_a_search_shows_its_figures_its_winner_and_its_tables(
    open_tracker: Open, tracking_uri: str, tmp_path: Path
) -> None:
    (tmp_path / "summary.md").write_text("# Summary")
    (tmp_path / "summary.csv").write_text("trial,score\n")
    tracker = open_tracker()
    record = tracked.record(trial(3), name="rte-adept")
    tracker.start(record, {"task": "rte", "method": "adept"})
    end = End(
        figures={"test_score": 82.0, "test_n": 139, "steps_trained": 216_000},
        artifacts=[tmp_path / "summary.md", tmp_path / "summary.csv"],
        winner={"prompt_lr": 0.3, "prompt_length": 60},
    )
    tracker.end(record, end)
    tracker.close()
    search = runs(tracking_uri)["rte-adept"]
    assert search.info.status == "FINISHED"
    assert search.data.metrics["test_score"] == 82.0 and search.data.metrics["test_n"] == 139
    assert search.data.tags["winner.prompt_lr"] == "0.3" and search.data.tags["winner.prompt_length"] == "60"
    assert set(artifacts(tracking_uri, search)) == {"summary.md", "summary.csv"}
    assert "**finished**. Winner: prompt_lr **0.3**, prompt_length **60**" in search.data.tags[NOTE]
    assert runs(tracking_uri)["trial 03"].info.status == "KILLED"  # none is left running


@pytest.mark.parametrize(("error", "status"), [(OSError, "failed"), (KeyboardInterrupt, "interrupted")])
def test_a_driver_that_breaks_leaves_no_run_running(
    open_tracker: Open, tracking_uri: str, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error), open_tracker() as tracker:
        tracker.start(tracked.record(trial(1)))
        raise error
    assert {run.data.tags["status"] for run in runs(tracking_uri).values()} == {status, "interrupted"}
    assert "RUNNING" not in {run.info.status for run in runs(tracking_uri).values()}


def test_a_trial_that_has_not_begun_has_no_run_and_seeds_have_runs_of_their_own(
    open_tracker: Open, tracking_uri: str
) -> None:
    tracker = open_tracker()
    tracker.start(tracked.record(trial(1), trial(1, seed=8), trial(2, status="waiting", started=None)))
    tracker.close()
    assert set(runs(tracking_uri)) == {"s", "trial 01", "trial 01 seed 8"}


def test_a_slow_store_does_not_hold_up_the_search_and_gets_many_reports_in_one_call(
    open_tracker: Open, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, record = open_tracker(), tracked.record(trial(1))
    tracker.start(record)
    tracker.flush()
    calls, log_batch = [], tracker.store.client.log_batch

    def slow(run_id: str, **what: Any) -> None:
        calls.append(what)
        time.sleep(0.5)
        log_batch(run_id, **what)

    monkeypatch.setattr(tracker.store.client, "log_batch", slow)
    begun = time.monotonic()
    for step in range(1, 301):
        record.trials[0].reports.append(tracked.report(step, step / 10))
        tracker.put(record)
    assert time.monotonic() - begun < 0.5
    assert tracker.flush()
    assert len(points(tracking_uri, runs(tracking_uri)["trial 01"])) == 300
    assert len(calls) <= 5  # 300 reports of 7 numbers: 1,000 numbers a call


def test_what_is_reported_while_the_store_is_away_is_written_when_it_is_back(
    open_tracker: Open, tracking_uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracker, record = open_tracker(), tracked.record()
    tracker.start(record)
    tracker.flush()
    outage = Outage(tracker.store.client, monkeypatch)
    outage.now = True
    record.trials = [trial(1, {100: 50.0})]
    tracker.put(record)
    assert not tracker.flush(timeout=1.0)
    assert "does not answer" in caplog.text
    outage.now = False
    record.trials = [trial(1, {100: 50.0, 200: 60.0}, "finished")]
    tracker.put(record)
    assert tracker.close() == []
    assert "answers again" in caplog.text
    run = runs(tracking_uri)["trial 01"]
    assert points(tracking_uri, run) == [(100, 50.0), (200, 60.0)]
    assert run.info.status == "FINISHED"


def test_what_was_never_written_is_said_at_the_end(
    open_tracker: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = open_tracker()
    tracker.start(tracked.record(trial(1)))
    tracker.flush()
    Outage(tracker.store.client, monkeypatch).now = True
    tracker.put(tracked.record(trial(1, {100: 50.0}, "stopped early")))
    begun = time.monotonic()
    lacking = ["reports of trial 01", "the adapter of trial 01", "the end of trial 01"]
    assert tracker.close(timeout=1.0) == lacking
    assert time.monotonic() - begun < 5.0
    assert f"has not taken: {'; '.join(lacking)}" in caplog.text


def test_one_call_that_never_succeeds_does_not_stop_the_others(
    open_tracker: Open, tracking_uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_such_bucket(*_: Any) -> None:
        raise OSError("no such bucket")

    adapter = tracked.make_adapter(tmp_path)
    record = tracked.record(trial(1, {100: 50.0}, "finished"), trial(2, {100: 40.0}, "stopped early"))
    tracker = open_tracker()
    with monkeypatch.context() as patch:
        patch.setattr(tracker.store.client, "log_artifacts", no_such_bucket)
        tracker.start(record, find_adapter={1: adapter}.get)
        assert tracker.close() == ["the adapter of trial 01"]
    assert {run.info.status for name, run in runs(tracking_uri).items() if name != "s"} == {"FINISHED"}
    assert "adapter/" not in runs(tracking_uri)["trial 01"].data.tags[NOTE]
    later = open_tracker()  # the next driver tries it again
    later.start(record, find_adapter={1: adapter}.get)
    assert later.close() == []
    run = runs(tracking_uri)["trial 01"]
    assert len(artifacts(tracking_uri, run, "adapter")) == 2 and "adapter/" in run.data.tags[NOTE]


def test_the_page_of_a_search_is_a_table_of_its_trials_with_the_best_first(
    open_tracker: Open, tracking_uri: str
) -> None:
    tracker = open_tracker()
    tracker.start(tracked.record(trial(1)))
    tracker.close()
    experiment = MlflowClient(tracking_uri).get_experiment_by_name("rte")
    assert experiment is not None
    parent = runs(tracking_uri)["s"].info.run_id
    assert tracker.page == f"/#/experiments/{experiment.experiment_id}/runs?viewStateShareKey={parent}"
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.{parent}"])
    assert {"metrics.`best_score`", "params.`prompt_lr`", "tags.`status`"} <= set(view["selectedColumns"])
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`best_score`", False)
    found = MlflowClient(tracking_uri).search_runs([experiment.experiment_id], view["searchFilter"])
    assert [run.info.run_name for run in found] == ["trial 01"]


def test_the_command_to_look_at_it(
    tmp_path: Path, fresh_database: Path, open_tracker: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_tracker().ui_url_hint() == f"mlflow ui --backend-store-uri 'sqlite:///{tmp_path}/my runs/mlflow.db'"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(fresh_database.read_bytes())
    tracker = Tracker.open(None, "rte")
    assert tracker.ui_url_hint() == f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db"  # in any folder
