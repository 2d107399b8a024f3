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
from orchestrator.summarizer.results.compute import StepCount, count_steps
from orchestrator.summarizer.results.ranked_trials import best_up_to, ranked_trials

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
        distinction: whether it won, or is not distinguishable from the winner.
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


@dataclass(frozen=True)
class RungView:
    """What happened to the trials at one rung.

    Attributes:
        scores: the best score so far, in points, of each trial that reached it.
        stopped: those among them that went no further.
        cutoff: the lowest score that went on; None where none did, or where losses decided.
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
        self.trials = [
            TrialView(
                one.trial,
                one.rank,
                "winner" if one.is_winner else "near" if one.is_near else None,
                _curve(one.trial),
                one.trial.best_score,
            )
            for one in ranked_trials(record, self.choice)
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

    @cached_property
    def steps(self) -> StepCount:
        """Updates of all trials against the full budget, those on further seeds included."""
        return count_steps(self.record.trials, self.budget)

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

    @property
    def ranks_by_loss(self) -> bool:
        """Whether trials were compared by their validation losses."""
        return self.record.settings.get("rank_by") == "loss"

    def _planned_rungs(self) -> list[int]:
        settings = self.record.settings
        first, factor = settings.get("grace_period", 0), settings.get("reduction_factor", 0)
        if settings.get("scheduler") not in ("asha", "promotion") or not (is_number(first) and is_number(factor)):
            return []
        return rungs(self.budget, int(first), int(factor)) if first >= 1 and factor >= 2 else []

    def _rung(self, step: int) -> RungView:
        judged = (view for view in self.trials if view.trial.seed == self.record.seed)  # on other seeds none is stopped
        came = [(view, score) for view in judged if (score := best_up_to(view.trial, step)) is not None]
        # A trial is judged at its first report at or after the rung, so it may end a little later than the rung.
        ended = {
            view.rank
            for view, _ in came
            if view.outcome == "stopped" and next((at for at, _ in view.curve if at >= step), 0) == view.trial.step
        }
        cutoff = min((score for view, score in came if view.rank not in ended), default=None)
        return RungView(step, tuple(came), frozenset(ended), None if self.ranks_by_loss else cutoff)


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value of the settings or of a configuration is a finite number (truth values are none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and is_finite(value)


def _curve(trial: TrialRecord) -> tuple[tuple[int, float], ...]:
    latest = {int(report["step"]): report.get("score") for report in trial.reports}
    return tuple(
        (step, float(score)) for step, score in sorted(latest.items()) if score is not None and is_finite(score)
    )
