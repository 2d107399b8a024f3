"""A search under Ray Tune, and what MLflow, the display and the records know of each trial afterwards."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from ray import tune

from orchestrator.record.record import TrialRecord
from orchestrator.tracking.tracker import Tracker
from orchestrator.tune.callback import TrackingCallback
from tests.orchestrator.toy_search import BUDGET, KINDS, Shown, StopTheWeak, ToyTrial, asha, make_tuner

Start = Callable[..., tuple[Tracker, TrackingCallback, Shown]]

ENDS = {
    1: "finished",
    2: "finished",
    3: "stopped early",
    4: "stopped early",
    5: "diverged",
    6: "failed",
    7: "finished",
}
IN_MLFLOW = {"finished": "FINISHED", "stopped early": "FINISHED", "diverged": "FAILED", "failed": "FAILED"}


@pytest.fixture
def start(tracking_uri: str) -> Iterator[Start]:
    trackers: list[Tracker] = []

    def begin(interrupt_at: int | None = None, **options: Any) -> tuple[Tracker, TrackingCallback, Shown]:
        tracker, shown = Tracker.open(tracking_uri, "toy"), Shown(interrupt_at)
        trackers.append(tracker)
        tracker.start_search("toy", {"steps": BUDGET}, {}, **options)
        callback = TrackingCallback("toy", BUDGET, tracker, shown, recipe="paper", raise_errors=True)  # type: ignore[arg-type]
        return tracker, callback, shown

    yield begin
    for tracker in trackers:
        tracker.close(timeout=5.0)


def runs(tracking_uri: str) -> dict[int, Run]:
    """The trials' runs by number; asserts that no trial has two and that none is left running."""
    client = MlflowClient(tracking_uri)
    found = client.search_runs([e.experiment_id for e in client.search_experiments()], "tags.kind = 'trial'")
    assert not [run.info.run_name for run in found if run.info.status == "RUNNING"]
    assert len({run.data.tags["trial"] for run in found}) == len(found)
    return {int(run.data.tags["trial"]): run for run in found}


def steps(tracking_uri: str, run: Run) -> list[int]:
    return [point.step for point in MlflowClient(tracking_uri).get_metric_history(run.info.run_id, "score")]


@pytest.fixture
def quiet_tune() -> Iterator[None]:
    """Tune prints the traceback of each trial that fails, as these do."""
    logger = logging.getLogger("ray.tune")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.mark.usefixtures("ray_local", "quiet_tune")
def test_each_way_in_which_a_trial_ends(start: Start, tracking_uri: str, tmp_path: Path) -> None:
    tracker, callback, shown = start()
    make_tuner(tmp_path, callback, list(KINDS), asha()).fit()
    tracker.end_search({}, [], {})
    assert tracker.close() == []

    records = callback.records.values()
    assert {record.number: record.status for record in records} == ENDS
    assert [record.number for record in records] == sorted(ENDS)
    assert {number: end[0] for number, end in shown.ends.items()} == ENDS
    found = runs(tracking_uri)
    assert {number: run.data.tags["status"] for number, run in found.items()} == ENDS
    assert {n: run.info.status for n, run in found.items()} == {n: IN_MLFLOW[ENDS[n]] for n in ENDS}

    by_number = {record.number: record for record in records}
    assert by_number[3].reason == found[3].data.tags["reason"] == "at step 100 of 400"
    assert by_number[6].error == found[6].data.tags["reason"] == "ValueError: the toy broke at 200"
    assert "trial 7 is tried again after ValueError: the toy broke at 200" in shown.notes
    assert steps(tracking_uri, found[7]) == [100, 200, 300, 400]  # it raised after step 100, and came back there
    assert "train/loss" in found[5].data.metrics and by_number[5].step == 200
    assert by_number[1].reports[0].keys() == {
        *("step", "score", "best_score", "best_step", "status", "train/loss", "validation/accuracy"),
        *("learning_rate/prompt", "seconds/train", "seconds/evaluation"),
    }
    assert found[2].data.params == {"prompt_lr": "0.2", "prompt_length": "40", "seed": "42", "recipe": "paper"}
    for run in found.values():
        listed = MlflowClient(tracking_uri).list_artifacts(run.info.run_id, "adapter")
        assert {file.path: file.file_size for file in listed}["adapter/adapter_model.safetensors"] == 40_000


def test_steps_that_are_trained_once_more_are_heard_once(start: Start, tracking_uri: str) -> None:
    """A trial whose latest checkpoint was lost comes back from the one before, and reports again on the way."""
    tracker, callback, _ = start()
    trial: Any = SimpleNamespace(
        trial_id="one",
        config={"number": 1, "trial": {"hyperparameters": {"prompt_lr": 0.3}, "seed": 42}},
        checkpoint=None,
    )
    callback.on_trial_start(1, [trial], trial)
    seconds = 1.0
    for step in (4, 8, 12, 8, 12, 16, 16):
        report = {"step": step, "score": float(step), "status": "running", "seconds/train": seconds}
        report["train/loss"] = float("nan")  # two of them are never equal
        callback.on_trial_result(1, [trial], trial, report)
        seconds += 0.125
    record = callback.records["one"]
    assert [report["step"] for report in record.reports] == [4, 8, 12, 16]
    assert record.train_seconds == 1.0 + 1.125 + 1.25 + 1.625  # of each step the first training
    callback.on_trial_complete(1, [trial], trial)
    tracker.end_search({}, [], {})
    assert tracker.close() == []
    (run,) = runs(tracking_uri).values()
    assert steps(tracking_uri, run) == [4, 8, 12, 16]
    seen = [p.value for p in MlflowClient(tracking_uri).get_metric_history(run.info.run_id, "seconds/train")]
    assert sum(seen) == record.train_seconds


@pytest.mark.usefixtures("ray_local", "quiet_tune")
def test_a_search_that_tune_restores_goes_on_in_its_runs(start: Start, tracking_uri: str, tmp_path: Path) -> None:
    ends = {number: ENDS[number] for number in (1, 2, 3, 4)}
    tracker, callback, _ = start(interrupt_at=3)
    make_tuner(tmp_path, callback, list(ends), StopTheWeak()).fit()
    first = {record.number: record.status for record in callback.records.values()}
    assert "interrupted" in first.values()
    tracker.close()
    assert {n: run.info.status for n, run in runs(tracking_uri).items()}[3] == "KILLED"

    tracker, callback, shown = start(resume=True)
    restored = tune.Tuner.restore(str(tmp_path / "toy"), ToyTrial, resume_unfinished=True)
    restored.fit()
    tracker.close()
    assert {record.number: record.status for record in callback.records.values()} == ends
    assert {number: end[0] for number, end in shown.ends.items()} == ends
    found = runs(tracking_uri)
    assert {number: run.data.tags["status"] for number, run in found.items()} == ends
    assert steps(tracking_uri, found[1]) == [100, 200, 300, 400]


@pytest.mark.usefixtures("ray_local", "quiet_tune")
def test_a_search_that_goes_on_from_its_records_in_a_new_tune_run(
    start: Start, tracking_uri: str, tmp_path: Path
) -> None:
    tracker, callback, _ = start(interrupt_at=3)
    make_tuner(tmp_path / "before", callback, [1, 2, 3], StopTheWeak()).fit()
    tracker.close()
    records = list(callback.records.values())
    left = [record.number for record in records if record.status not in ENDS.values()]
    assert 3 in left and len(left) < 3

    tracker, callback, shown = start(resume=True)
    callback.take_up(records)
    make_tuner(tmp_path / "after", callback, left, StopTheWeak()).fit()
    tracker.close()
    assert {record.number: record.status for record in callback.records.values()} == {n: ENDS[n] for n in (1, 2, 3)}
    assert set(runs(tracking_uri)) == {1, 2, 3}
    assert steps(tracking_uri, runs(tracking_uri)[1]) == [100, 200, 300, 400]
    assert shown.ends[1] == ("finished", "")


class FakeTrial:
    """As much of a Tune trial as the callback looks at."""

    checkpoint = None
    pickled_error_file = error_file = None

    def __init__(self, number: int = 1) -> None:
        self.trial_id = f"id{number}"
        self.config = {"number": number, "configuration": {"prompt_lr": 0.3}, "seed": 42}


def told(callback: TrackingCallback, trial: Any, steps: int) -> None:
    callback.on_trial_start(0, [trial], trial)
    for step in range(100, steps + 1, 100):
        report = {"step": step, "score": 1.0, "best_score": 1.0, "best_step": step, "status": "running"}
        callback.on_trial_result(0, [trial], trial, {**report, "time_this_iter_s": 1.0, "config": {}})


def test_the_schedulers_own_words_say_why_a_trial_was_stopped(start: Start, tracking_uri: str) -> None:
    tracker, callback, shown = start()
    trial: Any = FakeTrial()
    told(callback, trial, 100)
    callback.explain(1, "at step 100: 21.2 < cutoff 30.0, rank 4 of 5")
    callback.on_trial_complete(0, [trial], trial)
    tracker.close()
    assert shown.ends[1] == ("stopped early", "at step 100: 21.2 < cutoff 30.0, rank 4 of 5")
    assert runs(tracking_uri)[1].data.tags["reason"] == "at step 100: 21.2 < cutoff 30.0, rank 4 of 5"


@pytest.mark.parametrize("by_tune", [True, False])
def test_what_a_crash_kept_from_mlflow_is_told_after_the_restart(
    start: Start, tracking_uri: str, by_tune: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: Any, **__: Any) -> None:
        raise ConnectionError

    first, callback, _ = start()
    trial: Any = FakeTrial()
    told(callback, trial, 100)
    first.flush()
    for call in ("log_batch", "get_run", "set_terminated", "get_experiment"):
        monkeypatch.setattr(first.store.client, call, nobody)
    told(callback, trial, 400)
    callback.on_trial_complete(0, [trial], trial)
    state, records = callback.get_state(), list(callback.records.values())
    assert first.close(timeout=0.1)  # the driver dies: its records were saved, these calls never reached MLflow

    second, callback, shown = start(resume=True)
    if by_tune:
        callback.set_state(state)
        callback.on_step_begin(0, [trial])
    else:
        callback.take_up(records)
    second.end_search({}, [], {})
    second.close()
    run = runs(tracking_uri)[1]
    assert run.info.status == "FINISHED" and steps(tracking_uri, run) == [100, 200, 300, 400]
    assert shown.ends[1] == ("finished", "")


def test_a_trial_that_is_stopped_before_it_starts_has_no_run(start: Start, tracking_uri: str) -> None:
    tracker, callback, _ = start()
    trial: Any = FakeTrial()
    callback.on_trial_complete(0, [trial], trial)
    tracker.close()
    assert runs(tracking_uri) == {}
    assert [record.status for record in callback.records.values()] == ["stopped early"]


def test_a_trial_that_waited_when_the_driver_died_and_is_stopped_before_it_starts_again(
    start: Start, tracking_uri: str
) -> None:
    first, callback, _ = start()
    trial: Any = FakeTrial()
    told(callback, trial, 200)
    first.close()  # the driver dies; the trial waits at a rung

    second, resumed, _ = start(resume=True)
    resumed.take_up(list(callback.records.values()))
    resumed.explain(1, "at step 200: 21.2 < cutoff 30.0, rank 4 of 5")
    again: Any = FakeTrial()
    again.trial_id = "in-the-next-run-of-tune"
    resumed.on_trial_complete(0, [again], again)
    second.end_search({}, [], {})
    second.close()
    run = runs(tracking_uri)[1]
    assert (run.info.status, run.data.tags["status"]) == ("FINISHED", "stopped early")
    assert run.data.tags["reason"] == "at step 200: 21.2 < cutoff 30.0, rank 4 of 5"
    assert steps(tracking_uri, run) == [100, 200]


def test_an_error_here_ends_no_search_and_is_said_once(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    tracker, _, shown = start()
    callback = TrackingCallback("toy", BUDGET, tracker, shown)  # type: ignore[arg-type]

    def broken(*_: Any) -> None:
        raise RuntimeError("the terminal is gone")

    shown.reported = broken  # type: ignore[method-assign]
    trial: Any = FakeTrial()
    told(callback, trial, 300)
    assert callback.records["id1"].step == 300
    assert caplog.text.count("the terminal is gone") == 1


def test_unpickling_gives_the_callback_that_this_process_made(start: Start) -> None:
    _, callback, _ = start()
    assert pickle.loads(pickle.dumps(callback)) is callback


def test_the_state_of_the_records_survives(start: Start) -> None:
    _, callback, _ = start()
    trial: Any = FakeTrial()
    told(callback, trial, 200)
    state = pickle.loads(pickle.dumps(callback.get_state()))
    before = callback.records["id1"]
    callback.set_state(state)
    assert callback.records["id1"] == before and isinstance(callback.records["id1"], TrialRecord)
