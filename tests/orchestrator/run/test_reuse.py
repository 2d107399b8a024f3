"""Trials that were trained before are found by what decides their numbers, and only if they are whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.plan.planned_trial import PlannedTrial
from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.run.reuse import Reusable, find, take_over, take_over_equal
from orchestrator.store.checkpoints import adapter_files, attempts, reports_after, to_go_on_from
from orchestrator.tracking.tracker import End, Tracker
from trials.config import TrialConfig

SEARCH = {
    "task": "rte",
    "metrics": "accuracy, f1_macro",
    "method": "adept",
    "backbone": "t5-nano",
    "recipe": "released_code",
    "space": "t5-nano",
    "trials": 3,
    "steps": 200,
    "eval_every": 100,
    "batch_size": 16,
    "warmup_steps": 20,
    "max_source_length": 64,
    "precision": "float32",
    "trainer_revision": 2,
    "scheduler": "asha",
}
DATA = {"data_fingerprint": "d4ta", "backbone_revision": "r1"}
CONFIGURATION = {"prompt_lr": 0.3, "mlp_lr": 1e-05, "prompt_length": 20, "seed": 42}
WANTED = {5: CONFIGURATION}


def reports(until: int = 200) -> list[dict[str, Any]]:
    return [
        {
            "step": step,
            "score": 40.0 + step / 10,
            "best_score": 40.0 + step / 10,
            "best_step": step,
            "train/loss": 0.125,
            "validation/accuracy": 40.0 + step / 10,
            "validation/f1_macro": 35.0,
            "status": "finished" if step == 200 else "running",
            "time": 1e9 + step,
        }
        for step in range(100, until + 1, 100)
    ]


@pytest.fixture
def tracked(tracking_uri: str, tmp_path: Path) -> Tracker:
    """A store in which a search of one finished and one stopped trial has ended."""
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    tracker = Tracker.open(tracking_uri, "rte")
    record = SearchRecord(
        name="before",
        task="rte",
        method="adept",
        backbone="t5-nano",
        recipe="released_code",
        metric="accuracy",
        uid="before",
    )
    trials: list[tuple[float, int, str]] = [
        (0.3, 200, "finished"),
        (0.4, 100, "stopped early"),
        (0.5, 100, "finished"),  # its last report never reached the store
    ]
    for number, (rate, until, status) in enumerate(trials, 1):
        configuration = {k: v for k, v in CONFIGURATION.items() if k != "seed"} | {"prompt_lr": rate}
        record.trials.append(TrialRecord(f"t{number}", number, configuration, 42, TrialStatus(status), reports(until)))
    tracker.start(record, SEARCH, DATA, find_adapter=lambda number: adapter)
    tracker.end(record, End())
    assert tracker.close() == []
    return tracker


def test_an_equal_trial_is_found_with_its_reports_and_taken_over_with_its_adapter(
    tracked: Tracker, tmp_path: Path
) -> None:
    found = find(tracked.store, SEARCH, DATA, WANTED)
    assert found.keys() == {5}
    assert found[5].reports == reports()
    assert found[5].search == "before"
    record = take_over(tracked.store, found[5], {"prompt_lr": 0.3}, 42, tmp_path / "tune")
    assert record is not None
    assert (record.number, record.status, record.step, record.best_score) == (5, "finished", 200, 60.0)
    assert adapter_files(tmp_path / "tune", 5) == {"adapter_config.json": b"{}"}
    assert len(attempts(tmp_path / "tune")) == 1


def test_whatever_decides_the_numbers_must_be_equal(tracked: Tracker) -> None:
    store = tracked.store
    assert find(store, {**SEARCH, "scheduler": "none", "space": "mine", "trials": 9}, DATA, WANTED)
    for change in ({"steps": 300}, {"recipe": "paper"}, {"precision": "bfloat16"}, {"trainer_revision": 3}):
        assert find(store, {**SEARCH, **change}, DATA, WANTED) == {}, change
    assert find(store, {**SEARCH, "metrics": "accuracy"}, DATA, WANTED)
    for metrics in ("f1_macro", "f1_macro, accuracy", "accuracy, matthews"):  # another selects, or one is not there
        assert find(store, {**SEARCH, "metrics": metrics}, DATA, WANTED) == {}, metrics
    assert find(store, SEARCH, {**DATA, "data_fingerprint": "other"}, WANTED) == {}
    assert find(store, SEARCH, {**DATA, "backbone_revision": ""}, WANTED) == {}
    for gone in ("precision", "trainer_revision"):
        assert find(store, {k: v for k, v in SEARCH.items() if k != gone}, DATA, WANTED) == {}
    for other in ({"seed": 1}, {"prompt_lr": 0.30001}, {"prompt_init": "text"}):
        assert find(store, SEARCH, DATA, {5: {**CONFIGURATION, **other}}) == {}, other


def test_stopped_and_incomplete_trials_are_trained_again(tracked: Tracker) -> None:
    wanted = {n: {**CONFIGURATION, "prompt_lr": rate} for n, rate in ((1, 0.4), (2, 0.5))}
    assert find(tracked.store, SEARCH, DATA, wanted) == {}


def test_a_trial_without_its_adapter_is_not_taken_over(tracked: Tracker, tmp_path: Path) -> None:
    parent = tracked.store.client.search_runs([tracked.store.experiment.experiment_id], "tags.kind = 'search'")[0]
    bare = Reusable(5, parent.info.run_id, "before", reports())
    assert take_over(tracked.store, bare, {}, 42, tmp_path / "tune") is None
    assert not (tmp_path / "tune").exists()


def test_a_store_that_goes_away_ends_no_search(
    tracked: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = TrialConfig("adept", {"prompt_lr": 0.3}, 200, 100, seed=42)
    planned = [PlannedTrial(5, config, 1)]
    monkeypatch.setattr(
        f"{take_over_equal.__module__}.find", lambda *given: {5: Reusable(5, "gone", "before", reports())}
    )
    assert take_over_equal(tracked.store, SEARCH, DATA, tmp_path / "tune", planned) == []
    assert "MLflow does not answer" in caplog.text


def test_a_take_over_that_was_cut_off_is_no_checkpoint(tracked: Tracker, tmp_path: Path) -> None:
    """The record was not written any more: the trial's adapter is there, and nothing to go on from."""
    found = find(tracked.store, SEARCH, DATA, WANTED)
    record = take_over(tracked.store, found[5], {"prompt_lr": 0.3}, 42, tmp_path / "tune")
    assert record is not None
    assert reports_after(tmp_path / "tune", TrialRecord("", 5, {"prompt_lr": 0.3}, 42)) == []
    assert to_go_on_from(tmp_path / "tune", 5, 0) is None
