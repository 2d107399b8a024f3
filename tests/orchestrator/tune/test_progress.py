"""What a person sees while a search runs, on a terminal and in a log file."""

from __future__ import annotations

import io
import logging
import math
import re

import pytest
from rich.console import Console

from orchestrator.record.status import TrialStatus
from orchestrator.tune.progress import Progress

CONFIGURATION = {"prompt_length": 60, "prompt_lr": 0.3, "mlp_lr": 1e-4}


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Log:
    """A display that writes into a stream as a log file would take it."""

    def __init__(self, trials: int = 4, budget: int = 5_000, quiet: bool = False, terminal: bool = False) -> None:
        self.stream, self.clock = io.StringIO(), Clock()
        self.console = Console(file=self.stream, force_terminal=terminal, width=100, color_system=None)
        self.progress = Progress(trials, trials * budget, "accuracy", self.console, quiet, self.clock)

    def train(self, number: int, *scores: float, every: int = 1_000, seconds: float = 1.0) -> None:
        self.progress.trial_started(number, CONFIGURATION)
        for index, score in enumerate(scores, 1):
            self.clock.now += seconds
            self.progress.reported(number, {"step": index * every, "score": score})

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


def message(text: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("orchestrator", level, "", 0, text, None, None)


def test_a_log_has_a_line_for_each_new_best_and_each_end() -> None:
    log = Log()
    log.train(1, 50.0, 49.0, 72.5)
    log.progress.ended(1, TrialStatus.STOPPED_EARLY, "3rd of 4 at step 3,000")
    log.train(2, 60.0)
    log.progress.ended(2, TrialStatus.FAILED, "RuntimeError: out of memory")
    assert log.lines == [
        "0:00:01  new best 50.0 accuracy: trial 1 at step 1,000; prompt_length 60, prompt_lr 0.3, mlp_lr 1e-4",
        "0:00:03  new best 72.5 accuracy: trial 1 at step 3,000; prompt_length 60, prompt_lr 0.3, mlp_lr 1e-4",
        "0:00:03  trial 1 stopped early at step 3,000, best 72.5 at 3,000 (3rd of 4 at step 3,000); "
        "prompt_length 60, prompt_lr…",
        "0:00:04  trial 2 failed at step 1,000, best 60.0 at 1,000 (RuntimeError: out of memory); "
        "prompt_length 60, prompt_lr 0.…",
    ]


def test_a_log_shows_a_sign_of_life_at_most_every_thirty_seconds() -> None:
    log = Log()
    log.train(1, 50.0)
    said = len(log.lines)
    for _ in range(100):
        log.clock.now += 1.0
        log.progress.tick()
    beats = log.lines[said:]
    assert [line.split("  ")[0] for line in beats] == ["0:00:31", "0:01:01", "0:01:31"]
    assert "1 running, 3 waiting of 4 trials; 1,000 steps" in beats[0]
    assert "best 50.0" in beats[0]


def test_a_busy_log_needs_no_sign_of_life() -> None:
    log = Log()
    for number in range(1, 5):
        log.train(number, 50.0 + number, seconds=29.0)
    assert all("new best" in line for line in log.lines)


def test_a_log_has_no_control_characters_and_no_long_lines() -> None:
    log = Log()
    log.progress.trial_started(1, {"name": "x\x1b[31m\r\n\ty" * 40})
    log.clock.now += 40.0
    log.progress.reported(1, {"step": 1_000, "score": 50.0})
    log.progress.ended(1, TrialStatus.FAILED, "\x1b[1mTraceback\x1b[0m\n  File\x07 [/bold] " + "z" * 300)
    log.progress.show(message("an engine\x00 was lost " * 20))
    log.progress.close()
    text = log.stream.getvalue()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert max(map(len, log.lines)) <= 120
    assert "Traceback   File  [/bold] zzz" in text
    assert len(log.lines) == 4


def test_a_trial_that_diverges_takes_its_best_with_it() -> None:
    log = Log()
    log.train(1, 90.0, math.nan)
    log.train(2, 60.0)
    log.progress.ended(1, TrialStatus.DIVERGED, "the loss is NaN")
    log.clock.now += 60.0
    log.progress.tick()
    assert log.lines[-1].endswith("best 60.0")


def test_scores_of_zero_and_below_are_scores() -> None:
    log = Log()
    log.train(1, -3.0, 0.0)
    assert ["new best -3.0" in log.lines[0], "new best 0.0" in log.lines[1]] == [True, True]


def test_a_trial_that_waits_at_a_rung_is_not_counted_as_running() -> None:
    log = Log()
    for number in (1, 2):
        log.train(number, 50.0)
    log.progress.waits(1)
    log.clock.now += 60.0
    log.progress.tick()
    assert "1 running, 3 waiting of 4 trials" in log.lines[-1]
    log.progress.trial_started(1, CONFIGURATION, 1_000)
    log.clock.now += 60.0
    log.progress.tick()
    assert "2 running, 2 waiting of 4 trials" in log.lines[-1]


def test_the_time_left_knows_how_many_trials_a_rung_lets_go_on() -> None:
    progress = Progress(
        4, 4 * 900, "accuracy", Console(file=io.StringIO()), expected_end=lambda s: 900 if s > 100 else 300
    )
    assert progress.steps_expected() == 4 * 300
    for number in (1, 2, 3, 4):
        progress.trial_started(number, CONFIGURATION)
        progress.reported(number, {"step": 100, "score": 50.0})
    assert progress.steps_expected() == 4 * 200  # all wait for the rung's decision
    progress.reported(1, {"step": 200, "score": 50.0})
    assert progress.steps_expected() == 3 * 200 + 700


def test_the_time_left_follows_from_where_trials_were_stopped() -> None:
    log = Log(trials=4, budget=5_000)
    assert log.progress.seconds_left() is None
    log.train(1, 50.0, seconds=10.0)
    assert log.progress.steps_expected() == 4_000 + 3 * 5_000
    assert log.progress.seconds_left() == pytest.approx(190.0)  # 100 steps a second
    log.progress.ended(1, TrialStatus.STOPPED_EARLY)
    # Three to come: one was stopped at 1,000, and the budget counts once: 3,000 each.
    assert log.progress.steps_expected() == 9_000
    log.train(2, 50.0, 51.0, seconds=10.0)
    # Beyond step 2,000 nothing has ended yet: the second is expected to take its whole budget.
    assert log.progress.steps_expected() == 3_000 + 2 * 3_000
    log.progress.ended(2, TrialStatus.FINISHED)
    for number in (3, 4):
        log.progress.ended(number, TrialStatus.STOPPED_EARLY)
    assert log.progress.steps_expected() == 0


def test_a_resumed_trial_brings_no_speed_that_was_not_trained_here() -> None:
    log = Log(trials=1, budget=10_000)
    log.clock.now += 500.0  # loading the backbone is not training
    log.progress.trial_started(1, CONFIGURATION, step=8_000)
    log.clock.now += 10.0
    log.progress.reported(1, {"step": 9_000, "score": 70.0})
    assert log.progress.steps_per_second() == pytest.approx(100.0)
    assert log.progress.seconds_left() == pytest.approx(10.0)


def test_a_trial_that_goes_back_to_its_checkpoint_and_on_is_counted_once() -> None:
    log = Log(trials=1)
    log.train(1, 50.0, 51.0)
    log.progress.ended(1, TrialStatus.FAILED, "the host was lost")
    log.progress.trial_started(1, CONFIGURATION, step=1_000)
    log.progress.reported(1, {"step": 2_000, "score": 51.0})
    log.progress.ended(1, TrialStatus.FINISHED)
    log.progress.close()
    assert log.lines[-1].endswith("1 finished of 1 trials; 2,000 steps trained")


def test_quiet_says_what_failed_and_nothing_else() -> None:
    log = Log(quiet=True)
    log.train(1, 50.0)
    log.progress.ended(1, TrialStatus.FINISHED)
    log.progress.show(message("an engine started"))
    log.clock.now += 100.0
    log.progress.tick()
    log.progress.ended(2, TrialStatus.FAILED, "RuntimeError: out of memory")
    log.progress.close()
    assert len(log.lines) == 1
    assert "trial 2 failed" in log.lines[0]


def test_a_terminal_has_a_live_status_that_is_gone_at_the_end() -> None:
    log = Log(terminal=True)
    with log.progress as progress:
        log.train(1, 50.0, 72.5)
        progress.ended(1, TrialStatus.STOPPED_EARLY, "3rd of 4")
        log.train(2, 60.0)
        progress._live.refresh()  # type: ignore[union-attr] # what its own thread does twice a second
        live = log.stream.getvalue()
    text = log.stream.getvalue()
    assert "1 running, 1 stopped early, 2 waiting of 4 trials" in live
    assert "best 72.5 accuracy: trial 1 at step 2,000; prompt_length 60" in live
    assert re.search(r"3,000 steps, 1,000 a second, about \d+\.\d s left", live)
    assert "trial 1 stopped early at step 2,000" in live
    assert "new best" not in text  # the status shows it already
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor is given back
    erased = text.rsplit("\x1b[2K", 1)[1]
    assert erased == "0:00:03  1 running, 1 stopped early, 2 waiting of 4 trials; 3,000 steps trained\n"


def test_a_terminal_gets_its_cursor_back_when_the_search_breaks() -> None:
    log = Log(terminal=True)
    with pytest.raises(KeyboardInterrupt), log.progress:
        raise KeyboardInterrupt
    assert "\x1b[?25h" in log.stream.getvalue()


def test_closing_twice_says_it_once() -> None:
    log = Log()
    log.progress.close()
    log.progress.close()
    assert len(log.lines) == 1


def test_what_a_search_is_a_part_of_stands_above_it_and_comes_again_with_each_sign_of_life() -> None:
    stream, clock, searches = io.StringIO(), Clock(), ["search 3 of 12"]
    console = Console(file=stream, width=100, color_system=None)
    progress = Progress(4, 20_000, "accuracy", console, clock=clock, headline=lambda: f"sweep demo: {searches[0]}")
    searches[0] = "search 3 of 12, 1 failed"
    clock.now += 40
    progress.tick()
    progress.close()
    lines = stream.getvalue().splitlines()
    assert [line.split("  ", 1)[1] for line in lines[:2]] == [
        "sweep demo: search 3 of 12",
        "sweep demo: search 3 of 12, 1 failed",
    ]
    assert "4 waiting of 4 trials" in lines[2]


def test_on_a_terminal_the_headline_is_the_first_line_of_the_status() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system=None)
    progress = Progress(4, 20_000, "accuracy", console, clock=Clock(), headline=lambda: "sweep demo: search 3 of 12")
    with console.capture() as shown:
        console.print(progress._render())
    progress.close()
    assert shown.get().splitlines()[0] == "sweep demo: search 3 of 12"
