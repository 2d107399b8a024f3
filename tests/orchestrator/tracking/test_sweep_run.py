"""A sweep's run above those of its searches: there once, whatever happened to MLflow or to the driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from orchestrator.record.status import TrialStatus
from orchestrator.tracking.sweep_run import SweepRun, SweepShown
from orchestrator.tracking.tracker import End, Tracker
from tests.orchestrator import tracked
from tests.orchestrator.tracked import Outage, artifacts, points, runs, trial

PARENT = "mlflow.parentRunId"
SHOWN = SweepShown(params={"searches": 2}, tags={"night": "2026-01-31"}, headline="Two tasks", started=1_700_000_000.0)
Begin = Callable[..., SweepRun]


@pytest.fixture
def begin(tracking_uri: str) -> Begin:
    """A driver of the sweep, the first one or another one after it."""

    def start(shown: SweepShown = SHOWN, **more: Any) -> SweepRun:
        return SweepRun.open(tracking_uri, "demo", "demo 2026-01-31", "sweep-uid", shown, **more)

    return start


def search(sweep: SweepRun, tracking_uri: str, name: str) -> Tracker:
    tracker = Tracker.open(tracking_uri, sweep.experiment)
    record = tracked.record(trial(1, {100: 50.0}, "finished"), name=name, uid=name)
    tracker.start(record, above=sweep.run_id)
    tracker.end(record, End())
    return tracker


def test_sweep_searches_and_trials_are_nested_in_one_experiment(
    begin: Begin, tracking_uri: str, tmp_path: Path
) -> None:
    sweep = begin()
    assert search(sweep, tracking_uri, "rte-adept").close() == []
    (tmp_path / "report.html").write_text("the night")
    end: dict[str, Any] = {"figures": {"searches/finished": 1, "hours": 0.5}, "artifacts": [tmp_path / "report.html"]}
    sweep.put(replace(SHOWN, status=TrialStatus.FINISHED, at=1_700_000_900.0, **end))
    assert sweep.close() == []

    found = runs(tracking_uri)
    top, below, trials = found["demo 2026-01-31"], found["rte-adept"], found["trial 01"]
    assert below.data.tags[PARENT] == top.info.run_id and trials.data.tags[PARENT] == below.info.run_id
    assert len({run.info.experiment_id for run in (top, below, trials)}) == 1
    assert PARENT not in top.data.tags and top.data.tags["kind"] == "sweep"
    assert (top.data.params["searches"], top.data.tags["night"]) == ("2", "2026-01-31")
    assert top.data.tags["mlflow.note.content"] == "Two tasks"
    assert points(tracking_uri, top, "hours") == [(0, 0.5)]
    assert (top.info.status, top.info.end_time - top.info.start_time) == ("FINISHED", 900_000)
    assert set(artifacts(tracking_uri, top)) == {"report.html"}


@pytest.mark.parametrize("call", ["create_run", "log_batch", "set_terminated"])
def test_what_was_taken_without_an_answer_is_not_doubled_by_the_next_driver(
    begin: Begin, tracking_uri: str, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    end = replace(SHOWN, status=TrialStatus.FINISHED, figures={"hours": 0.5}, at=1_700_000_900.0)
    first = begin()
    Outage(first.store.client, monkeypatch, after=call)
    first.put(end)
    assert first.close(timeout=0.5)
    second = begin(end, begun=True)
    assert second.close() == []
    top = runs(tracking_uri)["demo 2026-01-31"]
    assert top.info.status == "FINISHED" and points(tracking_uri, top, "hours") == [(0, 0.5)]


def test_a_search_that_ran_while_mlflow_was_away_is_below_its_sweep_when_that_answers(
    begin: Begin, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = begin()
    assert sweep.flush()
    tracker = Tracker.open(tracking_uri, sweep.experiment)
    outages = []
    for client in (sweep.store.client, tracker.store.client):
        outages.append(Outage(client, monkeypatch))
        outages[-1].now = True
    record = tracked.record(trial(1, {100: 50.0}, "finished"), name="rte-adept")
    tracker.store._answer, answer = None, tracker.store._answer  # as of a store that was away from the beginning
    tracker.start(record, above=sweep.run_id)
    tracker.store._answer = answer
    for outage in outages:
        outage.now = False
    tracker.end(record, End())
    assert tracker.close() == []
    found = runs(tracking_uri)
    assert found["rte-adept"].data.tags[PARENT] == found["demo 2026-01-31"].info.run_id
    sweep.close()


def test_a_run_that_somebody_deleted_is_made_again_and_ended(begin: Begin, tracking_uri: str) -> None:
    sweep = begin()
    assert sweep.flush()
    MlflowClient(tracking_uri).delete_run(sweep.run_id())
    sweep.put(replace(SHOWN, status=TrialStatus.INTERRUPTED, at=1_700_000_900.0))
    assert sweep.close() == []
    assert runs(tracking_uri)["demo 2026-01-31"].info.status == "KILLED"
