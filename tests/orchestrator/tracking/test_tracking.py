"""What MLflow holds of a search, read back as a user's own script would."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.tracking.tracker import Tracker

CONFIGURATION = {"prompt_lr": 0.3, "mlp_lr": 1e-5, "prompt_length": 60, "bottleneck": 30, "seed": 7, "recipe": "paper"}
NOTE = "mlflow.note.content"


def report(step: int, score: float, status: str = "running", **more: Any) -> dict[str, Any]:
    values = {"step": step, "score": score, "best_score": score, "best_step": step, "status": status}
    return {**values, "validation/accuracy": score, "train/loss": 1.0 / step, "learning_rate/prompt": 0.3, **more}


@pytest.fixture
def open_tracker(tracking_uri: str) -> Iterator[Callable[[], Tracker]]:
    opened: list[Tracker] = []

    def open_one() -> Tracker:
        opened.append(Tracker.open(tracking_uri, "rte"))
        return opened[-1]

    yield open_one
    for tracker in opened:
        tracker.close(timeout=5.0)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint" / "adapter"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text('{"method": "adept"}')
    (folder / "adapter_model.safetensors").write_bytes(b"\0" * 40_000)
    return folder


def runs(tracking_uri: str) -> dict[str, Run]:
    """All runs of the experiment by name."""
    client = MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name("rte")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    assert len({run.info.run_name for run in found}) == len(found), "a run was made twice"
    return {run.info.run_name: run for run in found}


def points(tracking_uri: str, run: Run, metric: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in MlflowClient(tracking_uri).get_metric_history(run.info.run_id, metric)]


def artifacts(tracking_uri: str, run: Run, folder: str | None = None) -> dict[str, int]:
    return {f.path: f.file_size for f in MlflowClient(tracking_uri).list_artifacts(run.info.run_id, folder)}


def test_a_trial_is_a_run_below_the_search_with_its_curve_and_its_adapter(
    open_tracker: Callable[[], Tracker], tracking_uri: str, adapter: Path
) -> None:
    tracker = open_tracker()
    parent = tracker.start_search("rte-adept", {"task": "rte", "steps": 30_000}, {"git_commit": "abc123"})
    tracker.trial_started("t1", 7, CONFIGURATION, {"engine": "one"})
    tracker.reported("t1", report(1_000, 54.3, **{"train/loss": math.nan, "note": "text"}))
    tracker.reported("t1", report(2_000, 71.0))
    tracker.trial_ended("t1", "finished", adapter=adapter)
    (adapter / "adapter_config.json").unlink()  # the scheduler drops the checkpoint at once
    assert tracker.close() == []

    run = runs(tracking_uri)["trial 07"]
    assert run.info.status == "FINISHED"
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
    assert {"learning_rate/prompt", "best_score", "score"} <= run.data.metrics.keys()
    expected = {
        "mlflow.parentRunId": parent,
        "trial_id": "t1",
        "search": "rte-adept",
        "status": "finished",
        "engine": "one",
    }
    assert expected.items() <= run.data.tags.items()
    assert "71.0 at step 2,000" in run.data.tags[NOTE]
    assert artifacts(tracking_uri, run, "adapter") == {
        "adapter/adapter_config.json": 19,
        "adapter/adapter_model.safetensors": 40_000,
    }
    search = runs(tracking_uri)["rte-adept"]
    assert search.data.params == {"task": "rte", "steps": "30000"}
    assert search.data.tags["mlflow.source.git.commit"] == "abc123"


@pytest.mark.parametrize(
    ("status", "in_mlflow"),
    [("stopped early", "FINISHED"), ("diverged", "FAILED"), ("failed", "FAILED"), ("interrupted", "KILLED")],
)
def test_how_a_trial_ended_is_told(
    open_tracker: Callable[[], Tracker], tracking_uri: str, status: Any, in_mlflow: str
) -> None:
    tracker = open_tracker()
    tracker.start_search("s", {}, {})
    tracker.trial_started("t1", 1, CONFIGURATION)
    tracker.trial_ended("t1", status, "for a reason")
    tracker.close()
    run = runs(tracking_uri)["trial 01"]
    assert run.info.status == in_mlflow
    assert run.data.tags["status"] == status and run.data.tags["reason"] == "for a reason"
    assert "for a reason" in run.data.tags[NOTE]


def test_the_end_of_a_search_shows_its_figures_its_winner_and_its_tables(
    open_tracker: Callable[[], Tracker], tracking_uri: str, tmp_path: Path
) -> None:
    (tmp_path / "summary.md").write_text("# Summary")
    (tmp_path / "summary.csv").write_text("trial,score\n")
    tracker = open_tracker()
    tracker.start_search("rte-adept", {"task": "rte", "method": "adept"}, {})
    tracker.trial_started("lost", 3, CONFIGURATION)
    tracker.end_search(
        {"best_validation_score": 79.1, "test_score": 82.0, "test_n": 139, "steps_trained": 216_000, "grid_share": 0.3},
        [tmp_path / "summary.md", tmp_path / "summary.csv"],
        {"prompt_lr": 0.3, "prompt_length": 60},
    )
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
    open_tracker: Callable[[], Tracker], tracking_uri: str, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error), open_tracker() as tracker:
        tracker.start_search("s", {}, {})
        tracker.trial_started("t1", 1, CONFIGURATION)
        raise error
    assert {run.data.tags["status"] for run in runs(tracking_uri).values()} == {status, "interrupted"}
    assert "RUNNING" not in {run.info.status for run in runs(tracking_uri).values()}


def test_a_resumed_search_goes_on_in_its_old_runs_and_doubles_nothing(
    open_tracker: Callable[[], Tracker], tracking_uri: str
) -> None:
    first = open_tracker()
    parent = first.start_search("s", {"steps": 400}, {})
    for number in (1, 2):
        first.trial_started(f"t{number}", number, CONFIGURATION)
        first.reported(f"t{number}", report(100, 50.0))
        first.reported(f"t{number}", report(200, 60.0))
    first.trial_ended("t2", "interrupted")
    first.flush()

    second = open_tracker()
    assert second.start_search("s", {"steps": 400, "devices": 1}, {}, resume=True) == parent
    second.trial_started("t1", 1, CONFIGURATION)  # Tune kept its id
    second.trial_started("new", 2, CONFIGURATION)  # another Tune run, another id
    for trial_id in ("t1", "new"):
        for step, score in ((200, 60.0), (300, 65.0)):  # step 200 once more, from the checkpoint at 100
            second.reported(trial_id, report(step, score))
        second.trial_ended(trial_id, "finished")
    second.end_search({}, [], {})
    second.close()

    found = runs(tracking_uri)
    assert set(found) == {"s", "trial 01", "trial 02"}
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    for name in ("trial 01", "trial 02"):
        assert points(tracking_uri, found[name], "score") == [(100, 50.0), (200, 60.0), (300, 65.0)]
    assert found["trial 02"].data.tags["reason"] == "" and found["trial 02"].data.tags["trial_id"] == "new"


def test_a_new_search_under_an_old_name_leaves_the_old_one_alone(
    open_tracker: Callable[[], Tracker], tracking_uri: str
) -> None:
    parents = {open_tracker().start_search("s", {}, {}) for _ in range(2)}
    assert len(parents) == 2
    assert open_tracker().start_search("s", {}, {}, resume=True) in parents


def test_a_trial_that_starts_again_keeps_its_run_and_seeds_have_runs_of_their_own(
    open_tracker: Callable[[], Tracker], tracking_uri: str
) -> None:
    tracker = open_tracker()
    tracker.start_search("s", {}, {})
    for _ in range(2):  # paused and taken up again
        tracker.trial_started("t1", 1, CONFIGURATION)
    tracker.trial_started("t2", 1, {**CONFIGURATION, "seed": 8})
    tracker.close()
    assert set(runs(tracking_uri)) == {"s", "trial 01", "trial 01 seed 8"}


def test_a_slow_store_does_not_hold_up_the_search_and_gets_many_reports_in_one_call(
    open_tracker: Callable[[], Tracker], tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = open_tracker()
    tracker.start_search("s", {}, {})
    tracker.trial_started("t1", 1, CONFIGURATION)
    tracker.flush()
    calls, log_batch = [], tracker.store.client.log_batch

    def slow(run_id: str, **what: Any) -> None:
        calls.append(what)
        time.sleep(0.5)
        log_batch(run_id, **what)

    monkeypatch.setattr(tracker.store.client, "log_batch", slow)
    begun = time.monotonic()
    for step in range(1, 301):
        tracker.reported("t1", report(step, step / 10))
    assert time.monotonic() - begun < 0.5
    assert tracker.flush()
    assert len(points(tracking_uri, runs(tracking_uri)["trial 01"], "score")) == 300
    assert len(calls) <= 4  # 300 reports of 7 numbers: 1,000 numbers a call


class Outage:
    """A store that is away while ``now`` is set."""

    def __init__(self, client: MlflowClient, patch: pytest.MonkeyPatch) -> None:
        self.now = False
        for name in (
            "log_batch",
            "get_experiment",
            "get_run",
            "create_run",
            "set_terminated",
            "update_run",
            "search_runs",
        ):
            patch.setattr(client, name, self.guard(getattr(client, name)))

    def guard(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if self.now:
                raise ConnectionError("nobody there")
            return call(*args, **kwargs)

        return guarded


def test_what_is_reported_while_the_store_is_away_is_delivered_when_it_is_back(
    open_tracker: Callable[[], Tracker],
    tracking_uri: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracker = open_tracker()
    tracker.start_search("s", {}, {})
    outage = Outage(tracker.store.client, monkeypatch)
    outage.now = True
    tracker.trial_started("t1", 1, CONFIGURATION)
    tracker.reported("t1", report(100, 50.0))
    assert not tracker.flush(timeout=1.0)
    assert "does not answer" in caplog.text
    outage.now = False
    tracker.reported("t1", report(200, 60.0))
    tracker.trial_ended("t1", "finished")
    assert tracker.close() == []
    assert "answers again" in caplog.text
    run = runs(tracking_uri)["trial 01"]
    assert points(tracking_uri, run, "score") == [(100, 50.0), (200, 60.0)]
    assert run.info.status == "FINISHED"


def test_what_was_never_delivered_is_said_at_the_end(
    open_tracker: Callable[[], Tracker], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = open_tracker()
    tracker.start_search("s", {}, {})
    tracker.trial_started("t1", 1, CONFIGURATION)
    tracker.flush()
    Outage(tracker.store.client, monkeypatch).now = True
    tracker.reported("t1", report(100, 50.0))
    tracker.trial_ended("t1", "finished")
    begun = time.monotonic()
    assert tracker.close(timeout=1.0) == ["reports of trial 01", "the end of trial 01"]
    assert time.monotonic() - begun < 5.0
    assert "has not taken: reports of trial 01; the end of trial 01" in caplog.text


def test_one_call_that_never_succeeds_does_not_stop_the_others(
    open_tracker: Callable[[], Tracker], tracking_uri: str, monkeypatch: pytest.MonkeyPatch, adapter: Path
) -> None:
    tracker = open_tracker()
    tracker.start_search("s", {}, {})

    def no_such_bucket(*_: Any) -> None:
        raise OSError("no such bucket")

    monkeypatch.setattr(tracker.store.client, "log_artifacts", no_such_bucket)
    tracker.trial_started("t1", 1, CONFIGURATION)
    tracker.trial_ended("t1", "finished", adapter=adapter)
    assert tracker.close() == ["the adapter of trial 01"]
    assert runs(tracking_uri)["trial 01"].info.status == "FINISHED"


def test_a_run_whose_creation_was_answered_too_late_is_not_made_twice(
    open_tracker: Callable[[], Tracker], tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = open_tracker()
    tracker.start_search("s", {}, {})
    create_run, calls = tracker.store.client.create_run, []

    def create_and_lose_the_answer(*args: Any, **kwargs: Any) -> Any:
        run = create_run(*args, **kwargs)
        calls.append(run)
        raise ConnectionError("the answer was lost")

    monkeypatch.setattr(tracker.store.client, "create_run", create_and_lose_the_answer)
    tracker.trial_started("t1", 1, CONFIGURATION)
    assert tracker.close() == []
    assert len(calls) == 1
    assert set(runs(tracking_uri)) == {"s", "trial 01"}


def test_the_page_of_a_search_is_a_table_of_its_trials_with_the_best_first(
    open_tracker: Callable[[], Tracker], tracking_uri: str
) -> None:
    tracker = open_tracker()
    parent = tracker.start_search("s", {}, {})
    tracker.trial_started("t1", 1, CONFIGURATION)
    tracker.close()
    experiment = MlflowClient(tracking_uri).get_experiment_by_name("rte")
    assert experiment is not None
    assert tracker.page == f"/#/experiments/{experiment.experiment_id}/runs?viewStateShareKey={parent}"
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.{parent}"])
    assert {"metrics.`best_score`", "params.`prompt_lr`", "tags.`status`"} <= set(view["selectedColumns"])
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`best_score`", False)
    found = MlflowClient(tracking_uri).search_runs([experiment.experiment_id], view["searchFilter"])
    assert [run.info.run_name for run in found] == ["trial 01"]


def test_the_command_to_look_at_it(
    tmp_path: Path, fresh_database: Path, open_tracker: Callable[[], Tracker], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_tracker().ui_url_hint() == f"mlflow ui --backend-store-uri 'sqlite:///{tmp_path}/my runs/mlflow.db'"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(fresh_database.read_bytes())
    tracker = Tracker.open(None, "rte")
    assert tracker.ui_url_hint() == f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db"  # in any folder
    tracker.close()
