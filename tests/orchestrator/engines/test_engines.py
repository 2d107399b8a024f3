"""An engine's training thread: what it delivers, when a slot is free, and what an error does."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engines import training_loop
from orchestrator.engines.training_loop import Delivery, TrainingLoop, TrialLostError
from orchestrator.store.checkpoints import read_files, write_files
from tests.orchestrator.toy_engine import BREAKS, REFUSED, ToyEngine, config_of

MANY = 99
SECONDS = 10


@pytest.fixture
def broken() -> threading.Event:
    return threading.Event()


@pytest.fixture
def loop(broken: threading.Event) -> TrainingLoop:
    return TrainingLoop(partial(ToyEngine, 2), broken.set)


def done(loop: TrainingLoop, what: Callable[..., Any], *arguments: Any) -> Any:
    return loop.order(partial(what, *arguments)).result(SECONDS)


def asked(loop: TrainingLoop, trial_id: str) -> Future[Delivery]:
    report: Future[Delivery] = Future()
    done(loop, loop.ask, trial_id, report)
    return report


def report_of(loop: TrainingLoop, trial_id: str) -> dict[str, Any]:
    report = asked(loop, trial_id).result(SECONDS).report
    assert report is not None
    return report


def test_a_report_comes_with_the_checkpoint_of_its_own_step(loop: TrainingLoop) -> None:
    assert done(loop, loop.start, "a", config_of(), None, MANY)
    for step in (1, 2, 3, 4):
        report, files = asked(loop, "a").result(SECONDS)
        assert report is not None and report["step"] == step
        assert json.loads(files["training.json"])["step"] == step
        assert files["adapter/step.json"] == str(step).encode()


def test_a_trial_waits_with_a_report_that_nobody_wants_and_others_go_on(loop: TrainingLoop) -> None:
    for key in "ab":
        done(loop, loop.start, key, config_of(steps=50), None, MANY)
    for step in range(1, 20):
        assert report_of(loop, "a")["step"] == step
    assert report_of(loop, "b")["step"] == 1


def test_a_finished_trial_leaves_its_slot_at_once(loop: TrainingLoop) -> None:
    done(loop, loop.start, "a", config_of(steps=1), None, MANY)
    done(loop, loop.start, "b", config_of(steps=50), None, MANY)
    assert not done(loop, loop.start, "c", config_of(), None, MANY)
    assert report_of(loop, "a")["status"] == "finished"
    assert loop.room == (1, 2)
    assert done(loop, loop.start, "c", config_of(), None, MANY)


def test_a_limit_below_the_slots_is_kept_and_a_trial_that_comes_again_is_not_counted_twice(loop: TrainingLoop) -> None:
    assert done(loop, loop.start, "a", config_of(), None, 1)
    assert not done(loop, loop.start, "b", config_of(), None, 1)
    assert done(loop, loop.start, "a", config_of(), None, 1)
    assert loop.room.held == 1


def test_a_trial_goes_on_from_files(loop: TrainingLoop) -> None:
    done(loop, loop.start, "a", config_of(steps=50), None, MANY)
    _, files = asked(loop, "a").result(SECONDS)
    for _ in range(3):
        asked(loop, "a").result(SECONDS)
    done(loop, loop.start, "a", config_of(steps=50), files, MANY)
    assert report_of(loop, "a")["step"] == 2


def test_who_waits_for_a_trial_that_is_stopped_is_told(loop: TrainingLoop) -> None:
    done(loop, loop.start, "a", config_of(steps=1000, eval_every=1000), None, MANY)
    waiting = asked(loop, "a")
    done(loop, loop.stop, "a")
    with pytest.raises(TrialLostError):
        waiting.result(SECONDS)
    with pytest.raises(TrialLostError):
        asked(loop, "a")


def test_an_engine_that_leaves_hands_every_trial_back_at_its_last_update(loop: TrainingLoop) -> None:
    done(loop, loop.start, "waits", config_of(steps=1000, eval_every=1000), None, MANY)
    done(loop, loop.start, "asks later", config_of(steps=1000, eval_every=1000), None, MANY)
    waiting = asked(loop, "waits")
    time.sleep(0.1)
    done(loop, loop.leave)
    for handed_back in (waiting.result(SECONDS), asked(loop, "asks later").result(SECONDS)):
        assert handed_back.report is None
        assert 0 < json.loads(handed_back.files["training.json"])["step"] < 1000
    assert loop.room == (0, 0)
    assert not done(loop, loop.start, "another", config_of(), None, MANY)
    with pytest.raises(TrialLostError):
        asked(loop, "waits")


def test_a_report_that_is_there_when_an_engine_leaves_is_not_lost(loop: TrainingLoop) -> None:
    done(loop, loop.start, "a", config_of(steps=50), None, MANY)
    time.sleep(0.1)  # its first report waits
    done(loop, loop.leave)
    report, files = asked(loop, "a").result(SECONDS)
    assert report is not None and report["step"] == json.loads(files["training.json"])["step"] == 1


def test_a_trial_that_cannot_start_harms_no_other(loop: TrainingLoop) -> None:
    done(loop, loop.start, "a", config_of(), None, MANY)
    with pytest.raises(ValueError, match="no such rate"):
        done(loop, loop.start, "b", config_of(REFUSED), None, MANY)
    assert report_of(loop, "a")["step"] == 1
    assert loop.room.held == 1


def test_an_update_that_raises_is_told_to_all_and_ends_the_engine(loop: TrainingLoop, broken: threading.Event) -> None:
    done(loop, loop.start, "a", config_of(steps=1000, eval_every=1000), None, MANY)
    waiting = asked(loop, "a")
    done(loop, loop.start, "b", config_of(BREAKS), None, MANY)
    with pytest.raises(ValueError, match="the toy broke"):
        waiting.result(SECONDS)
    assert broken.wait(SECONDS)
    assert loop.room.slots == 0
    with pytest.raises(ValueError, match="the toy broke"):
        done(loop, loop.start, "c", config_of(), None, MANY)


def test_an_engine_that_cannot_be_made_says_why(broken: threading.Event) -> None:
    def build() -> ToyEngine:
        raise ValueError("no such backbone")

    loop = TrainingLoop(build, broken.set)
    with pytest.raises(ValueError, match="no such backbone"):
        done(loop, loop.start, "a", config_of(), None, MANY)
    assert broken.wait(SECONDS)


def test_a_full_disk_keeps_no_report_back(loop: TrainingLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    done(loop, loop.start, "a", config_of(), None, MANY)
    assert report_of(loop, "a")["step"] == 1


def test_a_host_without_room_for_a_checkpoint_lets_its_trials_go(
    loop: TrainingLoop, broken: threading.Event, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(loop, loop.start, "a", config_of(steps=50, eval_every=20), None, MANY)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    monkeypatch.setattr(training_loop, "SHARED_MEMORY", tmp_path / "none")
    with pytest.raises(TrialLostError, match="cannot pass a checkpoint on"):
        asked(loop, "a").result(SECONDS)
    assert broken.wait(SECONDS)


def test_any_error_of_a_checkpoint_is_heard_by_all_that_wait(
    loop: TrainingLoop, broken: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(engine: ToyEngine, trial_id: str, folder: Path) -> None:
        raise ValueError("not a checkpoint")

    done(loop, loop.start, "a", config_of(steps=50, eval_every=20), None, MANY)
    monkeypatch.setattr(ToyEngine, "save", spoilt)
    with pytest.raises(ValueError, match="not a checkpoint"):
        asked(loop, "a").result(SECONDS)
    assert broken.wait(SECONDS)
    with pytest.raises(ValueError, match="not a checkpoint"):
        done(loop, loop.start, "b", config_of(), None, MANY)


def test_throughput_counts_updates_not_reports(loop: TrainingLoop) -> None:
    done(loop, loop.start, "a", config_of(steps=20, eval_every=10), None, MANY)
    asked(loop, "a").result(SECONDS)
    assert 10 < loop.throughput <= 100  # the toy makes a hundred a second at most


def test_files_survive_the_way_there_and_back(tmp_path: Path) -> None:
    files = {"training.json": b"{}", "adapter/adapter_config.json": b"[]", "training.safetensors": bytes(100)}
    write_files(tmp_path, files)
    assert read_files(tmp_path) == files
