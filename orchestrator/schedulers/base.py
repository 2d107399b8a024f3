"""Which trials go on, as plain objects: no Ray, no clock, no randomness, nothing that a restart could lose.

A `Policy` is told of reports and ends of trials and answers with `Decision`s. What it knows follows from what it was
told alone, so the same events in the same order give the same decisions, in a search and in a replay of one.
`orchestrator.schedulers.journaled` keeps both on disk.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from orchestrator.record.status import TrialStatus


class Standing(NamedTuple):
    """What trials are compared by at a rung, the greater the better: equal scores are told apart by their losses.

    Attributes:
        score: the trial's best on validation so far, in points.
        gain: minus its lowest validation loss so far, in nats; infinite where no loss is known, so that such a trial
            ties with the best of its score.
    """

    score: float
    gain: float = math.inf

    @property
    def loss(self) -> float | None:
        """The lowest validation loss, None where it is not known."""
        return None if self.gain == math.inf else -self.gain


class Verdict(StrEnum):
    """What becomes of a trial."""

    GO_ON = "go on"
    WAIT = "wait"
    STOP = "stop"
    DIVERGED = "diverged"


@dataclass(frozen=True)
class Decision:
    """One verdict on one trial, and all that it rests on.

    Attributes:
        number: the trial's.
        step: the rung, in updates; for a diverged trial that of its report.
        score: the trial's best validation score up to then, in points; None before the first finite one.
        rank: its place among the ``n`` scores that were compared, from 1; None where it was compared with a median.
        cutoff: the least score that goes on; None where nothing was compared.
        loss: the trial's lowest on validation up to then, in nats; None where not known.
        cutoff_loss: with the score of the cutoff, the highest that goes on; None where not known.
    """

    number: int
    verdict: Verdict
    step: int
    score: float | None = None
    rank: int | None = None
    n: int = 0
    cutoff: float | None = None
    loss: float | None = None
    cutoff_loss: float | None = None

    @property
    def ends(self) -> bool:
        """Whether the trial trains no further."""
        return self.verdict in (Verdict.STOP, Verdict.DIVERGED)

    @property
    def status(self) -> TrialStatus:
        """The status that the trial's record gets: of use where it ends."""
        return TrialStatus.DIVERGED if self.verdict is Verdict.DIVERGED else TrialStatus.STOPPED_EARLY

    @property
    def sentence(self) -> str:
        """Why, in words: ``at step 8,000: best so far 61.2 < cutoff 63.4, rank 9 of 12``."""
        at = f"at step {self.step:,}: "
        if self.verdict is Verdict.DIVERGED:
            last = "it never had a finite one" if self.score is None else f"its best before was {self.score:.1f}"
            return f"{at}its score is not a number; {last}"
        among = (
            f"rank {self.rank} of {self.n}"
            if self.rank is not None
            else f"the median of the mean scores of {self.n} others"
        )
        best = f"{at}best so far {self.score:.1f}"
        if self.verdict is Verdict.WAIT:
            return f"{best} waits, {among if self.n else 'first'} so far"
        if self.cutoff is None:
            return f"{best} goes on, nothing to compare it with yet"
        stopped = self.verdict is Verdict.STOP
        if self.score == self.cutoff and self.loss is not None and self.cutoff_loss is not None:
            loss, cutoff = _apart(self.loss, self.cutoff_loss, (3, 4, 5, 6))
            sign = ">" if stopped else "<="
            return f"{best} = cutoff, validation loss {loss} {sign} {cutoff}, {among}"
        score, least = _apart(self.score or 0.0, self.cutoff, (1, 2, 3))
        return f"{at}best so far {score} {'<' if stopped else '>='} cutoff {least}, {among}"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` is the way back."""
        return {**asdict(self), "verdict": str(self.verdict)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Decision:
        """What `as_dict` gave, also before losses were in it; further keys are passed over."""
        known = {name: plain[name] for name in cls.__dataclass_fields__ if name in plain}
        return cls(**{**known, "verdict": Verdict(plain["verdict"])})


def _apart(one: float, other: float, digits: Iterable[int]) -> tuple[str, str]:
    """Two numbers with so many digits that they do not look equal, or with the fewest where all are too few."""
    pairs = [(f"{one:.{d}f}", f"{other:.{d}f}") for d in digits]
    return next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])


@dataclass
class Rung:
    """A step at which trials are compared.

    Attributes:
        standings: of each trial that came by, by its number, in the order of arrival.
        verdicts: what was decided about them last.
        open: numbers of those that were neither let past nor stopped.
    """

    step: int
    standings: dict[int, Standing] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)

    def enter(self, number: int, standing: Standing) -> None:
        """A trial comes by."""
        self.standings[number] = standing
        self.open.add(number)

    def take(self, number: int, verdict: Verdict) -> None:
        """Something was decided about a trial."""
        self.verdicts[number] = verdict
        if verdict is not Verdict.WAIT:
            self.open.discard(number)

    def forget(self, number: int) -> None:
        """As if the trial had never come by."""
        self.standings.pop(number, None)
        self.verdicts.pop(number, None)
        self.open.discard(number)

    def cutoff(self, keep: int) -> Standing:
        """That of the last of the ``keep`` best; whoever ties with it, in the loss as well, goes on.

        Above all where none is kept, and below all where fewer have come by.
        """
        if keep < 1 or keep > len(self.standings):
            return Standing(math.inf) if keep < 1 else Standing(-math.inf)
        return sorted(self.standings.values(), reverse=True)[keep - 1]

    def rank(self, number: int) -> int:
        """The trial's place from 1; those who tie share the better one."""
        return 1 + sum(other > self.standings[number] for other in self.standings.values())

    def decide(self, number: int, keep: int) -> Decision:
        """Go on if the trial is among the ``keep`` best or ties with the last of them, else stop."""
        standing, cutoff = self.standings[number], self.cutoff(keep)
        verdict = Verdict.GO_ON if standing >= cutoff else Verdict.STOP
        return self.decision(number, verdict, cutoff)

    def decision(self, number: int, verdict: Verdict, cutoff: Standing | None = None) -> Decision:
        """A verdict on a trial that came by, with its place and what it was compared with."""
        own, rank, n = self.standings[number], self.rank(number), len(self.standings)
        least = (None, None) if cutoff is None else (cutoff.score, cutoff.loss)
        return Decision(number, verdict, self.step, own.score, rank, n, least[0], own.loss, least[1])


class Policy(ABC):
    """Early stopping. Trials are known by their numbers, and all numbers of a search are known from the start.

    A score that is not finite ends a trial as diverged under every policy. A trial that went back to a checkpoint
    reports some steps twice: it is judged once a rung, by its first report at or after the rung's step.

    Args:
        numbers: of all trials of the search.
        steps: budget of a trial, in updates.

    Attributes:
        rungs: by their steps.
        over: why trials train no further, by their numbers: their decision, or the status with which they ended.
        best: score of each trial so far. gains: see `Standing.gain`; of trials whose losses are known.
    """

    name: str

    def __init__(self, numbers: Iterable[int], steps: int) -> None:
        self.numbers = frozenset(numbers)
        self.steps = steps
        self.rungs: dict[int, Rung] = {}
        self.over: dict[int, Decision | TrialStatus] = {}
        self.best: dict[int, float] = {}
        self.gains: dict[int, float] = {}
        self._diverging: dict[int, int] = {}
        self._unsettled = False

    @property
    def settings(self) -> dict[str, Any]:
        """What the decisions depend on beside the reports."""
        return {"scheduler": self.name, "steps": self.steps, "numbers": sorted(self.numbers)}

    def report(
        self, number: int, step: int, score: float, best: float | None = None, loss: float | None = None
    ) -> list[Decision]:
        """Take a report in; returns what follows from it, about this trial and others, already taken into account.

        Args:
            step: updates trained.
            score: on validation, in points, greater is better; may be NaN or infinite.
            best: the trial's own best score so far, where it may know of reports that this policy was not told of.
            loss: on validation, in nats; None where not known.
        """
        self.note(number, step, score, best, loss)
        return self.settle()

    def end(self, number: int, status: TrialStatus) -> list[Decision]:
        """A trial ended by itself: finished, failed, ...; others may have waited for it."""
        self.note_end(number, status)
        return self.settle()

    def start(self, number: int, anew: bool = False) -> None:
        """A trial that had ended is trained again: from its last checkpoint, or ``anew`` and judged anew."""
        self.over.pop(number, None)
        if anew:
            self.best.pop(number, None)
            self.gains.pop(number, None)
            for rung in self.rungs.values():
                rung.forget(number)

    def waits(self, number: int) -> bool:
        """Whether the trial must not train until a decision lets it."""
        return number not in self.over and any(
            rung.verdicts.get(number) is Verdict.WAIT for rung in self.rungs.values()
        )

    def promotable(self, candidates: Iterable[int]) -> int | None:
        """The waiting trial among ``candidates`` that a free worker should go on with, if one may go on already."""
        return None

    def promote(self, number: int) -> Decision:
        """Let a trial go on that is `promotable`."""
        raise ValueError(f"trial {number} waits for nothing that a free worker could change")

    def note(self, number: int, step: int, score: float, best: float | None = None, loss: float | None = None) -> None:
        """Take a report in without deciding."""
        if number in self.over:
            return
        if not math.isfinite(score):
            self._diverging[number] = step
            self._unsettled = True
            return
        known = [score, self.best.get(number, -math.inf), -math.inf if best is None else best]
        self.best[number] = max(value for value in known if not math.isnan(value) and value < math.inf)
        if loss is not None:  # one that is not a number is worse than any
            gain = -loss if math.isfinite(loss) else -math.inf
            self.gains[number] = max(gain, self.gains.get(number, -math.inf))
        self._pass(number, step, score)

    def note_end(self, number: int, status: TrialStatus) -> None:
        """Take an end in without deciding."""
        self.over.setdefault(number, status)
        self._unsettled = True

    def take(self, decision: Decision) -> None:
        """Let a decision count, one of this policy's own or one that was written down earlier."""
        number, verdict = decision.number, decision.verdict
        self._diverging.pop(number, None)
        if verdict is not Verdict.DIVERGED:
            rung = self.rungs.setdefault(decision.step, Rung(decision.step))
            if number not in rung.standings and decision.score is not None:
                gain = math.inf if decision.loss is None else -decision.loss
                rung.enter(number, Standing(decision.score, gain))
            rung.take(number, verdict)
        if decision.ends:
            self.over[number] = decision

    def settle(self) -> list[Decision]:
        """Decide all that can be decided now."""
        made: list[Decision] = []
        if not self._unsettled:
            return made
        self._unsettled = False
        for number, step in sorted(self._diverging.items()):
            made.append(Decision(number, Verdict.DIVERGED, step, self.best.get(number)))
            self.take(made[-1])
        for rung in sorted((rung for rung in self.rungs.values() if rung.open), key=lambda rung: rung.step):
            made += self._judge(rung, sorted(number for number in rung.open if number not in self.over))
        return made

    def enter(self, rung: Rung, number: int) -> bool:
        """Note how the trial stands so far at a rung, unless that is noted there; whether it was not."""
        if number in rung.standings:
            return False
        rung.enter(number, self.standing(number))
        self._unsettled = True
        return True

    def standing(self, number: int) -> Standing:
        """How a trial stands so far."""
        return Standing(self.best[number])

    def complete(self, rung: Rung) -> bool:
        """Whether no further trial can reach the rung."""
        return not self.to_come(rung)

    def to_come(self, rung: Rung) -> set[int]:
        """The trials that can still reach the rung."""
        return {number for number in self.numbers if number not in rung.standings and number not in self.over}

    def _taken(self, decisions: Iterable[Decision]) -> Iterator[Decision]:
        for decision in decisions:
            self.take(decision)
            yield decision

    @abstractmethod
    def _pass(self, number: int, step: int, score: float) -> None:
        """Enter a finite report into the rungs that it reaches."""

    @abstractmethod
    def _judge(self, rung: Rung, open_: list[int]) -> Iterable[Decision]:
        """Decide what can be decided at a rung about the trials that are open there, and `take` it."""


class NoStopping(Policy):
    """Every trial trains its whole budget."""

    name = "none"

    def _pass(self, number: int, step: int, score: float) -> None:
        return None

    def _judge(self, rung: Rung, open_: list[int]) -> Iterable[Decision]:
        return ()
