"""What a person sees while a search runs: a live status on a terminal, plain lines in a log file.

Fed by plain method calls from one thread, so that it knows nothing of Ray.
"""

from __future__ import annotations

import logging
import math
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from orchestrator.console import messages_shown
from orchestrator.record import formats
from orchestrator.record.record import is_finite
from orchestrator.record.status import TrialStatus

HEARTBEAT_SECONDS = 30.0
COLUMNS = 120


@dataclass
class _Trial:
    """What the display remembers of a trial."""

    configuration: Mapping[str, Any] = field(default_factory=dict)
    status: TrialStatus = TrialStatus.RUNNING
    step: int = 0
    best_score: float = -math.inf
    best_step: int = 0


@dataclass(frozen=True)
class _Status:
    """What the live display shows between two calls: steps done and expected in all, lines of text, the headline."""

    done: int
    total: float
    lines: tuple[str, ...]
    headline: str


class Progress:
    """The display of one search; within it as a context, of what this program logs as well.

    Args:
        total_trials: trials of the search, those that have not started included.
        total_steps: steps of the whole search if no trial were stopped: trials times the budget of one.
        metric: name of the selection metric, for people.
        console: where to write. A terminal gets a live status and one line for each trial that ends; anything else one
            plain line when a trial ends or a new best appears, and a sign of life at most every 30 s.
        quiet: print failed trials and nothing else.
        clock: seconds, only differences count; tests give their own.
        expected_end: where a trial that stands at a step ends on average, as far as is known beforehand; else at its
            budget.
        headline: what the search is a part of, on one line, as it is at the moment: it stands above the live status,
            and in a log at the beginning and with each sign of life.
    """

    def __init__(
        self,
        total_trials: int,
        total_steps: int,
        metric: str,
        console: Console,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
        expected_end: Callable[[int], float] | None = None,
        headline: Callable[[], str] | None = None,
    ) -> None:
        self.total_trials = total_trials
        self.budget = total_steps / total_trials if total_trials else 0.0
        self.metric = metric
        self.console = console
        self.quiet = quiet
        self._expected_end = expected_end or (lambda step: self.budget)
        self._headline = headline
        self._clock = clock
        self._begun = clock()
        self._last_line = self._begun
        self._first_trial: float | None = None  # the rate counts from here: loading a backbone trains no step
        self._fresh = 0  # steps trained by this process: a resumed search has older ones
        self._best: int | None = None
        self._best_score = -math.inf
        self._trials: dict[int, _Trial] = {}
        self._closed = False
        self._messages = ExitStack()
        self._shown = self._status()
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal and not quiet:
            self._live = Live(get_renderable=self._render, console=console, refresh_per_second=2, transient=True)
            self._live.start()
        else:
            self._say_headline()

    def trial_started(self, number: int, configuration: Mapping[str, Any], step: int = 0) -> None:
        """A trial trains from ``step`` on: 0, or its checkpoint's step where it goes on."""
        if self._first_trial is None:
            self._first_trial = self._clock()
        trial = self._trials.setdefault(number, _Trial())
        trial.configuration, trial.status, trial.step = configuration, TrialStatus.RUNNING, step
        self.tick()

    def reported(self, number: int, report: Mapping[str, Any]) -> None:
        """A trial reported: ``step`` and, where it is a finite number, ``score``."""
        trial = self._trials.setdefault(number, _Trial())
        step, score = int(report["step"]), report.get("score")
        trial.status = TrialStatus.RUNNING
        self._fresh += max(step - trial.step, 0)
        trial.step = step
        if is_finite(score) and float(report["score"]) > trial.best_score:
            trial.best_score, trial.best_step = float(report["score"]), step
        if self._find_best() and self._live is None:
            self._say(f"new best {self._best_text()}")
        self.tick()

    def waits(self, number: int) -> None:
        """A trial has stopped at a rung, until it is decided on."""
        self._trials[number].status = TrialStatus.WAITING
        self.tick()

    def ended(self, number: int, status: TrialStatus, reason: str = "") -> None:
        """A trial ended, for good or until it is started again."""
        trial = self._trials.setdefault(number, _Trial())
        trial.status = status
        self._find_best()  # one that diverged or failed is no longer a candidate
        scored = trial.best_score > -math.inf
        best = f", best {formats.score(trial.best_score)} at {trial.best_step:,}" if scored else ""
        why = f" ({reason})" if reason else ""
        values = formats.pairs(dict(trial.configuration))
        text = f"trial {number} {status} at step {trial.step:,}{best}{why}{'; ' if values else ''}{values}"
        self._say(text, always=status is TrialStatus.FAILED, style="" if status.may_win else "red")
        self.tick()

    def show(self, message: logging.LogRecord) -> None:
        """Show what some module has logged: an engine that was lost, a search that is resumed.

        Warnings are shown also where the display is quiet, and ``extra={"whole": True}`` keeps a message from being
        shortened: somebody has to do something about it.
        """
        urgent = message.levelno >= logging.WARNING
        self._say(message.getMessage(), always=urgent, whole=urgent or getattr(message, "whole", False))

    def tick(self) -> None:
        """Bring the live status up to date, or give the log its sign of life if one is due.

        The other methods call it; worth a call from any loop that waits.
        """
        if self._live is not None:
            self._shown = self._status()
        elif self._clock() - self._last_line >= HEARTBEAT_SECONDS:
            self._say_headline()
            best = "" if self._best is None else f"best {formats.score(self._best_score)}"
            self._say("; ".join(part for part in (self._counts(), self._speed(), best) if part))

    def close(self) -> None:
        """End the live status and say how it ended; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._live is not None:
            self._live.stop()
        self._say(f"{self._counts()}; {self._done():,} steps trained")

    def __enter__(self) -> Progress:
        self._messages.enter_context(messages_shown(self.show))
        return self

    def __exit__(self, *raised: object) -> None:
        self._messages.close()
        self.close()

    def steps_per_second(self) -> float | None:
        """Steps of all trials together since the first one started here; None before the first report."""
        passed = 0.0 if self._first_trial is None else self._clock() - self._first_trial
        return self._fresh / passed if passed > 0 and self._fresh else None

    def steps_expected(self) -> float:
        """Steps still to be trained, given where the trials so far have ended.

        A trial that stands at step s is expected to end at the mean of what was expected beforehand and of the ends,
        beyond s, of the trials that ended: with many stopped early the rest will be too, and the expectation, counted
        once, keeps the first few stopped trials from promising too much.
        """
        ends = sorted(trial.step for trial in self._trials.values() if trial.status.has_ended)
        beyond = list(accumulate(reversed(ends), initial=0))  # sums of the last 0, 1, 2, ... ends

        def expected(step: int) -> float:
            later = len(ends) - bisect_right(ends, step)
            return (beyond[later] + max(self._expected_end(step), step)) / (later + 1) - step

        standing = Counter(trial.step for trial in self._trials.values() if not trial.status.has_ended)
        standing[0] += max(self.total_trials - len(self._trials), 0)
        return sum(count * expected(step) for step, count in standing.items())

    def seconds_left(self) -> float | None:
        """The estimated time to the end of the search; None before there is a rate."""
        rate = self.steps_per_second()
        return self.steps_expected() / rate if rate else None

    def _find_best(self) -> bool:
        """Name the best trial anew, by the rule that will choose the winner; True where a higher score appeared."""
        before = self._best_score
        places = {
            (trial.best_score, -trial.best_step, -number): number
            for number, trial in self._trials.items()
            if trial.status.may_win and trial.best_score > -math.inf
        }
        self._best = places[max(places)] if places else None
        self._best_score = -math.inf if self._best is None else self._trials[self._best].best_score
        return self._best_score > before

    def _done(self) -> int:
        return sum(trial.step for trial in self._trials.values())

    def _counts(self) -> str:
        counts = Counter(trial.status for trial in self._trials.values())
        waiting = max(self.total_trials - len(self._trials), 0) + counts[TrialStatus.WAITING]
        shown = [
            f"{counts[status]} {status}"
            for status in TrialStatus
            if status is not TrialStatus.WAITING and counts[status]
        ]
        return ", ".join(shown + ([f"{waiting} waiting"] if waiting else [])) + f" of {self.total_trials} trials"

    def _speed(self) -> str:
        rate, left = self.steps_per_second(), self.seconds_left()
        text = f"{self._done():,} steps"
        if rate is not None:
            text += f", {rate:,.0f} a second" if rate >= 10 else f", {rate:.2g} a second"
        return text + (f", about {formats.duration(left)} left" if left else "")

    def _best_text(self, before: str = "") -> str:
        if self._best is None:
            return ""
        best = self._trials[self._best]
        text = f"{before}{formats.score(best.best_score)} {self.metric}: trial {self._best} at step {best.best_step:,}"
        return f"{text}; {formats.pairs(dict(best.configuration))}" if best.configuration else text

    def _say_headline(self) -> None:
        if self._headline is not None:
            self._say(self._headline())

    def _say(self, text: str, always: bool = False, style: str = "", whole: bool = False) -> None:
        if self.quiet and not always:
            return
        self._last_line = self._clock()
        line = f"{formats.clock(self._last_line - self._begun)}  {text}"
        line = line if whole else formats.shortened(line, COLUMNS)
        self.console.print(Text(line, style=style), soft_wrap=True)

    def _status(self) -> _Status:
        done = self._done()
        lines = [self._counts(), self._speed(), self._best_text("best ")]
        headline = "" if self._headline is None else self._headline()
        return _Status(done, max(done + self.steps_expected(), 1.0), tuple(line for line in lines if line), headline)

    def _render(self) -> Group:
        """The live status; called by the thread that refreshes, which therefore reads the snapshot alone.

        A lock in its place could meet the display's own, taken in the other order by a line that is being printed.
        """
        shown = self._shown
        bar = ProgressBar(total=shown.total, completed=shown.done, width=min(60, self.console.width))
        first, *others = shown.lines
        lines = [f"{formats.clock(self._clock() - self._begun)}  {first}", *others]
        above, *below = [Text(line, no_wrap=True, overflow="ellipsis") for line in (shown.headline, *lines)]
        return Group(*([above] if shown.headline else []), bar, Text(), *below)  # the bar does not end its line
