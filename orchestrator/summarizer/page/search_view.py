"""A search as its page shows it: each trial's curve, its place in the ranking and its look in every chart."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeGuard

from orchestrator.record import formats
from orchestrator.record.record import SearchRecord, TrialRecord, is_finite
from orchestrator.record.selection import Choice, choose_winner
from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.asha import rungs

Look = Literal["winner", "near", "finished", "stopped", "broken", "open"]

# Shown in this order in legends, and drawn in the opposite one: the winner on top.
LOOKS: dict[Look, str] = {
    "winner": "winner",
    "near": "not distinguishable",
    "finished": "finished",
    "stopped": "stopped early",
    "broken": "diverged or failed",
    "open": "not ended",
}
_BY_STATUS: dict[TrialStatus, Look] = {
    TrialStatus.FINISHED: "finished",
    TrialStatus.STOPPED_EARLY: "stopped",
    TrialStatus.DIVERGED: "broken",
    TrialStatus.FAILED: "broken",
}


@dataclass(frozen=True)
class TrialView:
    """A trial in the charts.

    Attributes:
        rank: its place, from 1. It is also the trial's key on the page: numbers repeat where a grid has several seeds.
        distinction: whether it won, or cannot be told from the winner.
        curve: (step, validation score in points) by step, finite scores alone; of a step that was reported twice, after
            a crash, the later report.
    """

    trial: TrialRecord
    rank: int
    distinction: Literal["winner", "near"] | None
    curve: tuple[tuple[int, float], ...]
    score: float | None

    @property
    def look(self) -> Look:
        """Its colour in every chart."""
        return self.distinction or self.outcome

    @property
    def outcome(self) -> Look:
        """How it ended, whatever its place."""
        return _BY_STATUS.get(self.trial.status, "open")

    def best_by(self, step: int) -> float | None:
        """The best score reported up to this step, in points; None where the trial made no report at or after it."""
        if self.trial.step < step:
            return None
        return max((score for at, score in self.curve if at <= step), default=None)


@dataclass(frozen=True)
class RungView:
    """What happened to the trials at one rung.

    Attributes:
        scores: the best score so far, in points, of each trial that came by.
        stopped: those among them that went no further.
        cutoff: the lowest score that went on; None where none did.
    """

    step: int
    scores: tuple[tuple[TrialView, float], ...]
    stopped: frozenset[int]
    cutoff: float | None


class SearchView:
    """A search record with everything derived from it that several parts of the page need."""

    def __init__(self, record: SearchRecord, choice: Choice | None = None) -> None:
        self.record = record
        self.choice = choice or choose_winner(record)
        near = {trial.trial_id for trial in self.choice.not_distinguishable}
        self.trials = [
            TrialView(trial, rank, self._place(trial, near), _curve(trial), trial.best_score)
            for rank, trial in enumerate(self.choice.ranking, 1)
        ]

    @property
    def title(self) -> str:
        """Task, method and backbone on one line."""
        record = self.record
        return formats.line(f"{record.task_title}: {record.method} on {record.backbone}")

    @property
    def budget(self) -> int:
        """Updates of a full trial; of the longest one where the record does not say."""
        steps = self.record.settings.get("steps", 0)
        return (
            int(steps)
            if is_number(steps) and steps > 0
            else max((trial.step for trial in self.record.trials), default=0)
        )

    @property
    def grid_steps(self) -> int:
        """Updates of all trials at the full budget, those on further seeds included."""
        return self.budget * len(self.trials)

    @property
    def trained_steps(self) -> int:
        """Updates that were trained."""
        return sum(trial.step for trial in self.record.trials)

    @property
    def stopping_saved(self) -> int:
        """Updates that the trials which were stopped early did not need."""
        stopped = (trial for trial in self.record.trials if trial.status is TrialStatus.STOPPED_EARLY)
        return sum(max(self.budget - trial.step, 0) for trial in stopped)

    @property
    def statuses(self) -> dict[str, int]:
        """How many trials ended how, the most frequent first."""
        return dict(Counter(trial.status for trial in self.record.trials).most_common())

    def having(self, look: Look) -> list[TrialView]:
        """The trials of one look, the best first."""
        return [view for view in self.trials if view.look == look]

    @cached_property
    def scored(self) -> list[TrialView]:
        """The trials with a finite score, the best first."""
        return [view for view in self.trials if view.score is not None]

    @cached_property
    def common_step(self) -> int:
        """The last step at which all trials that did not break have been scored; 0 where there is none.

        Scores at one step can be compared fairly; best scores cannot, since most trials were stopped.
        """
        sound = [view for view in self.trials if view.curve and view.outcome != "broken"]
        shared = set.intersection(*({step for step, _ in view.curve} for view in sound)) if sound else set()
        return max(shared, default=0)

    @cached_property
    def rungs(self) -> list[RungView]:
        """Where trials were compared and stopped: the scheduler's rungs, else the steps at which trials ended early."""
        steps = self._planned_rungs() or sorted({view.trial.step for view in self.trials if view.outcome == "stopped"})
        return [rung for rung in map(self._rung, steps) if rung.scores]

    def _planned_rungs(self) -> list[int]:
        settings = self.record.settings
        grace, eta = settings.get("grace", 0), settings.get("eta", 0)
        if settings.get("scheduler") not in ("asha", "promotion") or not (is_number(grace) and is_number(eta)):
            return []
        return rungs(self.budget, int(grace), int(eta)) if grace >= 1 and eta >= 2 else []

    def _rung(self, step: int) -> RungView:
        judged = (view for view in self.trials if view.trial.seed == self.record.seed)  # on other seeds none is stopped
        came = [(view, score) for view in judged if (score := view.best_by(step)) is not None]
        # A trial is judged at its first report at or after the rung, so it may end a little later than the rung.
        ended = {
            view.rank
            for view, _ in came
            if view.outcome == "stopped" and next((at for at, _ in view.curve if at >= step), 0) == view.trial.step
        }
        cutoff = min((score for view, score in came if view.rank not in ended), default=None)
        return RungView(step, tuple(came), frozenset(ended), cutoff)

    def _place(self, trial: TrialRecord, near: set[str]) -> Literal["winner", "near"] | None:
        if self.choice.winner is not None and trial.trial_id == self.choice.winner.trial_id:
            return "winner"
        return "near" if trial.trial_id in near else None


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value of the settings or of a configuration is a finite number (truth values are none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and is_finite(value)


def _curve(trial: TrialRecord) -> tuple[tuple[int, float], ...]:
    latest = {int(report["step"]): report.get("score") for report in trial.reports}
    return tuple(
        (step, float(score)) for step, score in sorted(latest.items()) if score is not None and is_finite(score)
    )
