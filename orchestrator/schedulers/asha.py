"""Successive halving without Ray: where the rungs stand, who goes on, and what it saves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

from orchestrator.schedulers.base import Decision, Policy, Rung, Standing, Verdict

Ties = Literal["keep", "loss"]
"""What becomes of equal scores at a rung: all go on, or those of the lower validation loss."""

ETA = 4
"""One in so many trials goes on at each rung, where nothing else is asked for."""


def default_grace(steps: int, eval_every: int) -> int:
    """A quarter of the budget, in whole reports, and at least one report.

    Prompt methods bloom late: on CoLA the published winner scores 0.0 up to step 6,000 of 40,000, and nine of ten
    recorded curves are past half their gain at a quarter of the budget. A shorter grace decides by coin toss.
    """
    return min(steps, max(eval_every, math.ceil(steps / 4 / eval_every) * eval_every))


def rungs(steps: int, grace: int, eta: int) -> list[int]:
    """The steps at which trials are compared: grace, grace x eta, ... below the budget."""
    found = []
    while grace < steps:
        found.append(grace)
        grace *= eta
    return found


def expected_share(trials: int, steps: int, grace: int, eta: int) -> float:
    """Share of the full grid's steps that halving trains if each rung keeps exactly its best ``1 / eta``."""
    spent, kept, before = 0.0, float(trials), 0
    for rung in rungs(steps, grace, eta):
        spent += kept * (rung - before)
        kept, before = max(1.0, kept / eta), rung
    return (spent + kept * (steps - before)) / (trials * steps)


def expected_end(step: int, steps: int, grace: int, eta: int) -> float:
    """The step at which a trial ends on average that stands at one, at a rung before its decision."""
    end, going, before = float(step), 1.0, step
    for rung in rungs(steps, grace, eta):
        if rung >= step:
            end += going * (rung - before)
            going, before = going / eta, rung
    return end + going * (steps - before)


class _Halving(Policy):
    """What both kinds of halving share: rungs at fixed steps, entered with the best score so far.

    Args:
        grace: first rung, in updates. eta: one in ``eta`` goes on.
        ties: ``keep``: trials of equal scores go on together; ``loss``: their validation losses tell them apart.
    """

    def __init__(self, numbers: Iterable[int], steps: int, grace: int, eta: int, ties: Ties = "keep") -> None:
        super().__init__(numbers, steps)
        self.grace = grace
        self.eta = eta
        self.ties = ties
        self.rungs = {step: Rung(step) for step in rungs(steps, grace, eta)}

    @property
    def settings(self) -> dict[str, Any]:
        """What the decisions depend on beside the reports."""
        return {**super().settings, "grace": self.grace, "eta": self.eta, "ties": self.ties}

    def standing(self, number: int) -> Standing:
        """By its score and, if that is how ties are broken, by its loss."""
        gain = self.gains.get(number, math.inf) if self.ties == "loss" else math.inf
        return Standing(self.best[number], gain)

    def _pass(self, number: int, step: int, score: float) -> None:
        for rung in self.rungs.values():
            if step >= rung.step:
                self.enter(rung, number)


class Asha(_Halving):
    """Asynchronous successive halving that stops (Li et al. 2020, as in Ray Tune): a trial is judged as it comes by.

    The best ceil(n / eta) of the n scores that have come by go on, and whoever ties with the last of them. Nobody
    waits; what comes by early has little to lose against.
    """

    name = "asha"

    def _judge(self, rung: Rung, open_: list[int]) -> Iterable[Decision]:
        keep = math.ceil(len(rung.standings) / self.eta)
        return [*self._taken(rung.decide(number, keep) for number in open_)]


class Promotion(_Halving):
    """Successive halving that pauses and promotes (after Li et al. 2020, algorithm 2): a trial waits at its rung.

    The best ceil(n / eta) of the n that reach a rung go on, and whoever ties with the last of them; the others are
    stopped. A trial is let past, or stopped, as soon as that is certain whatever the scores of those still to come. A
    worker that would have nothing to do goes on before that with the best that waits, if it is among the best
    floor(n / eta) of the n that are there: others may still overtake it. So trials that have not begun go first, where
    Li et al. promote first: in a search of a known size that saves the budgets of those whom later ones push out.

    Args:
        together: decide a rung only when nobody can reach it any more. Then the decisions, and the ranks in them, are
            the same in whatever order the trials arrive; workers may have to wait for the slowest.
    """

    name = "promotion"

    def __init__(
        self, numbers: Iterable[int], steps: int, grace: int, eta: int, together: bool = False, ties: Ties = "keep"
    ) -> None:
        super().__init__(numbers, steps, grace, eta, ties)
        self.together = together

    @property
    def settings(self) -> dict[str, Any]:
        """What the decisions depend on beside the reports."""
        return {**super().settings, "together": self.together}

    def promotable(self, candidates: Iterable[int]) -> int | None:
        """The best waiting trial of the highest rung at which one is among the best floor(n / eta) already."""
        if self.together:
            return None
        waiting = set(candidates)
        for rung in sorted(self.rungs.values(), key=lambda rung: -rung.step):
            least = rung.cutoff(len(rung.standings) // self.eta)
            found = [n for n in rung.open if n in waiting and n not in self.over and rung.standings[n] >= least]
            if found:
                return max(found, key=lambda n: (rung.standings[n], -n))
        return None

    def promote(self, number: int) -> Decision:
        """Let a trial go on that is `promotable`."""
        rung = next(rung for rung in self.rungs.values() if rung.verdicts.get(number) is Verdict.WAIT)
        decision = rung.decide(number, len(rung.standings) // self.eta)
        self.take(decision)
        return decision

    def _judge(self, rung: Rung, open_: list[int]) -> Iterable[Decision]:
        to_come = len(self.to_come(rung))
        if to_come and self.together:
            certain, possible = 0, len(self.numbers)
        else:  # so many of the best go on if all that come are better, and if none is
            possible = math.ceil((len(rung.standings) + to_come) / self.eta)
            certain = possible - to_come
        passes, stays = rung.cutoff(certain), rung.cutoff(possible)
        made = []
        for number in open_:
            standing = rung.standings[number]
            if standing >= passes:
                made.append(rung.decide(number, certain))
            elif standing < stays:
                made.append(rung.decide(number, possible))
            elif number not in rung.verdicts:
                made.append(rung.decision(number, Verdict.WAIT))
        return [*self._taken(made)]
