"""Which trial wins, and how sure that is. Only validation scores are looked at."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass, replace

from orchestrator.record import formats
from orchestrator.record.binomial import one_example, standard_error
from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus

TOLERANCE = 1e-6  # points; far below one example of any task, far above the rounding of a mean


@dataclass(frozen=True)
class Candidate:
    """A configuration that was trained whole on several seeds.

    Attributes:
        trials: its finished trainings, that on the search's own seed first.
    """

    trials: tuple[TrialRecord, ...]

    @property
    def scores(self) -> list[float]:
        """The best validation score of each."""
        return [_score(trial) for trial in self.trials]

    @property
    def mean(self) -> float:
        """The mean of the best validation scores, in points: what candidates are compared by."""
        return statistics.fmean(self.scores)

    @property
    def standard_error(self) -> float:
        """Of that mean over seeds, in points."""
        return statistics.stdev(self.scores) / math.sqrt(len(self.scores))


@dataclass(frozen=True)
class Choice:
    """The winner of a search and its place among the others.

    Attributes:
        winner: None where no trial has a score that may win.
        ranking: all trials, the best first.
        not_distinguishable: the other trials whose best validation score is within one example, or within one standard
            error, of the winner's. Calling the winner better than these would be calling noise a win.
        one_example: points that one validation example is worth; None where their number is not known.
        standard_error: of the winner's validation score, in points; None for metrics that are no proportion. Over
            several seeds that of the mean, if it is greater.
        note: what a reader must know before using the winner; empty where all is as it should be.
        candidates: configurations that were compared over several seeds, the best first; none in most searches.
    """

    winner: TrialRecord | None
    ranking: tuple[TrialRecord, ...]
    not_distinguishable: tuple[TrialRecord, ...]
    one_example: float | None
    standard_error: float | None
    note: str
    candidates: tuple[Candidate, ...] = ()

    @property
    def seeds(self) -> tuple[TrialRecord, ...]:
        """The trainings of the winning configuration that count: of one seed, or of several."""
        if self.candidates:
            return self.candidates[0].trials
        return () if self.winner is None else (self.winner,)

    def wins(self, trial: TrialRecord) -> bool:
        """Whether it is the winner, or the winner's configuration on another seed."""
        return any(trial is one for one in self.seeds)

    def mean(self, trial: TrialRecord) -> float | None:
        """The mean over seeds that the trial counts in; None for one that was trained on a single seed."""
        return next((c.mean for c in self.candidates if any(trial is one for one in c.trials)), None)

    def rank(self, trial: TrialRecord) -> int:
        """The trial's place, from 1."""
        return next(place for place, other in enumerate(self.ranking, 1) if other.trial_id == trial.trial_id)


def choose_winner(record: SearchRecord) -> Choice:
    """Rank the trials by their best validation score and name the winner.

    Trials that trained the full budget come first: a score after fewer steps answers another question. Where there is
    none, the best of the others is named and the note says so. Trials that diverged or failed come last and never win,
    whatever they scored before.

    Configurations that were trained whole on several seeds come before all others and are compared by the mean of their
    best scores: those on the most seeds first. The winner is then the trial of the best of them on the search's own
    seed.

    Equal scores are common (validation splits of 28 to 500 examples) and are decided by, in this order: the earlier
    best step, because it needs less training; fewer parameters, because the simpler model is to be preferred; the
    lower number, because the answer must not depend on which trial happened to run first.
    """
    candidates = _candidates(record)
    places = {trial.trial_id: _place(trial, record.parameters) for trial in record.trials}
    for index, candidate in enumerate(candidates):
        places |= {t.trial_id: (-1, index, place) for place, t in enumerate(candidate.trials)}
    ranking = tuple(sorted(record.trials, key=lambda trial: places[trial.trial_id]))
    winner = next((trial for trial in ranking if trial.may_win), None)
    n = record.sizes.get("validation")
    example = one_example(n)
    if winner is None:
        return Choice(None, ranking, (), example, None, _nobody(record.trials))
    best = candidates[0].mean if candidates else _score(winner)
    error = standard_error(best, n, record.metric)
    if candidates:  # seeds may differ by more than examples do
        error = max(error or 0.0, candidates[0].standard_error)
    choice = Choice(winner, ranking, (), example, error, _caveats(record, winner, ranking, candidates), candidates)
    reach = max(example or 0.0, error or 0.0) + TOLERANCE
    near = tuple(t for t in ranking if t.may_win and not choice.wins(t) and _behind(choice, winner, t) <= reach)
    return replace(choice, not_distinguishable=near)


def _behind(choice: Choice, winner: TrialRecord, trial: TrialRecord) -> float:
    """How far a trial is from the winner, in points: over the same seeds where it has them, else on its own seed."""
    mean = choice.mean(trial)
    return abs(_score(trial) - _score(winner)) if mean is None else abs(mean - choice.candidates[0].mean)


def _candidates(record: SearchRecord) -> tuple[Candidate, ...]:
    """Configurations trained whole on more seeds than one, the best first."""
    own, found = record.seed, dict[str, list[TrialRecord]]()
    for trial in sorted(record.trials, key=lambda trial: (trial.seed != own, trial.seed)):
        if trial.status is TrialStatus.FINISHED and trial.best_score is not None:
            found.setdefault(json.dumps(trial.configuration, sort_keys=True, default=str), []).append(trial)
    several = [Candidate(tuple(trials)) for trials in found.values() if len({t.seed for t in trials}) > 1]
    return tuple(sorted(several, key=lambda candidate: _place_of(candidate, record.parameters)))


def _place_of(candidate: Candidate, parameters: dict[int, int]) -> tuple[float, ...]:
    steps = statistics.fmean(trial.best_step or 0 for trial in candidate.trials)
    number = candidate.trials[0].number
    mean = -round(candidate.mean / TOLERANCE)
    return -len(candidate.trials), mean, steps, parameters.get(number, math.inf), number


def _score(trial: TrialRecord) -> float:
    return -math.inf if trial.best_score is None else trial.best_score


def _place(trial: TrialRecord, parameters: dict[int, int]) -> tuple[float, ...]:
    score, step = _score(trial), trial.best_step
    whole = trial.status is TrialStatus.FINISHED
    tier = 3 if not trial.status.may_win else 2 if step is None else 0 if whole else 1
    return (
        tier,
        -score if math.isinf(score) else -round(score / TOLERANCE),
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


def _caveats(
    record: SearchRecord, winner: TrialRecord, ranking: tuple[TrialRecord, ...], candidates: tuple[Candidate, ...]
) -> str:
    notes = []
    seeds, trained = record.settings.get("seeds") or 1, len(candidates[0].trials) if candidates else 1
    if seeds > trained:
        notes.append(f"The winner was trained whole on {trained} of {seeds} seeds.")
    if winner.status is not TrialStatus.FINISHED:
        budget = record.settings.get("steps")
        full = f"the full budget of {formats.whole(budget)} steps" if budget else "the full budget"
        notes.append(
            f"No trial reached {full}: trial {winner.number} is the best of the others "
            f"({winner.status} at step {formats.whole(winner.step)})."
        )
    beaten = _score(winner) + TOLERANCE
    compared = {trial.trial_id for candidate in candidates for trial in candidate.trials}
    higher = [trial for trial in ranking if _score(trial) > beaten and trial.trial_id not in compared]
    if higher:
        listed = "; ".join(
            f"trial {t.number}: {formats.score(t.best_score)} at step {formats.whole(t.best_step)}, {t.status}"
            for t in higher[:3]
        )
        more = f"; and {len(higher) - 3} more" if len(higher) > 3 else ""
        notes.append(f"Scored higher, but cannot win: {listed}{more}.")
    return " ".join(notes)
