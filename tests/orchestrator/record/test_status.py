"""What the status of a trial means for a resumed search and for the choice of its winner."""

from __future__ import annotations

import pytest

from orchestrator.record.status import TrialStatus


@pytest.mark.parametrize(
    ("word", "ended", "over", "settled", "may_win"),
    [
        ("waiting", False, False, False, True),
        ("running", False, False, False, True),
        ("finished", True, True, True, True),
        ("stopped early", True, True, True, True),
        ("diverged", True, True, True, False),
        ("failed", True, True, False, False),
        ("interrupted", True, False, False, True),
    ],
)
def test_what_a_status_means(word: str, ended: bool, over: bool, settled: bool, may_win: bool) -> None:
    status = TrialStatus(word)
    assert (status.has_ended, status.is_over, status.is_settled, status.may_win) == (ended, over, settled, may_win)
    assert status.is_retried is (ended and not settled)
