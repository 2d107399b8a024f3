"""The model of learning curves: what it expects follows the reports, and is as sure as it ought to be."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.schedulers.forecast import (
    EXAMPLES,
    PRIORS,
    SAMPLES,
    Forecaster,
    Report,
    likeness,
    standard_error,
    standardised,
    thinned,
)


def reports(
    levels: dict[int, float], steps: int, losses: dict[int, float] | None = None
) -> dict[int, dict[int, Report]]:
    """Straight curves from half a level to all of it at step 1,000, one report each 100 steps."""
    return {
        number: {
            step: (level * (0.5 + step / 2_000), losses[number] if losses else None)
            for step in range(100, steps + 1, 100)
        }
        for number, level in levels.items()
    }


def test_the_same_reports_give_the_same_forecast_and_the_best_so_far_is_expected_to_stay_so() -> None:
    levels = {1: 40.0, 2: 80.0, 3: 60.0}
    forecaster = Forecaster(list(levels), 1_000, examples=600)
    ends = forecaster.ends(reports(levels, 600))
    assert ends.shape == (SAMPLES, 3)
    assert (ends == forecaster.ends(reports(levels, 600))).all()
    assert list(ends.mean(axis=0).argsort()) == [0, 2, 1]


def test_the_further_the_training_the_surer_the_forecast() -> None:
    levels = {1: 40.0, 2: 44.0, 3: 60.0, 4: 50.0}
    forecaster = Forecaster(list(levels), 1_000, examples=600, priors=PRIORS[:1])

    def spread(steps: int) -> float:
        ends = forecaster.ends(reports(levels, steps))
        return float((ends[:, 0] - ends[:, 1]).std())

    assert spread(100) > spread(500) > spread(900)
    ends = forecaster.ends(reports(levels, 1_000))
    assert ends.mean(axis=0) == pytest.approx([40.0, 44.0, 60.0, 50.0], abs=1.5)


def test_where_scores_are_equal_the_losses_tell_trials_apart() -> None:
    levels = dict.fromkeys((1, 2, 3, 4), 50.0)
    forecaster = Forecaster(list(levels), 1_000, examples=600)
    blind = forecaster.ends(reports(levels, 300)).mean(axis=0)
    assert np.ptp(blind) < 0.2
    seeing = forecaster.ends(reports(levels, 300, {1: 0.9, 2: 0.5, 3: 0.8, 4: 0.85})).mean(axis=0)
    assert seeing.argmax() == 1
    assert seeing[1] - np.delete(seeing, 1).max() > 0.3


def test_a_configuration_like_a_good_one_is_expected_to_do_better() -> None:
    configurations = {1: {"lr": 0.1}, 2: {"lr": 0.0001}, 3: {"lr": 0.09}, 4: {"lr": 0.00011}}
    forecaster = Forecaster([1, 2, 3, 4], 1_000, configurations, examples=600)
    known = reports({1: 80.0, 2: 30.0}, 500) | {3: {100: (5.0, None)}, 4: {100: (5.0, None)}}
    ends = forecaster.ends(known).mean(axis=0)
    assert ends[2] > ends[3] + 1.0


def test_configurations_are_compared_by_what_differs_on_a_scale_that_suits() -> None:
    values = {1: {"lr": 0.001, "init": "text", "same": 1}, 2: {"lr": 0.01, "init": "text", "same": 1}}
    values |= {3: {"lr": 0.1, "init": "random", "same": 1}}
    alike = likeness({1: 0, 2: 1, 3: 2, 4: 3}, values)
    assert (np.diag(alike) == 1.0).all()
    assert alike[0, 1] == pytest.approx((np.exp(-0.5) + 1) / 2)
    assert alike[0, 2] == pytest.approx(np.exp(-2.0))
    assert (alike[3, :3] == 0.0).all(), "nothing is known of the fourth"


def test_old_reports_are_left_out_first() -> None:
    assert thinned([10, 20, 30, 40, 50], 5) == [10, 20, 30, 40, 50]
    assert thinned([10, 20, 30, 40, 50], 2) == [20, 50]
    assert thinned([10, 20, 30], 1) == [30]


def test_units_do_not_break_where_nothing_differs() -> None:
    assert standard_error(50.0, 600) == pytest.approx(2.04, abs=0.01)
    assert standard_error(-3.0, 0) == standard_error(5.0, EXAMPLES)
    assert (standardised(np.zeros(4), np.ones(4)) == 0.0).all()
    assert np.isfinite(
        Forecaster([1, 2], 100, priors=PRIORS[:1]).ends({1: {10: (0.0, 1.0)}, 2: {10: (0.0, 1.0)}})
    ).all()
