"""Successive halving without Ray: where the rungs stand, who goes on, and what it saves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal

from orchestrator.schedulers.base import Scheduler
from orchestrator.schedulers.decision import Action, Decision, Standing
from orchestrator.schedulers.rung import Rung

Ties = Literal["keep", "loss"]
"""What becomes of equal scores at a rung: all go on, or those of the lower validation loss."""

RankBy = Literal["score", "loss"]
"""What trials are compared by at a rung: the best score so far, or the lowest validation loss so far."""

REDUCTION_FACTOR = 4
"""One in so many trials goes on at each rung, where nothing else is asked for."""

FINALISTS: dict[RankBy, int] = {"score": 1, "loss": 3}
"""So many trials at least go on at rungs behind the first: what is left there is too close to tell apart by losses."""

GRACE_SHARES: dict[RankBy, int] = {"score": 4, "loss": 10}
"""One in so many updates of the budget is the grace period, where nothing else is asked for."""


def default_grace_period(steps: int, eval_every: int, rank_by: RankBy = "score") -> int:
    """A quarter of the budget, and by losses a tenth, in whole reports, and at least one report.

    Prompt methods bloom late: on CoLA the published winner scores 0.0 up to step 6,000 of 40,000, and nine of ten
    recorded curves are past half their gain at a quarter of the budget. With a shorter grace period scores decide by
    coin toss; losses do not wait for answers to change.
    """
    return min(steps, max(eval_every, math.ceil(steps / GRACE_SHARES[rank_by] / eval_every) * eval_every))


def rungs(steps: int, grace_period: int, reduction_factor: int) -> list[int]:
    """The steps at which trials are compared: grace period times powers of the reduction factor, below the budget."""
    found = []
    while grace_period < steps:
        found.append(grace_period)
        grace_period *= reduction_factor
    return found


def expected_end(
    step: int,
    steps: int,
    grace_period: int,
    reduction_factor: int,
    trials: float = math.inf,
    rank_by: RankBy = "score",
) -> float:
    """The step at which a trial ends on average that stands at one, at a rung before its decision.

    Args:
        trials: how many there are: at least one of them is trained whole, and by losses `FINALISTS` behind the first
            rung.
    """
    end, going, before = float(step), 1.0, step
    for rung in rungs(steps, grace_period, reduction_factor):
        if rung >= step:
            end += going * (rung - before)
            least = 1 if rung == grace_period else FINALISTS[rank_by]
            going, before = max(min(going, least / trials), going / reduction_factor), rung
    return end + going * (steps - before)


class _Halving(Scheduler):
    """What both kinds of halving share: rungs at fixed steps, entered with the best score or lowest loss so far.

    Args:
        grace_period: first rung, in updates. reduction_factor: one in ``reduction_factor`` goes on.
        ties: ``keep``: trials of equal scores go on together; ``loss``: their validation losses tell them apart.
        rank_by: by ``loss`` equal losses are told apart by the score, whatever becomes of ties.
    """

    def __init__(
        self,
        numbers: Iterable[int],
        steps: int,
        grace_period: int,
        reduction_factor: int,
        ties: Ties = "keep",
        rank_by: RankBy = "score",
    ) -> None:
        super().__init__(numbers, steps)
        self.grace_period = grace_period
        self.reduction_factor = reduction_factor
        self.ties = ties
        self.rank_by = rank_by
        self.rungs = {step: Rung(step) for step in rungs(steps, grace_period, reduction_factor)}

    @property
    def settings(self) -> dict[str, Any]:
        """What the decisions depend on beside the reports."""
        return {
            **super().settings,
            "grace_period": self.grace_period,
            "reduction_factor": self.reduction_factor,
            "ties": self.ties,
            "rank_by": self.rank_by,
        }

    def places(self, rung: Rung, trials: int) -> int:
        """How many of so many trials go on at a rung: a share, and by losses `FINALISTS` at least behind the first."""
        share = math.ceil(trials / self.reduction_factor)
        return share if rung.step <= self.grace_period else max(share, min(trials, FINALISTS[self.rank_by]))

    def compared(self, score: float, gain: float) -> Standing:
        """By the loss, or by the score and, if that is how ties are broken, the loss."""
        if self.rank_by == "loss":
            return Standing(gain, score, by_loss=True)
        return Standing(score, gain if self.ties == "loss" else math.inf)

    def _pass(self, number: int, step: int, score: float) -> None:
        for rung in self.rungs.values():
            if step >= rung.step:
                self.enter(rung, number)


class Asha(_Halving):
    """Asynchronous successive halving that stops (Li et al. 2020, as in Ray Tune): a trial is judged as it comes by.

    The best ceil(n / r) of the n that have come by go on (`_Halving.places`), and those that tie with the last of them.
    Nobody waits; what comes by early has little to lose against.
    """

    name = "asha"

    def _decide(self, rung: Rung, open_: list[int]) -> Iterable[Decision]:
        keep = self.places(rung, len(rung.standings))
        return [*self._taken(rung.decide(number, keep) for number in open_)]


class Promotion(_Halving):
    """Successive halving that pauses and promotes (after Li et al. 2020, algorithm 2): a trial waits at its rung.

    The best ceil(n / r) of the n that reach a rung go on (`_Halving.places`), and those that tie with the last of them;
    the others are stopped. A trial is let past, or stopped, as soon as that is certain whatever the scores of those
    still to come. A worker that would have nothing to do goes on before that with the best that waits, if it is among
    the best floor(n / r) of the n that are there. Others may still overtake it: then it is stopped at its next report.
    So trials that have not begun go first, where Li et al. promote first: in a search of a known size that saves what
    those train that later ones push out.

    Args:
        together: decide a rung only when nobody can reach it any more. Then the decisions, and the ranks in them, are
            the same in whatever order the trials arrive; workers may have to wait for the slowest.
    """

    name = "promotion"

    def __init__(
        self,
        numbers: Iterable[int],
        steps: int,
        grace_period: int,
        reduction_factor: int,
        together: bool = False,
        ties: Ties = "keep",
        rank_by: RankBy = "score",
    ) -> None:
        super().__init__(numbers, steps, grace_period, reduction_factor, ties, rank_by)
        self.together = together

    @property
    def settings(self) -> dict[str, Any]:
        """What the decisions depend on beside the reports."""
        return {**super().settings, "together": self.together}

    def promotable(self, candidates: Iterable[int]) -> int | None:
        """The best waiting trial of the highest rung at which one is among the best floor(n / r) already."""
        if self.together:
            return None
        waiting = set(candidates)
        for rung in sorted(self.rungs.values(), key=lambda rung: -rung.step):
            least = rung.cutoff(len(rung.standings) // self.reduction_factor)
            found = [n for n in rung.open if n in waiting and n not in self.over and rung.standings[n] >= least]
            if found:
                return max(found, key=lambda n: (rung.standings[n], -n))
        return None

    def promote(self, number: int) -> Decision:
        """Let a trial go on that is `promotable`."""
        rung = next(rung for rung in self.rungs.values() if rung.actions.get(number) is Action.PAUSE)
        decision = rung.decide(number, len(rung.standings) // self.reduction_factor)
        self.take(decision)
        return decision

    def _pass(self, number: int, step: int, score: float) -> None:
        super()._pass(number, step, score)
        self._unsettled = True

    def _decide_all(self) -> list[Decision]:
        return [*self._taken(self._overtaken()), *super()._decide_all()]

    def _overtaken(self) -> Iterator[Decision]:
        """The trial that has just reported, if it went on and by now is not among the best that may.

        Others train on to their own next report: a step of training is not broken off. A trial that has reached a later
        rung meanwhile is compared there, and one that has trained its budget has finished.
        """
        if self.latest is None:
            return
        number, step = self.latest
        stands = [rung for _, rung in sorted(self.rungs.items()) if number in rung.standings]
        if number in self.over or step >= self.steps or not stands:
            return
        _, possible = self._bounds(rung := stands[-1])
        if rung.actions.get(number) is Action.CONTINUE and rung.standings[number] < rung.cutoff(possible):
            yield replace(rung.decide(number, possible), went_on_to=step)

    def _bounds(self, rung: Rung) -> tuple[int, int]:
        """How many of the best at a rung go on if all that are still to come are better, and if none is."""
        to_come = len(self.to_come(rung))
        if to_come and self.together:
            return 0, len(self.numbers)
        possible = self.places(rung, len(rung.standings) + to_come)
        return possible - to_come, possible

    def _decide(self, rung: Rung, open_: list[int]) -> Iterable[Decision]:
        certain, possible = self._bounds(rung)
        passes, stays = rung.cutoff(certain), rung.cutoff(possible)
        made = []
        for number in open_:
            standing = rung.standings[number]
            if standing >= passes:
                made.append(rung.decide(number, certain))
            elif standing < stays:
                made.append(rung.decide(number, possible))
            elif number not in rung.actions:
                made.append(rung.decision(number, Action.PAUSE))
        return [*self._taken(made)]
