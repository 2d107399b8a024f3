"""Early stopping without Ray: who goes on, what is said, and that the order does not matter where it must not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.asha import Asha, Promotion, default_grace_period, expected_end, rungs
from orchestrator.schedulers.base import Scheduler
from orchestrator.schedulers.decision import Action, Decision
from orchestrator.schedulers.journaled import JournaledScheduler
from orchestrator.schedulers.median import Median
from tests.orchestrator.curves_of import BUDGET, Workers, curves, losses

NUMBERS = range(1, 13)
SCHEDULERS: dict[str, Callable[[], Scheduler]] = {
    "asha": lambda: Asha(NUMBERS, BUDGET, 100, 3),
    "promotion": lambda: Promotion(NUMBERS, BUDGET, 100, 3),
    "together": lambda: Promotion(NUMBERS, BUDGET, 100, 3, together=True),
    "asha by loss": lambda: Asha(NUMBERS, BUDGET, 100, 3, ties="loss"),
    "promotion by loss": lambda: Promotion(NUMBERS, BUDGET, 100, 3, ties="loss"),
    "together by loss": lambda: Promotion(NUMBERS, BUDGET, 100, 3, together=True, ties="loss"),
    "asha by loss alone": lambda: Asha(NUMBERS, BUDGET, 100, 3, rank_by="loss"),
    "promotion by loss alone": lambda: Promotion(NUMBERS, BUDGET, 100, 3, rank_by="loss"),
    "together by loss alone": lambda: Promotion(NUMBERS, BUDGET, 100, 3, together=True, rank_by="loss"),
    "median": lambda: Median(NUMBERS, BUDGET, 200),
    "median together": lambda: Median(NUMBERS, BUDGET, 200, together=True),
}
SEEDS = range(12)


def searched(scheduler: Scheduler, seed: int, order: int, at_once: int = 3) -> Workers:
    workers = Workers(JournaledScheduler(scheduler), curves(seed), random.Random(order), at_once, losses(seed))
    workers.run()
    return workers


def test_the_default_grace_is_a_quarter_or_by_losses_a_tenth_in_whole_reports() -> None:
    assert default_grace_period(30_000, 1_000, "loss") == 3_000
    assert default_grace_period(240, 60, "loss") == 60
    assert default_grace_period(30_000, 1_000) == 8_000
    assert default_grace_period(400, 50) == 100
    assert default_grace_period(40, 40) == 40
    assert default_grace_period(10, 100) == 10


def test_rungs_grow_by_eta_below_the_budget() -> None:
    assert rungs(30_000, 8_000, 3) == [8_000, 24_000]
    assert rungs(400, 100, 4) == [100]
    assert rungs(40, 40, 3) == []


def test_the_expected_share_is_that_of_exact_halving() -> None:
    # 9 trials to 100, 3 to 300, 1 to 900.
    assert 9 * expected_end(0, 900, 100, 3, trials=9) == pytest.approx(900 + 600 + 600)
    assert expected_end(0, 100, 100, 3, trials=5) == 100
    assert 2 * expected_end(0, 900, 100, 3, trials=2) == pytest.approx(2 * 100 + 200 + 600)  # one goes on


def test_where_a_trial_is_expected_to_end() -> None:
    ends = [expected_end(step, 900, 100, 3) for step in (0, 50, 100, 101, 300, 301, 900)]
    assert ends == pytest.approx([700 / 3, 700 / 3, 700 / 3, 500, 500, 900, 900])


def test_asha_keeps_the_best_third_so_far_and_says_score_cutoff_and_rank() -> None:
    scheduler = Asha(NUMBERS, 8_000, 2_000, 3)

    def tell(number: int, score: float) -> str:
        (decision,) = scheduler.report(number, 2_000, score)
        return f"{decision.action}: {decision.sentence}"

    assert tell(1, 50.0).startswith("continue")  # the first has nobody to lose against
    assert tell(2, 40.0) == "stop: at step 2,000: best so far 40.0 < cutoff 50.0, rank 2 of 2"
    assert tell(3, 60.0) == "continue: at step 2,000: best so far 60.0 >= cutoff 60.0, rank 1 of 3"
    assert tell(4, 55.0) == "continue: at step 2,000: best so far 55.0 >= cutoff 55.0, rank 2 of 4"
    assert tell(5, 54.96) == "stop: at step 2,000: best so far 54.96 < cutoff 55.00, rank 3 of 5"


@pytest.mark.parametrize("name", SCHEDULERS)
def test_ties_go_on(name: str) -> None:
    """CoLA at zero for all: nothing has been learnt about them yet, so nobody may be stopped."""
    alike = dict.fromkeys(NUMBERS, [0.7] * 9)
    for told in (None, alike if "by loss" in name else losses(0)):
        workers = Workers(
            JournaledScheduler(SCHEDULERS[name]()), dict.fromkeys(NUMBERS, [0.0] * 9), random.Random(0), losses=told
        )
        workers.run()
        assert set(workers.at.values()) == {9}


def test_equal_scores_are_told_apart_by_the_lowest_losses_so_far() -> None:
    scheduler = Asha(NUMBERS, 8_000, 2_000, 3, ties="loss")

    def tell(number: int, score: float, loss: float) -> str:
        scheduler.report(number, 1_000, 0.0, loss=loss)
        (decision,) = scheduler.report(number, 2_000, score, loss=loss + 1.0)
        assert Decision.from_dict(decision.as_dict()) == decision
        return f"{decision.action}: {decision.sentence}"

    assert tell(1, 0.0, 0.71).startswith(
        "continue: at step 2,000: best so far 0.0 = cutoff, validation loss 0.710 <= 0.710"
    )
    assert (
        tell(2, 0.0, 0.73)
        == "stop: at step 2,000: best so far 0.0 = cutoff, validation loss 0.730 > 0.710, rank 2 of 2"
    )
    assert tell(3, 0.0, 0.71).endswith("0.710 <= 0.710, rank 1 of 3")  # a tie in both
    assert tell(4, 0.0, 0.71001).endswith("0.71001 > 0.71000, rank 3 of 4")
    assert (
        tell(5, 0.1, 9.0) == "continue: at step 2,000: best so far 0.1 >= cutoff 0.0, rank 1 of 5"
    )  # the score counts first
    assert (
        tell(6, 0.0, math.nan)
        == "stop: at step 2,000: best so far 0.0 = cutoff, validation loss inf > 0.710, rank 6 of 6"
    )


@pytest.mark.parametrize("name", ["asha by loss", "promotion by loss", "together by loss"])
def test_where_all_score_alike_halving_keeps_those_of_the_lowest_losses(name: str) -> None:
    told = losses(3)
    workers = Workers(
        JournaledScheduler(SCHEDULERS[name]()), dict.fromkeys(NUMBERS, [0.0] * 9), random.Random(0), 3, told
    )
    workers.run()
    best = min(NUMBERS, key=lambda number: told[number][0])
    assert workers.at[best] == 9
    if name != "asha by loss":  # 12 to 100, 4 to 300, 2 to 900
        assert sorted(workers.at.values()) == [1] * 8 + [3] * 2 + [9] * 2


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_ends_a_trial_at_once_and_its_last_score_is_kept(name: str, bad: float) -> None:
    scheduler = SCHEDULERS[name]()
    scheduler.report(1, 50, 61.2)
    decisions = scheduler.report(1, 60, bad, best=61.2)
    assert decisions == [Decision(1, Action.DIVERGED, 60, 61.2)]
    assert decisions[0].sentence == "at step 60: its score is not a number; its best before was 61.2"
    assert decisions[0].status == "diverged"
    assert scheduler.over[1] == decisions[0]


def test_a_trial_is_judged_once_a_rung_by_its_best_score_and_late_reports_count() -> None:
    scheduler = Asha(NUMBERS, 400, 100, 3)
    assert scheduler.report(1, 50, 10.0) == []
    assert [d.step for d in scheduler.report(1, 150, 50.0)] == [100]
    assert scheduler.report(1, 200, 1.0) == []
    (decision,) = scheduler.report(2, 120, 20.0, best=55.0)
    assert (decision.score, decision.action) == (55.0, Action.CONTINUE)
    assert scheduler.report(2, 100, 1.0) == []  # went back to a checkpoint


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_search_ends_and_someone_reaches_the_budget(name: str, seed: int) -> None:
    for order in range(4):
        workers = searched(SCHEDULERS[name](), seed, order, at_once=1 + 3 * order)
        over = workers.journaled.scheduler.over
        assert set(over) == set(NUMBERS)
        assert {n for n, at in workers.at.items() if at == 9} == {n for n, why in over.items() if why == "finished"}
        assert "finished" in over.values()


@pytest.mark.parametrize("name", ["together", "together by loss", "together by loss alone", "median together"])
@pytest.mark.parametrize("seed", SEEDS)
def test_decided_together_the_order_of_arrival_changes_nothing(name: str, seed: int) -> None:
    ends = []
    for order in range(8):
        workers = searched(SCHEDULERS[name](), seed, order, at_once=1 + order % 5)
        ends.append((workers.at, dict(workers.journaled.stops)))
    assert all(end == ends[0] for end in ends)


def test_the_order_of_arrival_does_change_what_asha_decides() -> None:
    """Or the test above would show nothing."""
    ends = [searched(SCHEDULERS["asha"](), 3, order).at for order in range(8)]
    assert any(end != ends[0] for end in ends)


@pytest.mark.parametrize("seed", SEEDS)
def test_together_each_rung_keeps_the_best_third_and_ties(seed: int) -> None:
    scores = curves(seed)
    at = searched(SCHEDULERS["together"](), seed, 0).at
    alive = set(NUMBERS)
    for reports in (1, 3):  # rungs at 100 and 300
        best = {n: max(scores[n][:reports]) for n in alive}
        cutoff = sorted(best.values(), reverse=True)[math.ceil(len(best) / 3) - 1]
        for number in [n for n in alive if best[n] < cutoff]:
            assert at[number] == reports
            alive.remove(number)
    assert alive == {n for n in NUMBERS if at[n] == 9}


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_is_promoted_who_was_not_among_the_best_third_then(seed: int) -> None:
    scheduler = Promotion(NUMBERS, BUDGET, 100, 3)
    workers = Workers(JournaledScheduler(scheduler), curves(seed), random.Random(seed), 4)
    for decision in workers.run():
        if decision.action is Action.CONTINUE:
            assert decision.rank is not None
            assert decision.rank <= math.ceil(decision.n / 3)
            assert decision.score is not None and decision.cutoff is not None
            assert decision.score >= decision.cutoff


def test_promotion_decides_as_soon_as_what_comes_cannot_change_it() -> None:
    scheduler = Promotion(range(1, 9), 300, 100, 4)  # two of eight go on
    decided: dict[int, Action] = {}
    for number, score in enumerate((50.0, 40.0, 30.0, 60.0, 20.0, 45.0, 10.0), start=1):
        decided |= {d.number: d.action for d in scheduler.report(number, 100, score)}
    assert decided == {1: Action.PAUSE, 4: Action.CONTINUE} | dict.fromkeys((2, 3, 5, 6, 7), Action.STOP)
    assert scheduler.over[3].sentence == "at step 100: best so far 30.0 < cutoff 40.0, rank 3 of 3"  # type: ignore[union-attr]
    (decision,) = scheduler.end(8, TrialStatus.FAILED)  # two of seven
    assert (decision.number, decision.action, decision.rank) == (1, Action.CONTINUE, 2)


def test_a_worker_with_nothing_else_to_do_goes_on_with_the_best_so_far() -> None:
    scheduler = Promotion(range(1, 9), 300, 100, 4)
    for number, score in enumerate((50.0, 40.0, 30.0), start=1):
        scheduler.report(number, 100, score)
    assert scheduler.promotable([1, 2, 3]) is None  # not among the best floor(3 / 4)
    scheduler.report(4, 100, 20.0)
    assert scheduler.promotable([1, 2]) == 1
    assert scheduler.promote(1).sentence == "at step 100: best so far 50.0 >= cutoff 50.0, rank 1 of 4"


@pytest.mark.parametrize("seed", SEEDS)
def test_promotion_on_one_worker_trains_what_deciding_together_does(seed: int) -> None:
    assert searched(SCHEDULERS["promotion"](), seed, 1, at_once=1).at == searched(SCHEDULERS["together"](), seed, 1).at


def test_promotion_trains_no_more_than_asha_on_average() -> None:
    spent = {name: sum(searched(SCHEDULERS[name](), s, s).trained for s in SEEDS) for name in ("asha", "promotion")}
    assert spent["promotion"] < 0.9 * spent["asha"]


def test_a_failed_trial_does_not_keep_the_others_waiting() -> None:
    scheduler = Promotion(range(1, 5), 300, 100, 3, together=True)
    for number in (1, 2, 3):
        scheduler.report(number, 100, 10.0 * number)
    assert [scheduler.is_paused(number) for number in (1, 2, 3)] == [True] * 3
    decisions = scheduler.end(4, TrialStatus.FAILED)
    assert {d.number: d.action for d in decisions} == {1: Action.STOP, 2: Action.STOP, 3: Action.CONTINUE}
    scheduler.start(4)  # tried again after all: it must beat what the rung has kept
    (decision,) = scheduler.report(4, 100, 25.0)
    assert (decision.action, decision.rank, decision.n) == (Action.CONTINUE, 2, 4)


def test_the_median_rule_compares_the_best_score_with_the_others_averages() -> None:
    scheduler = Median(NUMBERS, 900, 200)
    for number, level in ((1, 40.0), (2, 50.0), (3, 60.0)):
        assert (
            scheduler.report(number, 100, 99.0 - level, best=0.0) == []
        )  # before the grace period: neither judged nor averaged
        scheduler.report(number, 200, level)
        scheduler.report(number, 300, level + 10.0)
    (decision,) = scheduler.report(4, 300, 54.0)
    assert decision.sentence == "at step 300: best so far 54.0 < cutoff 55.0, the median of the mean scores of 3 others"
    assert decision.action is Action.STOP
    (decision,) = scheduler.report(5, 300, 60.0)
    assert decision.action is Action.CONTINUE
    assert scheduler.report(6, 900, 1.0) == []  # the budget is no place to stop


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_decision_comes_back_from_its_plain_form(name: str) -> None:
    for decision in Workers(JournaledScheduler(SCHEDULERS[name]()), curves(1), random.Random(1)).run():
        assert Decision.from_dict({**decision.as_dict(), "sentence": decision.sentence}) == decision


def test_a_median_does_not_wait_for_a_trial_that_has_gone_past_a_step_without_a_report() -> None:
    """Its report of step 20 is lost with a checkpoint: at step 30 it would wait for those that wait for it at 20."""
    scheduler = Median((1, 2, 3, 4), 40, 10, together=True)
    for step in (10, 20, 30):
        for number in scheduler.numbers:
            if (number, step) != (1, 20):
                scheduler.report(number, step, 50.0)
    assert not [number for number in scheduler.numbers if scheduler.is_paused(number)]
