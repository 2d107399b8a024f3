"""A step at which trials are compared."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from orchestrator.schedulers.decision import Action, Decision, Expectation, Standing


@dataclass
class Rung:
    """A step at which trials are compared.

    Attributes:
        standings: of each trial that came by, by its number, in the order of arrival.
        actions: what was decided about them last.
        open: numbers of those that were neither let past nor stopped.
    """

    step: int
    standings: dict[int, Standing] = field(default_factory=dict)
    actions: dict[int, Action] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)

    def enter(self, number: int, standing: Standing) -> None:
        """A trial comes by."""
        self.standings[number] = standing
        self.open.add(number)

    def take(self, number: int, action: Action) -> None:
        """Something was decided about a trial."""
        self.actions[number] = action
        if action is not Action.PAUSE:
            self.open.discard(number)

    def forget(self, number: int) -> None:
        """As if the trial had never come by."""
        self.standings.pop(number, None)
        self.actions.pop(number, None)
        self.open.discard(number)

    def cutoff(self, keep: int) -> Standing:
        """That of the last of the ``keep`` best; a trial that ties with it, in both figures, continues.

        Above all where none is kept, and below all where fewer have come by.
        """
        if keep < 1 or keep > len(self.standings):
            return Standing(math.inf) if keep < 1 else Standing(-math.inf, -math.inf)
        return sorted(self.standings.values(), reverse=True)[keep - 1]

    def rank(self, number: int) -> int:
        """The trial's place from 1; those who tie share the better one."""
        return 1 + sum(other > self.standings[number] for other in self.standings.values())

    def decide(self, number: int, keep: int) -> Decision:
        """Continue if the trial is among the ``keep`` best or ties with the last of them, else stop."""
        standing, cutoff = self.standings[number], self.cutoff(keep)
        action = Action.CONTINUE if standing >= cutoff else Action.STOP
        return self.decision(number, action, cutoff)

    def decision(
        self, number: int, action: Action, cutoff: Standing | None = None, expected: Expectation | None = None
    ) -> Decision:
        """What becomes of a trial that came by, with its place and what it was compared with."""
        own, rank, n = self.standings[number], self.rank(number), len(self.standings)
        least = (None, None) if cutoff is None else (cutoff.score, cutoff.loss)
        losses = own.loss, least[1]
        return Decision(number, action, self.step, own.score, rank, n, least[0], *losses, expected, own.by_loss)
