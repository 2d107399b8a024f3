"""What a search has to tell MLflow, over outages and restarts: delivered in order, once, whoever died in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.record.errors import JournalError
from orchestrator.tracking import store
from orchestrator.tracking.tracker import Tracker, TrackingError

CALLS = ("log_batch", "get_experiment", "get_run", "create_run", "set_terminated", "update_run", "search_runs")
CONFIGURATION = {"prompt_lr": 0.3, "seed": 7}


def report(step: int, score: float) -> dict[str, Any]:
    return {"step": step, "score": score, "best_score": score, "best_step": step, "status": "running"}


@pytest.fixture
def begin(tracking_uri: str, tmp_path: Path) -> Callable[..., Tracker]:
    """A driver of the same search, the first one or another one after it."""

    def start(resume: bool = False) -> Tracker:
        tracker = Tracker.open(tracking_uri, "rte", spool=tmp_path / "search" / "tracking")
        tracker.start_search("s", {"steps": 400}, {}, resume=resume)
        return tracker

    return start


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"\1" * 1000)
    return folder


def away(tracker: Tracker, patch: pytest.MonkeyPatch) -> None:
    """The store stops answering this driver."""

    def nobody(*_: Any, **__: Any) -> None:
        raise ConnectionError("nobody there")

    for call in CALLS:
        patch.setattr(tracker.store.client, call, nobody)


def die(tracker: Tracker) -> None:
    """The driver is killed: nothing is said, nothing is written; its lock on the spool goes with it."""
    tracker._writer.close(timeout=0.0)
    tracker._spool._staged.clear()
    tracker._spool.close()


def runs(tracking_uri: str) -> dict[str, Run]:
    client = MlflowClient(tracking_uri)
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert len({run.info.run_name for run in found}) == len(found), "a run was made twice"
    return {run.info.run_name: run for run in found}


def points(tracking_uri: str, run: Run) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in MlflowClient(tracking_uri).get_metric_history(run.info.run_id, "score")]


def test_what_a_driver_could_not_deliver_the_next_one_does(
    begin: Callable[..., Tracker], tracking_uri: str, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begin()
    first.trial_started("t1", 1, CONFIGURATION)
    first.reported("t1", report(100, 50.0))
    assert first.flush()
    away(first, monkeypatch)
    first.reported("t1", report(200, 60.0))
    first.trial_started("t2", 2, CONFIGURATION)  # its run was never made
    first.reported("t2", report(100, 40.0))
    first.trial_ended("t2", "stopped early", "at step 100", adapter)
    die(first)
    (adapter / "adapter_model.safetensors").unlink()

    second = begin(resume=True)
    assert second.is_settled("t2", "stopped early", 100)
    for step, score in ((200, 60.0), (300, 70.0)):  # the record tells of step 200 once more
        second.trial_started("new", 1, CONFIGURATION)
        second.reported("new", report(step, score))
    second.trial_ended("new", "finished")
    second.end_search({"steps_trained": 400}, [], {})
    assert second.close() == []
    found = runs(tracking_uri)
    assert {name: run.info.status for name, run in found.items()} == dict.fromkeys(
        ("s", "trial 01", "trial 02"), "FINISHED"
    )
    assert points(tracking_uri, found["trial 01"]) == [(100, 50.0), (200, 60.0), (300, 70.0)]
    assert points(tracking_uri, found["trial 02"]) == [(100, 40.0)]
    assert found["trial 02"].data.tags["reason"] == "at step 100"
    files = MlflowClient(tracking_uri).list_artifacts(found["trial 02"].info.run_id, "adapter")
    assert [file.file_size for file in files] == [1000]


def test_what_was_taken_without_an_answer_is_not_doubled(
    begin: Callable[..., Tracker], tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begin()
    client = first.store.client
    for call in ("create_run", "log_batch", "set_terminated"):
        take = getattr(client, call)

        def taken(*args: Any, take: Callable[..., Any] = take, tracker: Tracker = first, **kwargs: Any) -> None:
            take(*args, **kwargs)
            away(tracker, monkeypatch)
            raise ConnectionError("the answer was lost")

        with monkeypatch.context() as patch:
            patch.setattr(client, call, taken)
            first.trial_started(f"after {call}", 1, {**CONFIGURATION, "seed": call})
            first.reported(f"after {call}", report(100, 50.0))
            first.trial_ended(f"after {call}", "finished")
            first.flush(timeout=2.0)
        die(first)
        first = begin(resume=True)
        client = first.store.client
        first.flush()
    first.end_search({}, [], {})
    assert first.close() == []
    found = {name: run for name, run in runs(tracking_uri).items() if name != "s"}
    assert len(found) == 3 and {run.info.status for run in found.values()} == {"FINISHED"}
    assert [points(tracking_uri, run) for run in found.values()] == [[(100, 50.0)]] * 3


def test_a_run_that_was_made_but_not_described_is_the_trials_own(
    begin: Callable[..., Tracker], tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begin()
    make = first.store.client.create_run

    def made(*args: Any, **kwargs: Any) -> Any:
        run = make(*args, **kwargs)
        away(first, monkeypatch)
        return run

    monkeypatch.setattr(first.store.client, "create_run", made)
    first.trial_started("t1", 1, CONFIGURATION)
    first.flush(timeout=1.0)
    die(first)
    assert runs(tracking_uri)["trial 01"].data.params == {}

    second = begin(resume=True)
    second.trial_started("another id", 1, CONFIGURATION)
    second.reported("another id", report(100, 50.0))
    second.trial_ended("another id", "finished")
    second.end_search({}, [], {})
    assert second.close() == []
    found = runs(tracking_uri)
    assert sorted(found) == ["s", "trial 01"]
    assert found["trial 01"].data.params == {"prompt_lr": "0.3", "seed": "7"}
    assert found["trial 01"].info.status == "FINISHED"


def test_a_search_that_ended_while_the_store_was_away_is_delivered_later(
    begin: Callable[..., Tracker], tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "summary.md").write_text("# Summary")
    first = begin()
    first.flush()
    away(first, monkeypatch)
    first.trial_started("t1", 1, CONFIGURATION)
    first.trial_ended("t1", "finished")
    first.end_search({"test/n": 32}, [tmp_path / "summary.md"], {"prompt_lr": 0.3})
    assert first.close(timeout=0.5)[-1] == "the end of the search"
    assert runs(tracking_uri)["s"].info.status == "RUNNING"

    later = Tracker.open(tracking_uri, "rte", spool=tmp_path / "search" / "tracking")
    assert later.deliver_what_was_left()
    assert later.close() == []
    found = runs(tracking_uri)
    assert {run.info.status for run in found.values()} == {"FINISHED"} and set(found) == {"s", "trial 01"}
    assert found["s"].data.metrics == {"test/n": 32} and found["s"].data.tags["winner.prompt_lr"] == "0.3"
    listed = MlflowClient(tracking_uri).list_artifacts(found["s"].info.run_id)
    assert [file.path for file in listed] == ["summary.md"]


def test_a_search_whose_end_was_never_told_is_known(begin: Callable[..., Tracker], tracking_uri: str) -> None:
    first = begin()
    folder = first._spool.folder
    die(first)
    later = Tracker.open(tracking_uri, "rte", spool=folder)
    assert not later.deliver_what_was_left()
    later.close()


def test_of_two_runs_of_one_trial_the_one_that_was_used_stays(begin: Callable[..., Tracker], tracking_uri: str) -> None:
    tracker = begin()
    tracker.trial_started("t1", 1, CONFIGURATION)
    tracker.reported("t1", report(100, 50.0))
    tracker.flush()
    client = MlflowClient(tracking_uri)
    used = runs(tracking_uri)["trial 01"]
    # A server that was cut off carries out a request that was given up and made again.
    client.create_run(used.info.experiment_id, tags=used.data.tags, run_name="trial 01")
    tracker.trial_ended("t1", "finished")
    tracker.end_search({}, [], {})
    assert tracker.close() == []
    assert runs(tracking_uri)["trial 01"].info.run_id == used.info.run_id


@pytest.mark.parametrize("victim", ["trial 01", "trial 02", "s"])
def test_a_run_that_was_deleted_in_mlflow_is_made_again_when_its_search_goes_on(
    begin: Callable[..., Tracker], tracking_uri: str, adapter: Path, victim: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begin()
    for number in (1, 2):
        first.trial_started(f"t{number}", number, CONFIGURATION)
        first.reported(f"t{number}", report(100, 50.0))
    first.trial_ended("t2", "finished", adapter=adapter)
    first.flush()
    client = MlflowClient(tracking_uri)
    client.delete_run(runs(tracking_uri)[victim].info.run_id)
    away(first, monkeypatch)  # some of it is left for the next driver
    first.reported("t1", report(200, 60.0))
    die(first)
    monkeypatch.undo()

    second = begin(resume=True)
    assert any((victim if victim != "s" else "run of the search was deleted") in sentence for sentence in second.said)
    assert second.is_settled("t2", "finished", 100) is (victim != "trial 02")
    second.trial_started("new", 1, CONFIGURATION)
    for step, score in ((100, 50.0), (200, 60.0), (300, 70.0)):  # all that the record knows
        second.reported("new", report(step, score))
    second.trial_ended("new", "finished", adapter=adapter)
    if victim == "trial 02":
        second.trial_started("t2", 2, CONFIGURATION)
        second.reported("t2", report(100, 50.0))
        second.trial_ended("t2", "finished", adapter=adapter)
    second.end_search({}, [], {})
    assert second.close() == []
    found = runs(tracking_uri)
    assert sorted(found) == ["s", "trial 01", "trial 02"]
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert points(tracking_uri, found["trial 01"]) == [(100, 50.0), (200, 60.0), (300, 70.0)]
    assert points(tracking_uri, found["trial 02"]) == [(100, 50.0)]
    for name in ("trial 01", "trial 02"):
        assert found[name].data.tags["mlflow.parentRunId"] == found["s"].info.run_id
        assert client.list_artifacts(found[name].info.run_id, "adapter")


@pytest.mark.parametrize("victim", ["trial 01", "s"])
def test_a_run_that_is_deleted_while_its_search_runs_is_made_again_with_all_its_points(
    begin: Callable[..., Tracker], tracking_uri: str, victim: str, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = begin()
    tracker.trial_started("t1", 1, CONFIGURATION)
    tracker.reported("t1", report(100, 50.0))
    tracker.flush()
    client = MlflowClient(tracking_uri)
    client.delete_run(runs(tracking_uri)[victim].info.run_id)
    tracker.reported("t1", report(200, 60.0))
    tracker.trial_ended("t1", "finished")
    tracker.end_search({"test/n": 32}, [], {})
    assert tracker.close() == []
    found = runs(tracking_uri)
    assert sorted(found) == ["s", "trial 01"] and found["trial 01"].data.params == {"prompt_lr": "0.3", "seed": "7"}
    assert points(tracking_uri, found["trial 01"]) == [(100, 50.0), (200, 60.0)]
    assert found["trial 01"].data.tags["mlflow.parentRunId"] == found["s"].info.run_id
    assert found["s"].data.metrics == {"test/n": 32} and found["s"].data.params == {"steps": "400"}
    assert f"the run of {victim} was deleted in MLflow" in caplog.text


def test_a_driver_that_finds_no_store_goes_on_and_the_next_one_delivers(
    begin: Callable[..., Tracker], tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: Path
) -> None:
    """The store and the driver died together: the same command needs no store, and loses and doubles nothing."""
    spool = tmp_path / "search" / "tracking"
    first = begin()
    for number in (1, 2):
        first.trial_started(f"t{number}", number, CONFIGURATION)
        first.reported(f"t{number}", report(100, 50.0))
    first.trial_ended("t2", "stopped early", "at step 100")
    first.flush()
    die(first)

    def nobody(*_: Any) -> None:
        raise store._UnusableError("no server answers there")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_contact", nobody)
        with pytest.raises(TrackingError, match="no server answers there"):  # a new search must have one
            Tracker.reopen(tracking_uri, "rte", tmp_path / "another")
        second = Tracker.reopen(tracking_uri, "rte", spool)
        assert "goes on without it" in second.said[0] and str(spool) in second.said[0]
        second.start_search("s", {"steps": 400}, {}, resume=True)
        assert second.is_settled("t2", "stopped early", 100)
        second.trial_started("new", 1, CONFIGURATION)
        for step, score in ((100, 50.0), (200, 60.0)):
            second.reported("new", report(step, score))
        assert second.page == "" and second.ui_url_hint()
        die(second)
    third = Tracker.reopen(tracking_uri, "rte", spool)
    assert third.said == []
    third.start_search("s", {"steps": 400}, {}, resume=True)
    third.trial_started("newer", 1, CONFIGURATION)
    for step, score in ((100, 50.0), (200, 60.0), (300, 70.0)):
        third.reported("newer", report(step, score))
    third.trial_ended("newer", "finished", adapter=adapter)
    third.end_search({}, [], {})
    assert third.close() == []
    found = runs(tracking_uri)
    assert sorted(found) == ["s", "trial 01", "trial 02"]
    assert points(tracking_uri, found["trial 01"]) == [(100, 50.0), (200, 60.0), (300, 70.0)]
    assert points(tracking_uri, found["trial 02"]) == [(100, 50.0)]
    assert {run.info.status for run in found.values()} == {"FINISHED"}


def test_a_store_that_comes_back_while_the_search_goes_on_without_it_gets_everything(
    begin: Callable[..., Tracker], tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(begin())
    contact, is_back = store._contact, False

    def not_yet(*arguments: Any) -> Any:
        if not is_back:
            raise store._UnusableError("no server answers there")
        return contact(*arguments)

    monkeypatch.setattr(store, "_contact", not_yet)
    tracker = Tracker.reopen(tracking_uri, "rte", tmp_path / "search" / "tracking")
    tracker.start_search("s", {"steps": 400}, {}, resume=True)
    tracker.trial_started("t1", 1, CONFIGURATION)
    tracker.reported("t1", report(100, 50.0))
    assert not tracker.flush(timeout=1.5)
    is_back = True
    tracker.trial_ended("t1", "finished")
    tracker.end_search({}, [], {})
    assert tracker.close() == [] and tracker.page.startswith("/#/experiments/")
    found = runs(tracking_uri)
    assert points(tracking_uri, found["trial 01"]) == [(100, 50.0)]
    assert {run.info.status for run in found.values()} == {"FINISHED"}


def test_two_drivers_of_one_search_are_refused(begin: Callable[..., Tracker]) -> None:
    first = begin()
    with pytest.raises(JournalError, match="this search is running in another process"):
        begin(resume=True)
    first.close()


def test_what_the_store_refuses_is_tried_again_by_the_next_driver(
    begin: Callable[..., Tracker], tracking_uri: str, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_such_bucket(*_: Any) -> None:
        raise OSError("no such bucket")

    first = begin()
    with monkeypatch.context() as patch:
        patch.setattr(first.store.client, "log_artifacts", no_such_bucket)
        first.trial_started("t1", 1, CONFIGURATION)
        first.trial_ended("t1", "finished", adapter=adapter)
        first.end_search({}, [], {})
        assert first.close() == ["the adapter of trial 01"]
    later = Tracker.open(tracking_uri, "rte", spool=first._spool.folder)
    assert later.deliver_what_was_left() and later.close() == []
    run = runs(tracking_uri)["trial 01"]
    assert run.info.status == "FINISHED"
    assert MlflowClient(tracking_uri).list_artifacts(run.info.run_id, "adapter")
