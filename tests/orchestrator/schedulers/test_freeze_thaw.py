"""Early stopping by a model of the curves: its decisions explain themselves, and no order of arrival changes them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from orchestrator.record.errors import JournalError
from orchestrator.record.journal import Journal
from orchestrator.record.status import TrialStatus
from orchestrator.schedulers.decision import Action, Decision, Expectation
from orchestrator.schedulers.forecast import PRIORS
from orchestrator.schedulers.freeze_thaw import FreezeThaw
from orchestrator.schedulers.journaled import JournaledScheduler
from orchestrator.schedulers.make import make_scheduler
from tests.orchestrator.curves_of import BUDGET, Workers, curves, losses
from tests.orchestrator.made_records import make_trial

TRIALS = 6
NUMBERS = range(1, TRIALS + 1)
CONFIGURATIONS = {number: {"prompt_lr": 0.1**number, "init": "text"} for number in NUMBERS}


def freeze_thaw(chance: float = 0.02) -> FreezeThaw:
    """With a single prior: the tests are of the decisions."""
    return FreezeThaw(NUMBERS, BUDGET, chance, CONFIGURATIONS, examples=200, priors=PRIORS[:1])


def searched(seed: int, order: int = 0, at_once: int = 3, path: Path | None = None) -> Workers:
    journaled = JournaledScheduler(freeze_thaw(), Journal(path) if path else None)
    return Workers(journaled, curves(seed, TRIALS), random.Random(order), at_once, losses(seed, TRIALS))


def test_a_trial_that_can_hardly_win_is_stopped_and_the_sentence_says_why() -> None:
    expected = Expectation(47.0, 3.0, 58.0, 2.0, 0.004)
    stopped = Decision(3, Action.STOP, 40, 44.0, 5, 12, expected=expected)
    assert stopped.sentence == "at step 40: expected end 47.0 +- 3.0, best 58.0 +- 2.0, chance to win 0.4 %, stopped"
    assert Decision.from_dict({**stopped.as_dict(), "sentence": stopped.sentence}) == stopped
    sure = Decision(3, Action.STOP, 40, 44.0, expected=expected._replace(chance=0.0))
    assert sure.sentence.endswith("chance to win under 0.1 %, stopped")


def test_nothing_is_decided_before_all_have_reported_then_the_poor_stop_and_the_good_go_on() -> None:
    scheduler = freeze_thaw()
    scores = {1: 80.0, 2: 78.0, 3: 30.0, 4: 31.0, 5: 29.0, 6: 30.0}
    for step in (100, 200, 300):
        for number in sorted(scores.keys() - scheduler.over.keys()):
            if step > 100 and scheduler.is_paused(number):
                continue
            made = scheduler.report(number, step, scores[number] + step / 100, loss=2.0 - scores[number] / 100)
            if step == 100 and number < TRIALS:
                assert [(d.number, d.action) for d in made] == [(number, Action.PAUSE)]
    stopped = {n for n, over in scheduler.over.items() if isinstance(over, Decision) and over.action is Action.STOP}
    assert stopped and stopped <= {3, 4, 5, 6}
    assert all(scheduler.is_paused(number) for number in {3, 4, 5, 6} - stopped)
    assert not scheduler.is_paused(1)


def test_the_search_ends_when_one_has_finished_and_none_may_beat_it() -> None:
    scores = {number: [50.0 + (number == 2) * report * 5 for report in range(1, 10)] for number in NUMBERS}
    workers = Workers(JournaledScheduler(freeze_thaw()), scores, random.Random(0))
    workers.run()
    over = workers.journaled.scheduler.over
    assert over.keys() == set(NUMBERS)
    assert [n for n, why in over.items() if why is TrialStatus.FINISHED] == [2]
    assert all(at < 9 for number, at in workers.at.items() if number != 2)
    sentences = [decision.sentence for decision in workers.journaled.stops.values()]
    assert all("expected end" in sentence and sentence.endswith("%, stopped") for sentence in sentences)


@pytest.mark.parametrize("seed", range(3))
def test_every_search_ends_with_one_that_finished_and_the_order_of_arrival_changes_nothing(seed: int) -> None:
    ends = []
    for order in range(3):
        workers = searched(seed, order, at_once=1 + 2 * order)
        made = workers.run()
        over = workers.journaled.scheduler.over
        assert set(over) == set(NUMBERS)
        assert TrialStatus.FINISHED in over.values()
        assert all(Decision.from_dict(decision.as_dict()) == decision for decision in made)
        ends.append((workers.at, workers.journaled.stops))
    assert ends[1:] == ends[:-1]


def test_killed_at_any_event_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    undisturbed = searched(4)
    undisturbed.run()
    for kill in range(0, undisturbed.trained, 3):
        path = tmp_path / f"{kill}.jsonl"
        first = searched(4, kill, path=path)
        first.run(events=kill)
        first.journaled.journal.close()  # type: ignore[union-attr]
        again = JournaledScheduler(freeze_thaw(), Journal(path))
        assert again.scheduler.over == first.journaled.scheduler.over
        assert again.scheduler.rungs == first.journaled.scheduler.rungs
        assert [again.action(n) for n in NUMBERS] == [first.journaled.action(n) for n in NUMBERS]
        second = first.resumed(again, random.Random(-kill))
        second.run()
        again.journal.close()  # type: ignore[union-attr]
        assert (second.at, second.journaled.stops) == (undisturbed.at, undisturbed.journaled.stops)
        assert first.trained + second.trained == undisturbed.trained


def test_a_trial_that_fails_keeps_nobody_waiting_and_one_that_is_wanted_anew_is_forgotten() -> None:
    scheduler = freeze_thaw()
    for number in range(1, TRIALS):
        scheduler.report(number, 100, 50.0)
    assert all(scheduler.is_paused(number) for number in range(1, TRIALS))
    made = scheduler.end(TRIALS, TrialStatus.FAILED)
    assert {d.action for d in made} >= {Action.CONTINUE}
    scheduler.start(TRIALS, anew=True)
    assert TRIALS not in scheduler.over and TRIALS not in scheduler.seen


def test_without_its_journal_a_search_goes_on_from_its_record() -> None:
    trials = [make_trial(n, [50.0 + n] * (1 + n % 3), "running") for n in NUMBERS]
    steps = [int(report["step"]) for report in trials[0].reports]
    scheduler = FreezeThaw(NUMBERS, 5 * steps[0], 0.02, examples=200, priors=PRIORS[:1])
    again = JournaledScheduler(scheduler, None, trials)
    live = [n for n in NUMBERS if n not in scheduler.over]
    assert any(again.action(n) is Action.CONTINUE for n in live), "somebody trains on"


def test_another_chance_or_other_configurations_are_another_search(tmp_path: Path) -> None:
    JournaledScheduler(freeze_thaw(), Journal(tmp_path / "j.jsonl")).journal.close()  # type: ignore[union-attr]
    same = JournaledScheduler(freeze_thaw(), Journal(tmp_path / "j.jsonl"))
    same.journal.close()  # type: ignore[union-attr]
    with pytest.raises(JournalError, match=r"stop_chance was 0\.02, is 0\.1"):
        JournaledScheduler(freeze_thaw(0.1), Journal(tmp_path / "j.jsonl"))


def test_it_is_made_by_its_name() -> None:
    made = make_scheduler("freeze-thaw", NUMBERS, BUDGET, grace_period=100, reduction_factor=4, stop_chance=0.1)
    assert (made.name, made.settings["stop_chance"], made.settings["configurations"]) == ("freeze-thaw", 0.1, [])
