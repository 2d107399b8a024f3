"""Where a trial stands, and what follows from that."""

from __future__ import annotations

from enum import StrEnum


class TrialStatus(StrEnum):
    """Where a trial stands, in the words that records, journals and MLflow's tags have for it.

    Attributes:
        WAITING: it has not begun, or is paused at a rung.
        RUNNING: it trains, or did when the record was written.
        FINISHED: the full budget was trained.
        STOPPED_EARLY: a scheduler ended it.
        DIVERGED: its loss or its score was not a number.
        FAILED: it raised, and its retries are used up.
        INTERRUPTED: its search ended before it did.
    """

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED_EARLY = "stopped early"
    DIVERGED = "diverged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def has_ended(self) -> bool:
        """Whether it neither trains nor is about to."""
        return self not in (TrialStatus.WAITING, TrialStatus.RUNNING)

    @property
    def is_over(self) -> bool:
        """Whether its outcome is known, be it a failure."""
        return self.has_ended and self is not TrialStatus.INTERRUPTED

    @property
    def is_retried(self) -> bool:
        """Whether a resumed search trains it again, from its last checkpoint."""
        return self in (TrialStatus.FAILED, TrialStatus.INTERRUPTED)

    @property
    def is_settled(self) -> bool:
        """Whether a resumed search has nothing left to do for it."""
        return self.has_ended and not self.is_retried

    @property
    def may_win(self) -> bool:
        """Whether its scores count: a broken run may have scored well once, and nobody could repeat it."""
        return self not in (TrialStatus.DIVERGED, TrialStatus.FAILED)
