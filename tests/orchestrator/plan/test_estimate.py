"""What a plan expects to train, and how long that takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.plan.estimate import Device, RowLengths, estimate, expectation, stopping
from tests.orchestrator.plan.planning import plan


def test_each_scheduler_has_an_expectation_of_what_it_trains(space: Path) -> None:
    share = {name: plan(space=space, scheduler=name).expected_steps / 160 for name in ("asha", "median", "none")}
    assert share["none"] == 1.0
    assert share["median"] == (10 + 30 / 2) / 40  # half of the trials end at the grace of 10 of 40 steps
    assert share["asha"] < share["median"]
    assert plan(space=space, scheduler="median", grace_period=20).grace_period == 20
    for name in share:
        made = plan(space=space, scheduler=name)
        assert made.expected_end(0) * 4 == pytest.approx(made.expected_steps)
        assert made.expected_end(20) == made.expected_end(40) == 40


def test_a_model_of_the_curves_is_expected_to_train_what_it_does_on_recorded_grids(space: Path) -> None:
    made = plan(space=space, scheduler="freeze-thaw", stop_chance="0.05")
    assert made.expected_steps == 0.3 * 160
    assert made.expected_end(20) == 20 and made.expected_end(40) == 40
    assert "0.05 probability" in expectation(made) and "tie," not in expectation(made)
    assert made.grace_period == made.training.eval_every
    assert made.name != plan(space=space, scheduler="freeze-thaw").name


def test_the_plan_says_how_trials_are_stopped(space: Path) -> None:
    told = stopping(plan(space=space, ties="loss", reduction_factor="3"))
    assert told.endswith("one in 3 goes on at each rung, equal scores told apart by their losses")
    assert stopping(plan(space=space, rank_by="score")).endswith("one in 4 goes on at each rung")
    assert stopping(plan(space=space)).endswith("one in 4 goes on at each rung, by their validation losses")
    assert stopping(plan(space=space, scheduler="none")) == "every trial runs to the end"
    assert expectation(plan(space=space, scheduler="none")) == "every trial runs to the end"


@pytest.mark.parametrize("scheduler", ["promotion", "asha", "median"])
def test_the_plan_says_that_trials_that_tie_train_more(space: Path, scheduler: str) -> None:
    by_score = {} if scheduler == "median" else {"rank_by": "score"}
    made = plan(space=space, scheduler=scheduler, **by_score)
    assert made.expected_steps < made.steps == 160
    assert expectation(made).startswith(f"about {made.expected_steps} with early stopping")
    assert expectation(made).endswith("; up to 160 where trials tie, for equal scores go on together")
    if scheduler != "median":
        assert "tie," not in expectation(plan(space=space, scheduler=scheduler, ties="loss"))
        assert "tie," not in expectation(plan(space=space, scheduler=scheduler))


def test_the_estimate_scales_with_steps_and_counts_early_stopping(space: Path) -> None:
    device = Device("core", 2, 1e9, "made up")
    one, two = (estimate(plan(space=space, steps=s, eval_every=10), device) for s in (40, 80))
    assert two.full_seconds == pytest.approx(2 * one.full_seconds)
    assert one.expected_seconds < one.full_seconds
    none = estimate(plan(space=space, scheduler="none"), device)
    assert none.expected_seconds == none.full_seconds


def test_rows_that_are_shorter_than_allowed_cost_less_and_reports_cost_forward_passes(space: Path) -> None:
    made, device = plan(space=space), Device("core", 2, 1e9, "made up")
    longest = float(made.max_source_length)
    unseen = estimate(made, device)
    assert estimate(made, device, RowLengths(longest, longest, 0)) == unseen
    assert estimate(made, device, RowLengths(longest / 4, longest, 0)).full_seconds < unseen.full_seconds / 2
    # A report reads the rows of as many batches as were trained on since the last: a forward pass beside each update.
    rows = made.training.batch_size * made.training.eval_every
    read = estimate(made, device, RowLengths(longest, longest, rows))
    assert read.full_seconds == pytest.approx(1.5 * unseen.full_seconds)
