"""Which trial wins, and how sure that is. Only validation scores are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass

from orchestrator.records import SearchRecord, TrialRecord
from orchestrator.summarizer import formats
from orchestrator.summarizer.statistics import one_example, standard_error

NEVER = ("diverged", "failed")  # a broken run may have scored well once; nobody could repeat it

_TOLERANCE = 1e-6  # points; far below one example of any task, far above the rounding of a mean


@dataclass(frozen=True)
class Choice:
    """The winner of a search and its place among the others.

    Attributes:
        winner: None where no trial has a score that may win.
        ranking: all trials, the best first.
        not_distinguishable: the other trials whose best validation score is within one example, or within one standard
            error, of the winner's. Calling the winner better than these would be calling noise a win.
        one_example: points that one validation example is worth; None where their number is not known.
        standard_error: of the winner's validation score, in points; None for metrics that are no proportion.
        note: what a reader must know before using the winner; empty where all is as it should be.
    """

    winner: TrialRecord | None
    ranking: tuple[TrialRecord, ...]
    not_distinguishable: tuple[TrialRecord, ...]
    one_example: float | None
    standard_error: float | None
    note: str

    def rank(self, trial: TrialRecord) -> int:
        """The trial's place, from 1."""
        return next(place for place, other in enumerate(self.ranking, 1) if other.trial_id == trial.trial_id)


def choose_winner(record: SearchRecord) -> Choice:
    """Rank the trials by their best validation score and name the winner.

    Trials that trained the full budget come first: a score after fewer steps answers another question. Where there is
    none, the best of the others is named and the note says so. Trials that diverged or failed come last and never win,
    whatever they scored before.

    Equal scores are common (validation splits of 28 to 500 examples) and are decided by, in this order: the earlier
    best step, because it needs less training; fewer parameters, because the simpler model is to be preferred; the
    lower number, because the answer must not depend on which trial happened to run first.
    """
    ranking = tuple(sorted(record.trials, key=lambda trial: _place(trial, record.parameters)))
    winner = next((trial for trial in ranking if _may_win(trial)), None)
    n = record.sizes.get("validation")
    example = one_example(n)
    if winner is None:
        return Choice(None, ranking, (), example, None, _nobody(record.trials))
    best = _score(winner)
    error = standard_error(best, n, record.metric)
    reach = max(example or 0.0, error or 0.0) + _TOLERANCE
    near = tuple(t for t in ranking if t is not winner and _may_win(t) and abs(_score(t) - best) <= reach)
    return Choice(winner, ranking, near, example, error, _caveats(record, winner, ranking))


def _may_win(trial: TrialRecord) -> bool:
    return trial.status not in NEVER and trial.best_score is not None


def _score(trial: TrialRecord) -> float:
    return -math.inf if trial.best_score is None else trial.best_score


def _place(trial: TrialRecord, parameters: dict[int, int]) -> tuple[float, ...]:
    score, step = _score(trial), trial.best_step
    tier = 3 if trial.status in NEVER else 2 if step is None else 0 if trial.status == "finished" else 1
    return (
        tier,
        -score if math.isinf(score) else -round(score / _TOLERANCE),
        math.inf if step is None else step,
        parameters.get(trial.number, math.inf),
        trial.number,
        trial.seed,
    )


def _nobody(trials: list[TrialRecord]) -> str:
    if not trials:
        return "There is no winner: the search has no trial."
    statuses = [trial.status for trial in trials]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    return f"There is no winner: no trial has a validation score that may win ({counts})."


def _caveats(record: SearchRecord, winner: TrialRecord, ranking: tuple[TrialRecord, ...]) -> str:
    notes = []
    if winner.status != "finished":
        budget = record.settings.get("steps")
        full = f"the full budget of {formats.whole(budget)} steps" if budget else "the full budget"
        notes.append(
            f"No trial reached {full}: trial {winner.number} is the best of the others "
            f"({winner.status} at step {formats.whole(winner.step)})."
        )
    beaten = _score(winner) + _TOLERANCE
    higher = [trial for trial in ranking if _score(trial) > beaten]
    if higher:
        listed = "; ".join(
            f"trial {t.number}: {formats.score(t.best_score)} at step {formats.whole(t.best_step)}, {t.status}"
            for t in higher[:3]
        )
        more = f"; and {len(higher) - 3} more" if len(higher) > 3 else ""
        notes.append(f"Scored higher, but cannot win: {listed}{more}.")
    return " ".join(notes)
