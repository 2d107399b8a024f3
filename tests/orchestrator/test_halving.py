"""Rungs: who goes on, what is said, what a restart remembers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from orchestrator.halving import Rung, default_grace, expected_share, rungs
from orchestrator.schedulers import Asha


def test_the_default_grace_is_a_quarter_in_whole_reports() -> None:
    assert default_grace(30_000, 1_000) == 8_000
    assert default_grace(400, 50) == 100
    assert default_grace(40, 40) == 40
    assert default_grace(10, 100) == 10


def test_rungs_grow_by_eta_below_the_budget() -> None:
    assert rungs(30_000, 8_000, 3) == [8_000, 24_000]
    assert rungs(400, 100, 4) == [100]
    assert rungs(40, 40, 3) == []


def test_the_expected_share_is_that_of_exact_halving() -> None:
    # 9 trials to 100, 3 to 300, 1 to 900.
    assert expected_share(9, 900, 100, 3) == pytest.approx((900 + 600 + 600) / 8100)
    assert expected_share(5, 100, 100, 3) == 1.0


def test_the_best_third_goes_on_and_the_reason_names_score_cutoff_and_rank() -> None:
    rung = Rung(100)
    assert rung.verdict(1, 50.0, 3) is None  # the first has nobody to lose against
    assert rung.verdict(2, 40.0, 3) == "at step 100: 40.0 < cutoff 50.0, rank 2 of 2"
    assert rung.verdict(3, 60.0, 3) is None
    assert rung.verdict(4, 55.0, 3) is None  # two of four
    assert "rank 3 of 5" in str(rung.verdict(5, 52.0, 3))


def test_ties_go_on_and_what_is_not_a_number_never_does() -> None:
    """CoLA at zero for all: nothing has been learnt about them yet, so nobody may be stopped."""
    rung = Rung(100)
    assert [rung.verdict(i, 0.0, 3) for i in range(9)] == [None] * 9
    assert "not a number" in str(rung.verdict(9, math.nan, 3))
    assert 9 not in rung.scores


class FakeTrial:
    def __init__(self, number: int) -> None:
        self.config = {"number": number}


def report(step: int, best: float, status: str = "running") -> dict[str, Any]:
    return {"step": step, "best_score": best, "status": status}


def asha(earlier: list[Any], said: dict[int, str]) -> Asha:
    return Asha(400, 100, 3, earlier, said.__setitem__)


def test_a_resumed_search_remembers_the_rungs() -> None:
    said: dict[int, str] = {}
    scheduler = asha(
        [(1, [report(50, 45.0), report(100, 50.0)]), (2, [report(100, 20.0)]), (3, [report(50, 10.0)])], said
    )
    assert scheduler.on_trial_result(None, FakeTrial(3), report(100, 30.0)) == "STOP"  # type: ignore[arg-type]
    assert said == {3: "at step 100: 30.0 < cutoff 50.0, rank 2 of 3"}
    # Trial 1 was let past its rung before the restart, and is not asked again.
    assert scheduler.on_trial_result(None, FakeTrial(1), report(100, 0.0)) == "CONTINUE"  # type: ignore[arg-type]


def test_a_trial_is_judged_once_a_rung_and_late_reports_count() -> None:
    said: dict[int, str] = {}
    scheduler = asha([], said)

    def tell(number: int, step: int, best: float, status: str = "running") -> str:
        return scheduler.on_trial_result(None, FakeTrial(number), report(step, best, status))  # type: ignore[arg-type]

    assert tell(1, 50, 10.0) == "CONTINUE"
    assert tell(1, 150, 50.0) == "CONTINUE"
    assert tell(2, 120, 30.0) == "STOP"
    assert tell(1, 200, 1.0) == "CONTINUE"  # between rungs nothing is decided
    assert tell(3, 400, 1.0, "finished") == "CONTINUE"
