"""Where equal scores made a search longer: more trials went on at a rung than early stopping keeps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.schedulers.asha import REDUCTION_FACTOR, rungs
from orchestrator.summarizer.results.ranked_trials import best_up_to


@dataclass(frozen=True)
class RungTie:
    """One rung at which the last score to go on was that of more trials than there were places.

    Attributes:
        step: the rung's.
        score: the best so far that they shared, in points.
        tied: trials of that score that went on. above: those of a better one.
        there: trials that reached the rung. places: how many of them would go on if no scores were equal.
    """

    step: int
    score: float
    tied: int
    above: int
    there: int
    places: int


def rung_ties(record: SearchRecord) -> list[RungTie]:
    """The rungs at which ties let more trials go on, from what the trials have reported.

    None where losses decide, nothing is stopped early, or the record has no settings of it.
    """
    return [tie for step, share in _rungs(record) if (tie := _at(record.own_trials, step, share)) is not None]


def _rungs(record: SearchRecord) -> Iterator[tuple[int, int]]:
    """Steps at which trials are compared, and of how many one goes on there."""
    settings = record.settings
    steps, first, scheduler = settings.get("steps"), settings.get("grace_period"), settings.get("scheduler")
    if not steps or not first or "loss" in (settings.get("ties"), settings.get("rank_by")):
        return
    if scheduler in ("asha", "promotion"):
        factor = int(settings.get("reduction_factor", REDUCTION_FACTOR))
        yield from ((step, factor) for step in rungs(int(steps), int(first), factor))
    elif scheduler == "median" and first < steps:
        yield int(first), 2  # later ones compare averages, which hardly ever tie


def _at(trials: list[TrialRecord], step: int, share: int) -> RungTie | None:
    scores = {trial.number: best_up_to(trial, step) for trial in trials}
    known = {number: score for number, score in scores.items() if score is not None}
    if not known:
        return None
    places = math.ceil(len(known) / share)
    cutoff = sorted(known.values(), reverse=True)[places - 1]
    further = [known[trial.number] for trial in trials if trial.step > step and trial.number in known]
    tied, above = further.count(cutoff), sum(score > cutoff for score in further)
    return RungTie(step, cutoff, tied, above, len(known), places) if tied > 1 and tied + above > places else None
