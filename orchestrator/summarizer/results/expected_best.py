"""The expected best validation score of a search against the number of its trials."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.record.record import SearchRecord
from orchestrator.record.status import TrialStatus
from orchestrator.summarizer.results.seed_statistics import expected_best


@dataclass(frozen=True)
class ExpectedBest:
    """The expected best validation score of k trials out of a search's.

    Attributes:
        values: in points, for k from 1.
        note: what the estimate does not know; empty where all trials trained the full budget.
    """

    values: list[float]
    note: str


def expected_best_of(record: SearchRecord) -> ExpectedBest:
    """The expected best validation score against the number of trials on the search's own seed.

    A trial that diverged or failed counts as the lowest score of the others: drawing it gains no more than
    that. One that was stopped early counts with the best score up to its stop.
    """
    own = record.own_trials
    done = [trial for trial in own if trial.status.is_over]
    usable = {t.trial_id: t.best_score for t in done if t.status.may_win}
    scores = [score for score in usable.values() if score is not None]
    if not scores:
        return ExpectedBest([], "no trial has a score")
    broken = len(done) - len(scores)
    early = sum(trial.status is TrialStatus.STOPPED_EARLY for trial in done)
    notes = []
    if early:
        notes.append(
            f"{early} of {len(done)} trials were stopped early and count with the score up to their stop, so "
            "the values are at most what full trainings would give"
        )
    if broken:
        notes.append(f"{broken} broken trials count as the lowest score of the others")
    if len(done) < len(own):
        notes.append(f"{len(own) - len(done)} trials are not done")
    return ExpectedBest(expected_best(scores + [min(scores)] * broken), "; ".join(notes))
