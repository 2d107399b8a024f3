"""Which trial wins, and which others cannot be told from it."""

from __future__ import annotations

import math

import pytest

from orchestrator.summarizer import choose_winner
from tests.orchestrator.made_records import EVERY, make_record, make_trial, right


def order(record_choice: object) -> list[int]:
    return [trial.number for trial in record_choice.ranking]  # type: ignore[attr-defined]


def test_the_best_of_the_trials_with_the_full_budget_wins() -> None:
    record = make_record(
        make_trial(1, [60.0, 65.0]),
        make_trial(2, [60.0, 80.0, 70.0]),
        make_trial(3, [99.0], "stopped early"),
    )
    choice = choose_winner(record)
    assert choice.winner is record.trials[1]
    assert order(choice) == [2, 1, 3]
    assert choice.rank(record.trials[2]) == 3
    # A reader who sees 99.0 in the table is told why it lost.
    assert "trial 3: 99.0 at step 1,000, stopped early" in choice.note


def test_nothing_to_say_about_an_ordinary_search() -> None:
    assert choose_winner(make_record(make_trial(1, [60.0]), make_trial(2, [50.0], "stopped early"))).note == ""


def test_without_a_finished_trial_the_best_of_the_rest_is_named_and_the_note_says_so() -> None:
    choice = choose_winner(
        make_record(make_trial(1, [60.0], "interrupted"), make_trial(2, [62.0, 61.0], "stopped early"))
    )
    assert choice.winner is not None
    assert choice.winner.number == 2
    assert choice.note == (
        "No trial reached the full budget of 5,000 steps: trial 2 is the best of the others "
        "(stopped early at step 2,000)."
    )


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_broken_trials_never_win(status: str) -> None:
    broken = make_trial(1, [90.0, math.nan], status)
    choice = choose_winner(make_record(broken, make_trial(2, [40.0], "interrupted")))
    assert order(choice) == [2, 1]
    assert f"trial 1: 90.0 at step 1,000, {status}" in choice.note
    alone = choose_winner(make_record(broken))
    assert alone.winner is None
    assert alone.note == f"There is no winner: no trial has a validation score that may win (1 {status})."


def test_no_trial_at_all() -> None:
    choice = choose_winner(make_record())
    assert (choice.winner, choice.ranking) == (None, ())
    assert "no trial" in choice.note


def test_trials_without_a_score_do_not_win() -> None:
    choice = choose_winner(make_record(make_trial(1, [math.nan]), make_trial(2, status="waiting")))
    assert choice.winner is None
    assert "1 finished, 1 waiting" in choice.note


def test_ties_go_to_the_earlier_step_then_to_fewer_parameters_then_to_the_lower_number() -> None:
    late, early = make_trial(1, [50.0, 70.0]), make_trial(2, [70.0, 50.0])
    assert order(choose_winner(make_record(late, early))) == [2, 1]
    big, small = make_trial(1, [70.0]), make_trial(2, [70.0])
    assert order(choose_winner(make_record(big, small, parameters={1: 76_071, 2: 76_041}))) == [2, 1]
    assert order(choose_winner(make_record(make_trial(7, [70.0]), make_trial(3, [70.0])))) == [3, 7]


def test_a_difference_in_the_last_bits_is_a_tie() -> None:
    # 0.1 + 0.2 points in another order of summation must not beat the earlier step.
    assert order(choose_winner(make_record(make_trial(1, [0.3]), make_trial(2, [0.0, 0.1 + 0.2])))) == [1, 2]


def test_scores_of_zero_and_below_compete() -> None:
    # Matthews correlation: 0 for a constant answer, negative for worse.
    record = make_record(make_trial(1, [-5.0]), make_trial(2, [0.0], "diverged"), metric="matthews_correlation")
    choice = choose_winner(record)
    assert choice.winner is record.trials[0]
    assert "trial 2: 0.0" in choice.note


def test_one_example_less_is_not_called_a_defeat() -> None:
    # F1 has no binomial error, so the value of one example alone decides.
    trials = [make_trial(1, [right(110)]), make_trial(2, [right(109)]), make_trial(3, [right(108)])]
    choice = choose_winner(make_record(*trials, metric="f1"))
    assert choice.one_example == pytest.approx(0.7246, abs=1e-4)
    assert choice.standard_error is None
    assert [trial.number for trial in choice.not_distinguishable] == [2]


def test_one_standard_error_is_the_wider_reach_for_accuracy() -> None:
    # 110 of 138: sqrt(0.797 * 0.203 / 138) = 3.42 points, so 106 (2.9 below) is near and 105 (3.6 below) is not.
    trials = [make_trial(number, [right(count)]) for number, count in enumerate((110, 106, 105), 1)]
    trials.append(make_trial(4, [right(110)], "failed"))
    choice = choose_winner(make_record(*trials))
    assert choice.standard_error == pytest.approx(3.424, abs=1e-3)
    assert [trial.number for trial in choice.not_distinguishable] == [2]


def test_a_stopped_trial_just_above_the_winner_is_not_distinguishable_from_it() -> None:
    choice = choose_winner(
        make_record(make_trial(1, [right(100)]), make_trial(2, [right(101)], "stopped early"), metric="f1")
    )
    assert choice.winner is not None
    assert choice.winner.number == 1
    assert [trial.number for trial in choice.not_distinguishable] == [2]


def test_at_a_perfect_score_one_example_still_counts() -> None:
    # The binomial standard error of 138 of 138 is 0.
    choice = choose_winner(make_record(make_trial(1, [100.0]), make_trial(2, [right(137)])))
    assert [trial.number for trial in choice.not_distinguishable] == [2]


def test_equal_scores_are_near_even_where_the_split_is_unknown() -> None:
    trials = make_trial(1, [70.0]), make_trial(2, [70.0], every=2 * EVERY), make_trial(3, [69.9])
    choice = choose_winner(make_record(*trials, sizes={}))
    assert choice.one_example is None
    assert [trial.number for trial in choice.not_distinguishable] == [2]
