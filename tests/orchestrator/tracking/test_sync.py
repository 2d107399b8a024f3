"""MLflow after kills, lost answers, deletions and restarts: what the record says, once, whoever died in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from orchestrator.record.record import STARTED, SearchRecord
from orchestrator.record.status import TrialStatus
from orchestrator.tracking import earlier, store
from orchestrator.tracking.tracker import End, Tracker
from tests.orchestrator import tracked
from tests.orchestrator.tracked import Outage, artifacts, points, runs, trial

STEPS = {100: 50.0, 200: 60.0, 300: 70.0}
Begin = Callable[..., Tracker]


def until(step: int) -> dict[int, float]:
    return {at: score for at, score in STEPS.items() if at <= step}


@pytest.fixture
def begin(tracking_uri: str) -> Begin:
    """A driver of a search, the first one or another one after it."""

    def start(record: SearchRecord, **more: Any) -> Tracker:
        tracker = Tracker.open(tracking_uri, "rte")
        tracker.start(record, {"steps": 400}, **more)
        return tracker

    return start


def die(tracker: Tracker) -> None:
    """The driver is killed: nothing more is written."""
    assert tracker._writer is not None
    tracker._writer.close(timeout=0.0)


def test_what_a_driver_could_not_write_the_next_one_does(
    begin: Begin, tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = {2: tracked.make_adapter(tmp_path)}
    first = begin(tracked.record(trial(1, until(100))))
    assert first.flush()
    Outage(first.store.client, monkeypatch).now = True
    stopped = trial(2, {100: 40.0}, "stopped early", reason="at step 100")  # its run was never made
    first.put(tracked.record(trial(1, until(200)), stopped))
    die(first)

    whole = tracked.record(trial(1, STEPS, "finished", trial_id="of another run of Tune"), stopped)
    second = begin(whole, find_adapter=adapter.get)
    second.end(whole, End(figures={"steps_trained": 400}))
    assert second.close() == []
    for _ in range(2):  # and once more, though nothing is missing
        found = runs(tracking_uri)
        names = ("s", "trial 01", "trial 02")
        assert {name: run.info.status for name, run in found.items()} == dict.fromkeys(names, "FINISHED")
        assert points(tracking_uri, found["trial 01"]) == list(STEPS.items())
        assert found["trial 01"].data.tags["trial_id"] == "of another run of Tune"
        assert points(tracking_uri, found["trial 02"]) == [(100, 40.0)]
        assert points(tracking_uri, found["s"], "steps_trained") == [(0, 400)]
        assert found["trial 02"].data.tags["reason"] == "at step 100"
        assert artifacts(tracking_uri, found["trial 02"], "adapter")["adapter/adapter_model.safetensors"] == 40_000
        again = begin(whole, find_adapter=adapter.get)
        again.end(whole, End(figures={"steps_trained": 400}))
        assert again.close() == []


@pytest.mark.parametrize("call", ["create_run", "log_batch", "set_terminated"])
def test_what_was_taken_without_an_answer_is_not_doubled(
    begin: Begin, tracking_uri: str, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    empty, whole = tracked.record(), tracked.record(trial(1, until(200), "finished"))
    for kill in (True, False):  # the next driver finds what was taken, or the same one
        whole.uid = whole.name = empty.uid = empty.name = f"kill {kill}"
        first = begin(empty)
        first.flush()
        with monkeypatch.context() as patch:
            outage = Outage(first.store.client, patch, after=call)
            first.put(whole)
            assert not first.flush(timeout=1.0) and outage.now
        if kill:
            die(first)
            first = begin(whole)
        first.end(whole, End())
        assert first.close() == []
    client = MlflowClient(tracking_uri)
    found = client.search_runs([first.store.experiment.experiment_id], "tags.kind = 'trial'")
    assert len(found) == 2 and {run.info.status for run in found} == {"FINISHED"}
    assert {run.data.params["prompt_lr"] for run in found} == {"0.3"}, "a run that was made was not described"
    assert [points(tracking_uri, run) for run in found] == [list(until(200).items())] * 2


def test_a_point_that_is_sent_twice_is_one_point(begin: Begin, tracking_uri: str) -> None:
    """Whatever is known of the store, and for records from before there were times in them as well."""
    record = tracked.record(trial(1, STEPS), trial(2, STEPS))
    record.provenance[STARTED] = "2026-01-02T03:04:05+00:00"
    for report in record.trials[1].reports:
        del report["time"]
        report["seconds/train"] = 1.5
    tracker = begin(record)
    assert tracker.flush() and tracker._sync is not None
    for known in tracker._sync._known.trials.values():
        known.last_step = -1
    tracker._sync._settled.clear()
    tracker.put(record)
    assert tracker.close() == []
    for name in ("trial 01", "trial 02"):
        assert points(tracking_uri, runs(tracking_uri)[name]) == list(STEPS.items())
    run_id = runs(tracking_uri)["trial 02"].info.run_id
    times = [point.timestamp for point in MlflowClient(tracking_uri).get_metric_history(run_id, "score")]
    assert times[1] - times[0] == times[2] - times[1] == 1500


def test_a_resumed_search_goes_on_in_its_runs_and_another_of_its_name_has_its_own(
    begin: Begin, tracking_uri: str
) -> None:
    record = tracked.record(trial(1, until(100)), trial(2, until(100), "interrupted", reason="at step 100 of 400"))
    first = begin(record)
    first.end(record, End(status=TrialStatus.INTERRUPTED))
    assert first.close() == []
    assert {run.info.status for run in runs(tracking_uri).values()} == {"KILLED"}
    before = {name: run.info.run_id for name, run in runs(tracking_uri).items()}
    other = begin(tracked.record(trial(1, {100: 1.0}, "finished"), uid="another"))
    assert other.close() == []
    second = begin(tracked.record(trial(1, until(200)), trial(2, until(300), "finished")))
    assert second.close() == []
    client = MlflowClient(tracking_uri)
    found = {name: client.get_run(run_id) for name, run_id in before.items()}
    statuses = {name: run.info.status for name, run in found.items()}
    assert statuses == {"s": "RUNNING", "trial 01": "RUNNING", "trial 02": "FINISHED"}
    assert found["trial 01"].data.tags["reason"] == found["trial 02"].data.tags["reason"] == ""
    assert points(tracking_uri, found["trial 01"]) == list(until(200).items())
    assert len(client.search_runs([second.store.experiment.experiment_id])) == 5


def test_a_search_that_ended_while_the_store_was_away_is_written_later(
    begin: Begin, tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "summary.md").write_text("# Summary")
    record = tracked.record(trial(1, STEPS, "finished"))
    end = End(figures={"test/n": 32}, artifacts=[tmp_path / "summary.md"], winner={"prompt_lr": 0.3})
    first = begin(tracked.record())
    first.flush()
    Outage(first.store.client, monkeypatch).now = True
    first.end(record, end)
    assert first.close(timeout=0.5)[-1] == "the end of the search"
    assert runs(tracking_uri)["s"].info.status == "RUNNING"

    later = begin(record)
    later.end(record, end)
    assert later.close() == []
    found = runs(tracking_uri)
    assert {run.info.status for run in found.values()} == {"FINISHED"} and set(found) == {"s", "trial 01"}
    assert found["s"].data.metrics == {"test/n": 32} and found["s"].data.tags["winner.prompt_lr"] == "0.3"
    assert set(artifacts(tracking_uri, found["s"])) == {"summary.md"}


def test_of_two_runs_of_one_trial_the_one_that_was_used_stays(begin: Begin, tracking_uri: str) -> None:
    record = tracked.record(trial(1, STEPS))
    tracker = begin(record)
    tracker.flush()
    client = MlflowClient(tracking_uri)
    used, search = runs(tracking_uri)["trial 01"], runs(tracking_uri)["s"]
    for run in (used, search):  # a server that was cut off carries out a request that was given up and made again
        client.create_run(run.info.experiment_id, tags=run.data.tags, run_name=run.info.run_name)
    record.trials[0].status = TrialStatus.FINISHED
    tracker.end(record, End())
    assert tracker.close() == []
    assert runs(tracking_uri)["trial 01"].info.run_id == used.info.run_id
    assert runs(tracking_uri)["s"].info.run_id == search.info.run_id


@pytest.mark.parametrize("by_another", [False, True])
@pytest.mark.parametrize("victim", ["trial 01", "trial 02", "s"])
def test_a_run_that_was_deleted_in_mlflow_is_made_again_with_all_its_points(
    begin: Begin, tracking_uri: str, tmp_path: Path, victim: str, by_another: bool, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = {2: tracked.make_adapter(tmp_path)}
    tracker = begin(tracked.record(trial(1, until(100)), trial(2, STEPS, "finished")), find_adapter=adapter.get)
    tracker.flush()
    client = MlflowClient(tracking_uri)
    client.delete_run(runs(tracking_uri)[victim].info.run_id)
    whole = tracked.record(trial(1, STEPS, "finished"), trial(2, STEPS, "finished"))
    if by_another:
        die(tracker)
        tracker = begin(whole, find_adapter=adapter.get)
    (tmp_path / "summary.md").write_text("# Summary")
    tracker.end(whole, End(figures={"test/n": 32}, artifacts=[tmp_path / "summary.md"]))
    assert tracker.close() == []
    found = runs(tracking_uri)
    assert sorted(found) == ["s", "trial 01", "trial 02"]
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    for name in ("trial 01", "trial 02"):
        assert points(tracking_uri, found[name]) == list(STEPS.items())
        assert found[name].data.tags["mlflow.parentRunId"] == found["s"].info.run_id
    assert artifacts(tracking_uri, found["trial 02"], "adapter")
    assert set(artifacts(tracking_uri, found["s"])) == {"summary.md"}
    assert found["s"].data.metrics == {"test/n": 32} and found["s"].data.params == {"steps": "400"}
    assert f"the run of {victim} was deleted in MLflow" in caplog.text


def test_a_trial_that_is_trained_from_the_start_again_has_a_new_run(begin: Begin, tracking_uri: str) -> None:
    first = begin(tracked.record(trial(1, STEPS, "finished"), trial(2, STEPS, "finished")))
    first.close()
    before = {name: run.info.run_id for name, run in runs(tracking_uri).items()}
    again = tracked.record(trial(1, {}, "waiting", started=None, reruns=1), trial(2, STEPS, "finished"))
    second = begin(again)
    assert second.flush() and set(runs(tracking_uri)) == {"s", "trial 02"}
    again.trials[0] = trial(1, {100: 1.0, 200: 2.0}, "finished", reruns=1)
    second.put(again)
    assert second.close() == []
    found = runs(tracking_uri)
    assert points(tracking_uri, found["trial 01"]) == [(100, 1.0), (200, 2.0)]
    assert found["trial 01"].info.run_id != before["trial 01"]
    assert found["trial 02"].info.run_id == before["trial 02"]


def test_a_store_that_comes_back_while_the_search_goes_on_without_it_gets_everything(
    begin: Begin, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begin(tracked.record(trial(1, until(100))))
    first.flush()
    die(first)
    contact, is_back = store._contact, False

    def not_yet(*arguments: Any) -> Any:
        if not is_back:
            raise store.UnusableError("no server answers there")
        return contact(*arguments)

    monkeypatch.setattr(store, "_contact", not_yet)
    with pytest.raises(store.StoreAwayError, match="no server answers there") as caught:
        Tracker.open(tracking_uri, "rte")
    tracker, record = Tracker(caught.value.store), tracked.record(trial(1, until(200)))
    tracker.start(record)
    assert not tracker.flush(timeout=1.5) and tracker.page == "" and tracker.ui_url_hint()
    is_back = True
    record.trials = [trial(1, STEPS, "finished")]
    tracker.end(record, End())
    assert tracker.close() == [] and tracker.page.startswith("/#/experiments/")
    found = runs(tracking_uri)
    assert points(tracking_uri, found["trial 01"]) == list(STEPS.items())
    assert {run.info.status for run in found.values()} == {"FINISHED"}


def test_a_search_of_an_earlier_version_goes_on_in_its_runs(begin: Begin, tracking_uri: str, tmp_path: Path) -> None:
    """Its runs name no search but by its name, which others have as well: its outbox says which are its own."""
    record = tracked.record(trial(1, until(200)), trial(2, until(100), "finished"))
    assert begin(record).close() == []
    client = MlflowClient(tracking_uri)
    before = runs(tracking_uri)
    for run in before.values():
        client.delete_tag(run.info.run_id, "search_id")
    entries = [{"event": "search", "store": tracking_uri, "run_id": "older"}]
    entries += [{"event": "made", "run": "", "run_id": "x"}]
    entries += [{"event": "search", "store": tracking_uri, "run_id": before["s"].info.run_id}]
    (tmp_path / "tracking").mkdir()
    lines = "".join(json.dumps(["00000000", entry]) + "\n" for entry in entries)
    (tmp_path / "tracking" / "spool.jsonl").write_text(f'{lines}["0000')
    former = earlier.run_of_search(tmp_path)
    assert former == before["s"].info.run_id

    whole = tracked.record(trial(1, STEPS, "finished", started=None), trial(2, until(100), "finished"), uid=former)
    tracker = begin(whole, earlier=former)
    tracker.end(whole, End())
    assert tracker.close() == []
    found = runs(tracking_uri)
    assert {name: run.info.run_id for name, run in found.items()} == {n: run.info.run_id for n, run in before.items()}
    assert points(tracking_uri, found["trial 01"]) == list(STEPS.items())
    assert {run.data.tags["search_id"] for run in found.values()} == {former}
    assert earlier.remove_outbox(tmp_path) and not earlier.remove_outbox(tmp_path)
    assert not (tmp_path / "tracking").exists()
