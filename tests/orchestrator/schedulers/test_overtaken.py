"""A trial that went on early, for want of others, and what becomes of it when better ones come."""

from __future__ import annotations

from pathlib import Path

from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.asha import Promotion
from orchestrator.schedulers.decision import Action, Decision
from tests.orchestrator.schedulers.test_journaled import journaled


def early(steps: int = 900) -> Promotion:
    """Of eight trials, of which two may go on, four have come by, and trial 1, the best of these, has gone on."""
    scheduler = Promotion(range(1, 9), steps, 100, 4)
    for number, score in enumerate((50.0, 40.0, 30.0, 20.0), start=1):
        scheduler.report(number, 100, score)
    scheduler.promote(1)
    return scheduler


def overtaken(steps: int = 900) -> Promotion:
    """Three that came after trial 1 are better."""
    scheduler = early(steps)
    for number in (5, 6, 7):
        assert all(decision.number != 1 for decision in scheduler.report(number, 100, 60.0 + number))
    return scheduler


def test_one_that_went_on_early_and_was_overtaken_ends_at_its_next_report() -> None:
    scheduler = overtaken()
    assert 1 not in scheduler.over  # it trains: its report is waited for
    (decision,) = scheduler.report(1, 200, 99.0)  # what it has learnt since is not what others are compared by
    assert decision.sentence == (
        "at step 100: best so far 50.0 < cutoff 66.0, rank 4 of 7, better ones came when it had gone on to step 200"
    )
    assert Decision.from_dict(decision.as_dict()) == decision
    assert scheduler.over == {1: decision} | {n: scheduler.over[n] for n in (2, 3, 4, 5)}


def test_one_that_went_on_early_stays_while_it_may_be_among_the_best() -> None:
    scheduler = early()
    scheduler.report(5, 100, 65.0)
    assert scheduler.report(1, 200, 51.0) == []  # second of five: one of the two that go on, if no other is better
    for number in (6, 7, 8):
        scheduler.report(number, 100, 10.0)
    assert scheduler.report(1, 300, 51.0) == []


def test_one_that_was_overtaken_and_has_reached_a_later_rung_is_compared_there() -> None:
    scheduler = overtaken()
    (decision,) = scheduler.report(1, 400, 55.0)
    assert (decision.action, decision.step) == (Action.PAUSE, 400)
    assert scheduler.is_paused(1)


def test_one_that_was_overtaken_and_has_trained_its_budget_has_finished() -> None:
    scheduler = overtaken(steps=300)
    assert scheduler.report(1, 300, 55.0) == []
    assert scheduler.end(1, TrialStatus.FINISHED) == []
    assert scheduler.over[1] is TrialStatus.FINISHED


def test_one_that_went_on_early_and_was_overtaken_ends_at_its_next_report_after_a_kill_too(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    first = journaled(path, "promotion")  # of twelve four go on
    for number, score in enumerate((50.0, 40.0, 30.0), start=1):
        first.report(number, {"step": 100, "score": score})
    first.promote(1)
    for number in (4, 5, 6, 7):
        first.report(number, {"step": 100, "score": 60.0 + number})
    first.journal.close()  # type: ignore[union-attr]
    again = journaled(path, "promotion")
    assert again.action(1) is Action.CONTINUE  # as before the kill: a journal without a new report decides nothing
    (decision,) = again.report(1, {"step": 200, "score": 99.0})
    assert (decision.action, decision.rank, decision.n, decision.went_on_to) == (Action.STOP, 5, 7, 200)
    again.start(1, anew=True)
    assert again.action(1) is Action.CONTINUE
    again.journal.close()  # type: ignore[union-attr]
    assert journaled(path, "promotion").action(1) is Action.CONTINUE
