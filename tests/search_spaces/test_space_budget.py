"""Parameter counts and the budget rule against the sizes published for ADePT (tables 5, 7, 8, 14, 17) and DePT."""

import pytest

from search_spaces import BudgetRule, SpaceError, parameter_count
from trials.methods import Sizes, get_method

T5_BASE, T5_3B, CODEGEN, LLAMA3 = 768, 1024, 1024, 4096


def size(method: str, prompt_length: int, d_model: int, length: int = 256, budget: int = 100) -> int:
    return BudgetRule(get_method(method), Sizes(d_model, length), budget).size({"prompt_length": prompt_length})


def bottleneck_for(prompt_length: int, d_model: int, budget: int = 100) -> int:
    return size("adept", prompt_length, d_model, budget=budget)


def rank_for(prompt_length: int, d_model: int, length: int) -> int:
    return size("dept", prompt_length, d_model, length)


@pytest.mark.parametrize(
    ("d_model", "prompt_length", "bottleneck", "count"),
    [
        (T5_BASE, 20, 39, 76_071),
        (T5_BASE, 40, 29, 76_061),
        (T5_BASE, 60, 19, 76_051),
        (T5_BASE, 80, 9, 76_041),
        (T5_BASE, 120, 39, 152_871),
        (T5_BASE, 0, 49, 76_081),
        (T5_3B, 60, 19, 101_395),
        (CODEGEN, 7, 1, 10_241),
        (LLAMA3, 7, 1, 40_961),
    ],
)
def test_adept_trains_the_published_number_of_parameters(
    d_model: int, prompt_length: int, bottleneck: int, count: int
) -> None:
    configuration = {"prompt_length": prompt_length, "bottleneck": bottleneck, "prompt_lr": 0.3}
    assert parameter_count("adept", configuration, d_model) == count


@pytest.mark.parametrize(
    ("d_model", "prompt_length", "rank", "length", "count"),
    [
        (T5_BASE, 20, 60, 256, 76_800),
        (T5_BASE, 40, 45, 256, 76_800),
        (T5_BASE, 60, 30, 256, 76_800),
        (T5_BASE, 80, 15, 256, 76_800),
        (T5_BASE, 60, 24, 512, 76_800),
        (T5_BASE, 60, 30, 348, 79_560),  # MultiRC's published checkpoint is over the budget
        (T5_3B, 60, 26, 512, 101_376),
    ],
)
def test_dept_trains_the_published_number_of_parameters(
    d_model: int, prompt_length: int, rank: int, length: int, count: int
) -> None:
    assert parameter_count("dept", {"prompt_length": prompt_length, "rank": rank}, d_model, length) == count


def test_dept_is_counted_at_256_tokens_unless_told() -> None:
    assert parameter_count("dept", {"prompt_length": 60, "rank": 30}, T5_BASE) == 76_800


@pytest.mark.parametrize(
    ("d_model", "rows", "count"), [(T5_BASE, 100, 76_800), (T5_BASE, 200, 153_600), (T5_3B, 100, 102_400)]
)
def test_a_plain_prompt_is_its_rows(d_model: int, rows: int, count: int) -> None:
    assert parameter_count("pt", {"prompt_length": rows}, d_model) == count


def test_lora_has_two_factors_for_each_weight() -> None:
    assert parameter_count("lora", {"lr": 1e-3, "rank": 4}, 8, projections=[(8, 8), (6, 8)]) == 4 * (8 + 8 + 6 + 8)
    with pytest.raises(SpaceError, match="projections are not kept"):
        parameter_count("lora", {"lr": 1e-3, "rank": 4}, 8)


def test_an_unknown_method_has_no_count() -> None:
    with pytest.raises(SpaceError, match="did you mean 'adept'"):
        parameter_count("adpet", {"prompt_length": 20}, T5_BASE)


@pytest.mark.parametrize(("prompt_length", "bottleneck"), [(0, 49), (20, 39), (40, 29), (60, 19), (80, 9)])
def test_the_budget_leaves_the_published_bottlenecks(prompt_length: int, bottleneck: int) -> None:
    assert bottleneck_for(prompt_length, T5_BASE) == bottleneck


def test_a_budget_of_200_rows_leaves_the_published_long_prompt_its_bottleneck() -> None:
    assert bottleneck_for(120, T5_BASE, budget=200) == 39


@pytest.mark.parametrize(
    ("prompt_length", "length", "rank"), [(20, 256, 60), (40, 256, 45), (60, 256, 30), (80, 256, 15), (60, 512, 24)]
)
def test_the_budget_leaves_the_published_ranks(prompt_length: int, length: int, rank: int) -> None:
    assert rank_for(prompt_length, T5_BASE, length) == rank


@pytest.mark.parametrize(
    ("prompt_length", "length", "d_model", "rank"), [(20, 64, T5_BASE, 64), (40, 64, T5_BASE, 55), (0, 64, 16, 16)]
)
def test_a_rank_that_adds_nothing_is_not_bought(prompt_length: int, length: int, d_model: int, rank: int) -> None:
    """64 places have offsets of rank 64 at most, though the budget would pay for 73; of width 16 of rank 16, not 20."""
    assert rank_for(prompt_length, d_model, length) == rank


def test_the_budget_leaves_t5_3b_its_published_rank() -> None:
    assert rank_for(60, T5_3B, 512) == 26


@pytest.mark.parametrize("d_model", [1, 256, 512, 768, 1024, 4096])
@pytest.mark.parametrize("prompt_length", [0, 7, 50, 96])
def test_the_size_is_the_largest_that_the_budget_pays(d_model: int, prompt_length: int) -> None:
    budget = 100 * d_model
    bottleneck, rank = bottleneck_for(prompt_length, d_model), rank_for(prompt_length, d_model, 256)
    for extra, fits in ((0, True), (1, False)):
        adept = parameter_count("adept", {"prompt_length": prompt_length, "bottleneck": bottleneck + extra}, d_model)
        dept = parameter_count("dept", {"prompt_length": prompt_length, "rank": rank + extra}, d_model, 256)
        assert (dept <= budget) is fits
        # A bottleneck of 0 still counts the second bias: only one that the rule grants is compared.
        if bottleneck or extra:
            assert (adept <= budget) is fits


def test_no_room_is_a_size_of_zero() -> None:
    assert bottleneck_for(97, T5_BASE) == 0
    assert bottleneck_for(200, T5_BASE) == 0
    assert rank_for(100, T5_BASE, 256) == 0
    assert rank_for(150, T5_BASE, 256) == 0
    # The published decoder-only size is one parameter over a prompt of 10 rows.
    assert bottleneck_for(7, CODEGEN, budget=10) == 0
