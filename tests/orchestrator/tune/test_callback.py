"""A search under Ray Tune, and what its record and its display know of each trial afterwards."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune import Callback

from orchestrator.record.record import TrialRecord
from orchestrator.tune.callback import SearchCallback
from tests.orchestrator.toy_search import BUDGET, KINDS, Shown, StopTheWeak, asha, make_tuner

ENDS = {
    1: "finished",
    2: "finished",
    3: "stopped early",
    4: "stopped early",
    5: "diverged",
    6: "failed",
    7: "finished",
}


def begin(interrupt_at: int | None = None, **more: Any) -> tuple[SearchCallback, Shown]:
    shown = Shown(interrupt_at)
    return SearchCallback("toy", BUDGET, shown, raise_errors=True, **more), shown  # type: ignore[arg-type]


@pytest.fixture
def quiet_tune() -> Iterator[None]:
    """Tune prints the traceback of each trial that fails, as these do."""
    logger = logging.getLogger("ray.tune")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.mark.usefixtures("ray_local", "quiet_tune")
def test_each_way_in_which_a_trial_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "orchestrator")
    released: list[int] = []
    failing: list[BaseException] = []
    callback, shown = begin(release=released.append, failing=failing.append)
    begun = time.time()
    make_tuner(tmp_path, callback, list(KINDS), asha()).fit()

    records = list(callback.records.values())
    assert {record.number: record.status for record in records} == ENDS
    assert [record.number for record in records] == sorted(ENDS)
    assert {number: end[0] for number, end in shown.ends.items()} == ENDS
    assert set(released) == set(ENDS)

    by_number = {record.number: record for record in records}
    assert by_number[3].reason == "at step 100 of 400"
    assert by_number[6].error == "ValueError: the toy broke at 200"
    assert "ValueError: the toy broke at 200" in [f"{type(e).__name__}: {e}".splitlines()[0] for e in failing]
    assert "trial 7 is tried again after ValueError: the toy broke at 200" in caplog.messages
    assert [report["step"] for report in by_number[7].reports] == [100, 200, 300, 400]  # it came back at step 100
    assert by_number[5].step == 200
    assert by_number[1].reports[0].keys() == {
        *("step", "score", "best_score", "best_step", "status", "train/loss", "validation/accuracy", "time"),
        *("learning_rate/prompt", "seconds/train", "seconds/evaluation"),
    }
    for record in records:
        assert record.started is not None and record.ended is not None
        times = [record.started, *(report["time"] for report in record.reports), record.ended]
        assert begun <= times[0] and times == sorted(times) and times[-1] <= time.time() + 0.001


@pytest.mark.usefixtures("ray_local", "quiet_tune")
def test_a_search_that_goes_on_from_its_records_in_a_new_tune_run(tmp_path: Path) -> None:
    callback, _ = begin(interrupt_at=3)
    make_tuner(tmp_path / "before", callback, [1, 2, 3], StopTheWeak()).fit()
    records = list(callback.records.values())
    left = [record.number for record in records if record.status not in ENDS.values()]
    assert 3 in left and len(left) < 3
    assert callback.records and {record.status for record in records if record.number in left} == {"interrupted"}

    callback, shown = begin()
    callback.add(records)
    make_tuner(tmp_path / "after", callback, left, StopTheWeak()).fit()
    assert {record.number: record.status for record in callback.records.values()} == {n: ENDS[n] for n in (1, 2, 3)}
    assert [report["step"] for report in records[0].reports] == [100, 200, 300, 400]
    assert shown.ends[1] == ("finished", "")


class FakeTrial:
    """As much of a Tune trial as the callback looks at."""

    pickled_error_file = error_file = None

    def __init__(self, number: int = 1, trial_id: str = "id1") -> None:
        self.trial_id = trial_id
        self.config = {"number": number, "configuration": {"prompt_lr": 0.3}, "seed": 42}


def train(callback: SearchCallback, trial: Any, steps: int) -> None:
    callback.on_trial_start(0, [trial], trial)
    for step in range(100, steps + 1, 100):
        report = {"step": step, "score": 1.0, "best_score": 1.0, "best_step": step, "status": "running"}
        callback.on_trial_result(0, [trial], trial, {**report, "time_this_iter_s": 1.0, "config": {}})


def test_steps_that_are_trained_once_more_count_once() -> None:
    """A trial whose latest checkpoint was lost comes back from the one before, and reports again on the way."""
    callback, shown = begin()
    trial: Any = FakeTrial()
    callback.on_trial_start(1, [trial], trial)
    seconds = 1.0
    for step in (4, 8, 12, 8, 12, 16, 16):
        report = {"step": step, "score": float(step), "status": "running", "seconds/train": seconds, "time": seconds}
        report["train/loss"] = float("nan")  # two of them are never equal
        callback.on_trial_result(1, [trial], trial, report)
        seconds += 0.125
    record = callback.records["id1"]
    assert [report["step"] for report in record.reports] == [4, 8, 12, 16] == [step for _, step in shown.steps]
    assert [report["time"] for report in record.reports] == [1.0, 1.125, 1.25, 1.625]  # its own, of the first training
    assert record.train_seconds == 1.0 + 1.125 + 1.25 + 1.625


def test_the_schedulers_own_words_say_why_a_trial_was_stopped() -> None:
    callback, shown = begin()
    trial: Any = FakeTrial()
    train(callback, trial, 100)
    callback.explain(1, "at step 100: 21.2 < cutoff 30.0, rank 4 of 5")
    callback.on_trial_complete(0, [trial], trial)
    assert shown.ends[1] == ("stopped early", "at step 100: 21.2 < cutoff 30.0, rank 4 of 5")
    assert callback.records["id1"].reason == "at step 100: 21.2 < cutoff 30.0, rank 4 of 5"


def test_a_trial_that_waits_frees_its_slot() -> None:
    released: list[int] = []
    waiting: list[int] = []
    callback, shown = begin(release=released.append)
    shown.waits = waiting.append  # type: ignore[attr-defined]
    callback.waits = lambda number: number == 2
    for number in (1, 2):
        trial: Any = FakeTrial(number, f"id{number}")
        train(callback, trial, 100)
    assert released == waiting == [2]


def test_a_trial_that_is_stopped_before_it_starts_has_not_begun() -> None:
    callback, _ = begin()
    trial: Any = FakeTrial()
    callback.on_trial_complete(0, [trial], trial)
    (record,) = callback.records.values()
    assert (record.status, record.started, record.reports) == ("stopped early", None, [])


def test_a_trial_that_waited_when_the_driver_died_and_is_stopped_before_it_starts_again() -> None:
    callback, _ = begin()
    train(callback, FakeTrial(), 200)
    known = [TrialRecord(**vars(record)) for record in callback.records.values()]
    resumed, shown = begin()
    resumed.add(known)
    assert known[0].status == "waiting" and shown.steps == [(1, 100)]  # its best
    resumed.explain(1, "at step 200: 21.2 < cutoff 30.0, rank 4 of 5")
    again: Any = FakeTrial(1, "in-the-next-run-of-tune")
    resumed.on_trial_complete(0, [again], again)
    (record,) = resumed.records.values()
    assert (record.status, record.reason) == ("stopped early", "at step 200: 21.2 < cutoff 30.0, rank 4 of 5")
    assert record.step == 200 and record.started is not None and record.trial_id == "in-the-next-run-of-tune"


def test_a_display_that_breaks_ends_no_search_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the terminal is gone")

    callback = SearchCallback("toy", BUDGET, SimpleNamespace(trial_started=broken, reported=broken))  # type: ignore[arg-type]
    train(callback, FakeTrial(), 300)
    assert callback.records["id1"].step == 300
    assert caplog.text.count("the terminal is gone") == 1


def test_what_tune_pickles_with_a_run_holds_nothing_of_the_search() -> None:
    callback, _ = begin()
    assert type(pickle.loads(pickle.dumps(callback))) is Callback
