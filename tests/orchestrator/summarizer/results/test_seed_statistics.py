"""The statistics: against scipy, against counting, and on simulated scores whose truth is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from orchestrator.summarizer.results.seed_statistics import (
    difference_interval,
    estimate,
    expected_best,
    holm,
    interquartile_mean,
    sign_flip,
    smallest_p,
)

REPEATS = 300
# What a rate that is truly 0.95 (or 0.05) may miss by chance in so many repeats: three standard errors.
CHANCE = 3 * math.sqrt(0.05 * 0.95 / REPEATS)


def test_the_mean_has_scipys_interval() -> None:
    values = [61.2, 64.0, 58.9, 63.3]
    found = estimate(values)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (found.mean, found.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_too_little_to_vary_has_no_interval() -> None:
    assert estimate([70.0]).low is None
    equal = estimate([70.0, 70.0, 70.0])
    assert (equal.mean, equal.sd, equal.low) == (70.0, 0.0, None)
    assert difference_interval([[1.0]]) is None
    assert difference_interval([[1.0, 1.0], [2.0, 2.0]]) is None
    assert interquartile_mean({"rte": [70.0, 70.0]}) == (70.0, None, None)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_what_is_no_number_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        estimate(values)


@pytest.mark.parametrize("differences", [[1.0, 2.0, 3.0], [0.4, -1.0, 2.0, 0.1, 3.0], [1.0, 0.0, 0.0, -2.0]])
def test_the_sign_flip_test_counts_every_pattern(differences: list[float]) -> None:
    total = abs(sum(differences))
    patterns = list(itertools.product((-1, 1), repeat=len(differences)))
    as_extreme = [p for p in patterns if abs(np.dot(p, differences)) >= total - 1e-9]
    assert sign_flip([differences]) == pytest.approx(len(as_extreme) / len(patterns))


def test_the_smallest_p_is_what_pairs_that_agree_give() -> None:
    for pairs in range(1, 13):
        assert sign_flip([[1.0 + 0.1 * place for place in range(pairs)]]) == pytest.approx(smallest_p(pairs))
    assert smallest_p(3) == 0.25
    assert smallest_p(30) > 0  # drawn, not counted: never 0


def test_ties_everywhere_are_no_evidence() -> None:
    assert sign_flip([[0.0, 0.0, 0.0], [0.0, 0.0]]) == 1.0


def test_one_stratum_gives_the_paired_t_interval() -> None:
    first, second = [70.0, 72.0, 69.0, 75.0], [68.0, 71.5, 69.5, 71.0]
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    found = difference_interval([[a - b for a, b in zip(first, second, strict=True)]])
    assert found is not None and found[2] == "t"
    assert found[:2] == pytest.approx((expected.low, expected.high))


def test_two_strata_give_welchs_interval() -> None:
    one, other = [1.0, 2.0, 4.0], [5.0, 9.0, 7.0, 6.5]
    # The mean of two means is half of the difference to the other one's negative.
    expected = stats.ttest_ind(one, [-value for value in other], equal_var=False).confidence_interval(0.95)
    found = difference_interval([one, other])
    assert found is not None
    assert found[:2] == pytest.approx((expected.low / 2, expected.high / 2))


def test_holm_is_holms() -> None:
    # Worked by hand: 0.01 x 4, 0.02 x 3, 0.03 x 2 (not below the one before), 0.04 x 1 (likewise).
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_interquartile_mean_is_the_mean_of_the_middle_half() -> None:
    center, low, high = interquartile_mean({"a": [0.0, 10.0, 20.0, 30.0], "b": [40.0, 50.0, 60.0, 1000.0]})
    assert center == pytest.approx(np.mean([20, 30, 40, 50]))
    assert low is not None and high is not None and low < center < high


@pytest.mark.parametrize("scores", [[3.0, 1.0, 4.0, 1.0, 5.0, 9.0], [2.0], [7.0] * 5])
def test_the_expected_best_is_the_mean_over_all_subsets(scores: list[float]) -> None:
    subsets = [itertools.combinations(scores, k) for k in range(1, len(scores) + 1)]
    assert expected_best(scores) == pytest.approx([np.mean([max(part) for part in parts]) for parts in subsets])


def test_the_expected_best_of_a_thousand_is_finite_and_rises() -> None:
    curve = expected_best([float(value) for value in np.random.default_rng(0).normal(size=1_000)])
    assert len(curve) == 1_000
    assert all(np.isfinite(curve)) and all(np.diff(curve) >= -1e-12)


def test_the_expected_best_is_unbiased() -> None:
    dice = np.random.default_rng(1)
    means = np.mean([expected_best(list(dice.uniform(size=8)))[3] for _ in range(2_000)])
    assert means == pytest.approx(4 / 5, abs=0.01)  # the best of four uniform draws


Draw = Callable[[np.random.Generator], list[list[float]]]
SHAPES: dict[str, Draw] = {
    "3 seeds": lambda dice: [list(dice.normal(0, 2, 3))],
    "5 seeds": lambda dice: [list(dice.normal(0, 2, 5))],
    "8 seeds": lambda dice: [list(dice.normal(0, 2, 8))],
    "12 seeds, skewed": lambda dice: [list(dice.gamma(4, 1, 12) - 4)],
    "4 tasks by 3 seeds": lambda dice: [list(dice.normal(0, scale, 3)) for scale in (1, 1, 2, 4)],
    "4 tasks by 8 seeds": lambda dice: [list(dice.normal(0, scale, 8)) for scale in (1, 1, 2, 4)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_intervals_of_a_difference_cover_the_truth(shape: str) -> None:
    dice = np.random.default_rng(5)
    covered = 0
    for _ in range(REPEATS):
        found = difference_interval(SHAPES[shape](dice))
        assert found is not None
        covered += found[0] <= 0 <= found[1]
    allowed = 0.03 if "skewed" in shape else 0.01
    assert covered / REPEATS >= 0.95 - allowed - CHANCE


def test_the_interquartile_interval_covers_the_truth_from_eight_seeds_on() -> None:
    dice = np.random.default_rng(5)
    levels = np.array([60.0, 70.0, 80.0, 90.0])

    def draw() -> np.ndarray:
        return levels + dice.normal(0, 2, (8, 4))

    truth = np.mean([stats.trim_mean(draw().ravel(), 0.25) for _ in range(4_000)])
    covered = 0
    for _ in range(REPEATS):
        _, low, high = interquartile_mean({str(task): list(scores) for task, scores in enumerate(draw().T)})
        assert low is not None and high is not None
        covered += low <= truth <= high
    assert covered / REPEATS >= 0.94 - CHANCE


@pytest.mark.parametrize("shape", ["5 seeds", "8 seeds", "4 tasks by 3 seeds"])
def test_the_sign_flip_test_errs_at_most_as_often_as_it_says(shape: str) -> None:
    dice = np.random.default_rng(9)
    wrong = sum(sign_flip(SHAPES[shape](dice)) <= 0.05 for _ in range(REPEATS))
    assert wrong / REPEATS <= 0.05 + CHANCE


def test_the_sign_flip_test_finds_what_is_there() -> None:
    dice = np.random.default_rng(9)
    found = sum(sign_flip([list(dice.normal(3, 2, 3)) for _ in range(4)]) <= 0.05 for _ in range(50))
    assert found >= 45
