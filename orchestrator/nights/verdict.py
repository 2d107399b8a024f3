"""What the gate says of a night: a finding for each thing compared, and an exit code that a scheduler can use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.nights.night import CellKey


class Quantity(StrEnum):
    """What is compared from night to night."""

    SCORE = "score"
    SPEED = "speed"
    MEMORY = "memory"
    EFFICIENCY = "search efficiency"


class Outcome(StrEnum):
    """What a comparison found, the gravest first."""

    WORSE = "worse"
    """Found in this night."""
    FAILED = "failed"
    """The cell was started and has no score: nothing is known of it, so the night cannot be fine."""
    UNSURE = "may be worse"
    """A loss that the test rows confirm, where nobody knows yet how much one training differs from another."""
    STANDING = "still worse"
    """Found in an earlier night, and still so: mentioned, but no alarm again."""
    BETTER = "better"
    FINE = "fine"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One quantity of one cell, compared with what was there before.

    Attributes:
        before, now: in points (score), updates a second relative to the calibration kernel (speed), bytes (memory),
            share of the grid's steps (efficiency); None where there is no such value.
        n: examples or nights that the test counted.
        test: its name, with its p-value or statistic.
        since: first night that the change is seen in. commits: range of commits that lie between.
        sentence: all of it for people: task, method, from what to what, n, the test, the commits; the reason, where
            nothing was compared.
    """

    key: CellKey
    quantity: Quantity
    outcome: Outcome
    before: float | None = None
    now: float | None = None
    n: int = 0
    test: str = ""
    since: str = ""
    commits: str = ""
    sentence: str = ""


@dataclass(frozen=True)
class Verdict:
    """All findings of one night."""

    findings: Sequence[Finding]

    @property
    def worse(self) -> list[Finding]:
        """What got worse."""
        return [one for one in self.findings if one.outcome is Outcome.WORSE]

    @property
    def exit_code(self) -> int:
        """0: nothing has become worse; 1: something has; 3: that is not known: nothing could be compared, a cell
        failed, or a loss may be one."""
        if self.worse:
            return 1
        outcomes = {one.outcome for one in self.findings}
        if outcomes & {Outcome.FAILED, Outcome.UNSURE}:
            return 3
        return 0 if outcomes - {Outcome.NOT_COMPARED} else 3
