"""Halving by validation losses: what is compared, how many are left, and what the journal keeps of it."""

from __future__ import annotations

import math

import pytest

from orchestrator.schedulers.asha import Asha, Promotion, expected_end
from orchestrator.schedulers.decision import Decision

NUMBERS = range(1, 13)


def test_ranked_by_losses_the_score_counts_between_equal_ones_alone() -> None:
    scheduler = Asha(NUMBERS, 8_000, 2_000, 3, rank_by="loss")

    def tell(number: int, score: float, loss: float | None) -> str:
        (decision,) = scheduler.report(number, 2_000, score, loss=loss)
        assert Decision.from_dict(decision.as_dict()) == decision
        return f"{decision.action}: {decision.sentence}"

    assert tell(1, 0.0, 0.71) == "continue: at step 2,000: validation loss 0.710 <= cutoff 0.710, rank 1 of 1"
    assert tell(2, 60.0, 0.73) == "stop: at step 2,000: validation loss 0.730 > cutoff 0.710, rank 2 of 2"
    assert tell(3, 5.0, 0.71) == "continue: at step 2,000: validation loss 0.710 <= cutoff 0.710, rank 1 of 3"
    assert tell(4, 1.0, 0.71).startswith("continue")  # one in three of four: the two best, by their scores
    assert tell(5, 90.0, math.nan) == "stop: at step 2,000: validation loss inf > cutoff 0.710, rank 5 of 5"
    assert tell(6, 0.0, None).startswith("continue: at step 2,000: best so far 0.0")  # of an unknown loss: not stopped


def test_behind_the_first_rung_losses_leave_three_at_least() -> None:
    """Six of 24 go on, and three of those, where scores would leave two."""
    scheduler = Promotion(range(1, 25), 400, 40, 4, together=True, rank_by="loss")
    for step, standing in ((40, 24), (160, 6)):
        for number in range(1, standing + 1):
            scheduler.report(number, step, 50.0, loss=number / 100)
    assert set(range(1, 25)) - scheduler.over.keys() == {1, 2, 3}
    assert 24 * expected_end(0, 400, 40, 4, 24, "loss") == pytest.approx(24 * 40 + 6 * 120 + 3 * 240)
    assert 8 * expected_end(0, 240, 60, 4, 8, "loss") == pytest.approx(8 * 60 + 2 * 180)  # no second rung: two
    assert 2 * expected_end(0, 400, 40, 4, 2, "loss") == pytest.approx(2 * 40 + 360)


def test_what_a_decision_by_losses_rests_on_is_what_the_next_is_compared_with() -> None:
    """The journal keeps decisions alone where reports were lost: they are ranked by losses again."""
    first, again = (Promotion(range(1, 4), 8_000, 2_000, 3, rank_by="loss") for _ in range(2))
    for number, loss in ((1, 0.5), (2, 0.7)):
        for decision in first.report(number, 2_000, 50.0 - number, loss=loss):
            again.take(decision)
    kept = {number: rung.standings for number, rung in again.rungs.items()}
    assert kept == {number: rung.standings for number, rung in first.rungs.items()} and kept[2_000]
