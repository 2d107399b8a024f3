"""What a scheduler decides about one trial, and what the decision rests on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from orchestrator.record.status import TrialStatus


class Standing(NamedTuple):
    """What trials are compared by at a rung, the greater the better: one figure, and between equals the other.

    The figures are the trial's best score on validation so far, in points, and its gain, which is minus its lowest
    validation loss so far, in nats; the gain is infinite where no loss is known, so that such a trial ties with the
    best.

    Attributes:
        first, second: the score and the gain, or with ``by_loss`` the gain and the score.
    """

    first: float
    second: float = math.inf
    by_loss: bool = False

    @property
    def score(self) -> float:
        """The best score so far."""
        return self.second if self.by_loss else self.first

    @property
    def loss(self) -> float | None:
        """The lowest validation loss, None where it is not known."""
        gain = self.first if self.by_loss else self.second
        return None if gain == math.inf else -gain


class Action(StrEnum):
    """What becomes of a trial."""

    CONTINUE = "continue"
    PAUSE = "pause"
    STOP = "stop"
    DIVERGED = "diverged"

    @classmethod
    def _missing_(cls, value: object) -> Action | None:
        """The words of journals that were written before these."""
        return {"go on": cls.CONTINUE, "wait": cls.PAUSE}.get(str(value))


class Expectation(NamedTuple):
    """What a model of the learning curves expects of a trial and of the one that it expects to end best.

    Attributes:
        end, best: scores at the end of the budget, in points. end_spread, best_spread: their standard deviations.
        chance: that the trial beats all others by more than one example, from 0 to 1.
    """

    end: float
    end_spread: float
    best: float
    best_spread: float
    chance: float

    def __str__(self) -> str:
        """``expected end 47.0 +- 3.0, best 58.0 +- 2.0, chance to win 0.4 %``."""
        chance = "under 0.1" if self.chance < 0.001 else f"{100 * self.chance:.1f}"
        return (
            f"expected end {self.end:.1f} +- {self.end_spread:.1f}, best {self.best:.1f} +- {self.best_spread:.1f}, "
            f"chance to win {chance} %"
        )


@dataclass(frozen=True)
class Decision:
    """What becomes of one trial, and all that this rests on.

    Attributes:
        number: the trial's.
        step: the rung, in updates; for a diverged trial that of its report.
        score: the trial's best validation score up to then, in points; None before the first finite one.
        rank: its place among the ``n`` scores that were compared, from 1; None where it was compared with a median.
        cutoff: the least score that goes on; None where nothing was compared.
        loss: the trial's lowest on validation up to then, in nats; None where not known.
        cutoff_loss: with the score of the cutoff, the highest that goes on; None where not known.
        by_loss: whether trials were compared by their losses, and by scores between equal ones alone.
        went_on_to: the step that a stopped trial has trained to, where it went on before better ones came by.
        expected: what a model of the curves expects; None where none was asked.
    """

    number: int
    action: Action
    step: int
    score: float | None = None
    rank: int | None = None
    n: int = 0
    cutoff: float | None = None
    loss: float | None = None
    cutoff_loss: float | None = None
    expected: Expectation | None = None
    by_loss: bool = False
    went_on_to: int | None = None

    @property
    def ends(self) -> bool:
        """Whether the trial trains no further."""
        return self.action in (Action.STOP, Action.DIVERGED)

    @property
    def status(self) -> TrialStatus:
        """The status that the trial's record gets: of use where it ends."""
        return TrialStatus.DIVERGED if self.action is Action.DIVERGED else TrialStatus.STOPPED_EARLY

    @property
    def sentence(self) -> str:
        """Why, in words: ``at step 8,000: best so far 61.2 < cutoff 63.4, rank 9 of 12``."""
        at = f"at step {self.step:,}: "
        if self.action is Action.DIVERGED:
            last = "it never had a finite one" if self.score is None else f"its best before was {self.score:.1f}"
            return f"{at}its score is not a number; {last}"
        if self.expected is not None:
            what = {Action.STOP: "stopped", Action.PAUSE: "waits"}.get(self.action, "goes on")
            return f"{at}{self.expected}, {what}"
        among = (
            f"rank {self.rank} of {self.n}"
            if self.rank is not None
            else f"the median of the mean scores of {self.n} others"
        )
        if self.went_on_to is not None:
            among += f", better ones came when it had gone on to step {self.went_on_to:,}"
        best = f"{at}best so far {self.score:.1f}"
        if self.by_loss and self.loss is not None:
            best = f"{at}validation loss {self.loss:.3f}"
        if self.action is Action.PAUSE:
            return f"{best} waits, {among if self.n else 'first'} so far"
        if self.cutoff is None:
            return f"{best} goes on, nothing to compare it with yet"
        stopped = self.action is Action.STOP
        if (self.by_loss or self.score == self.cutoff) and self.loss is not None and self.cutoff_loss is not None:
            loss, cutoff = _apart(self.loss, self.cutoff_loss, (3, 4, 5, 6))
            sign = ">" if stopped else "<="
            if self.by_loss:
                return f"{at}validation loss {loss} {sign} cutoff {cutoff}, {among}"
            return f"{best} = cutoff, validation loss {loss} {sign} {cutoff}, {among}"
        score, least = _apart(self.score or 0.0, self.cutoff, (1, 2, 3))
        return f"{at}best so far {score} {'<' if stopped else '>='} cutoff {least}, {among}"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` is the way back."""
        expected = None if self.expected is None else list(self.expected)
        return {**asdict(self), "action": str(self.action), "expected": expected}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Decision:
        """What `as_dict` gave, also before losses were in it or the action had this name; passes over further keys."""
        known = {name: plain[name] for name in cls.__dataclass_fields__ if name in plain}
        expected = None if known.get("expected") is None else Expectation(*known["expected"])
        return cls(**{**known, "expected": expected, "action": Action(plain.get("action") or plain["verdict"])})


def _apart(one: float, other: float, digits: Iterable[int]) -> tuple[str, str]:
    """Two numbers with so many digits that they do not look equal, or with the fewest where all are too few."""
    pairs = [(f"{one:.{d}f}", f"{other:.{d}f}") for d in digits]
    return next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])
