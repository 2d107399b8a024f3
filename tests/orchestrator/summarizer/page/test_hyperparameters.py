"""The axes of a search's charts, and what the importance of a hyperparameter says."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from orchestrator.summarizer.page.charts_hyperparameters import RateMap
from orchestrator.summarizer.page.hyperparameters import HyperparameterAxis, Importance, axes, importance
from orchestrator.summarizer.page.search_view import SearchView
from tests.orchestrator.made_searches import made_search, search_of


def found_axes(configurations: list[dict[str, Any]]) -> dict[str, HyperparameterAxis]:
    return {axis.name: axis for axis in axes(SearchView(search_of(configurations)))}


def test_a_length_and_the_bottleneck_that_its_budget_leaves_are_one_axis() -> None:
    found = axes(SearchView(made_search()))
    assert [axis.names for axis in found] == [("prompt_lr",), ("mlp_lr",), ("prompt_length", "bottleneck")]
    assert found[2].levels == ((20, 39), (40, 29), (60, 19), (80, 9))


def test_values_that_are_all_different_do_not_belong_together() -> None:
    dice = random.Random(3)
    found = found_axes([{"prompt_lr": 10 ** dice.uniform(-3, 0), "decay": dice.random()} for _ in range(40)])
    assert {name: axis.kind for name, axis in found.items()} == {"prompt_lr": "log", "decay": "linear"}


def test_places_and_ticks_follow_the_scale() -> None:
    rates = [10 ** (-3 + step / 10) for step in range(21)]
    search = SearchView(search_of([{"prompt_lr": rate} for rate in rates]))
    axis = axes(search)[0]
    places = {view.trial.configuration["prompt_lr"]: axis.place(view) for view in search.trials}
    assert places[rates[0]] == 0.0 and places[rates[-1]] == pytest.approx(1.0)
    assert places[rates[10]] == pytest.approx(0.5), "0.01 is half way from 0.001 to 0.1 in logarithms"
    assert axis.ticks(3) == [(0.0, "0.001"), (0.5, "0.01"), (1.0, "0.1")]


def test_numbers_are_in_their_order_and_text_in_its_own() -> None:
    found = found_axes([{"n": n, "init": init} for n in (100, 20, 3) for init in ("vocabulary", "uniform")])
    assert [text for _, text in found["n"].ticks()] == ["3", "20", "100"]
    assert [text for _, text in found["init"].ticks()] == ["uniform", "vocabulary"]


def test_what_decides_the_score_is_the_important_one() -> None:
    dice = random.Random(0)
    configurations = [{"prompt_lr": dice.uniform(0.1, 0.4), "nothing": dice.random()} for _ in range(60)]
    search = SearchView(search_of(configurations))
    result = importance(search, axes(search))
    assert isinstance(result, Importance)
    assert result.shares[0][0].name == "prompt_lr" and result.shares[0][1] > 0.6
    assert sum(share for _, share in result.shares) == pytest.approx(1.0)
    assert result.step == search.common_step == min(view.trial.step for view in search.trials if view.look != "broken")


def test_scores_of_different_steps_are_not_mixed() -> None:
    record = made_search()
    for trial in record.trials:  # every trial scores the same where all can be compared, and differs later
        for report in trial.reports:
            report["score"] = 50.0 if report["step"] <= 8_000 else 60.0 + trial.number
    result = importance(SearchView(record), axes(SearchView(record)))
    assert isinstance(result, str) and "score the same at step 8,000" in result


@pytest.mark.parametrize(
    ("number", "reason"),
    [(3, "It takes 4 trials"), (1, "No hyperparameter differs")],
)
def test_too_few_trials_have_no_importance(number: int, reason: str) -> None:
    search = SearchView(search_of([{"prompt_lr": 0.1 * (place + 1)} for place in range(number)]))
    result = importance(search, axes(search))
    assert isinstance(result, str) and reason in result


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["prompt_lr", "mlp_lr", "prompt_length"], ("prompt_lr", "mlp_lr", ["prompt_length"])),
        (["prompt_length", "prompt_lr", "lowrank_lr"], ("prompt_lr", "lowrank_lr", ["prompt_length"])),
        (["prompt_init", "prompt_lr"], ("prompt_lr", "prompt_init", [])),
        (["prompt_lr"], None),
        (["prompt_length", "layers"], None),
    ],
)
def test_the_map_takes_learning_rates_first(names: list[str], expected: tuple[str, str, list[str]] | None) -> None:
    found = [HyperparameterAxis((name,), "levels", ((1,), (2,))) for name in names]
    rates = RateMap.of(found)
    assert (rates and (rates.x.name, rates.y.name, [axis.name for axis in rates.rest])) == expected


def test_a_crash_in_the_middle_leaves_one_curve() -> None:
    record = search_of([{"prompt_lr": 0.4}])
    reports = record.trials[0].reports
    reports[5:5] = [{**report, "score": math.nan} for report in reports[2:5]]
    curve = SearchView(record).trials[0].curve
    steps = [step for step, _ in curve]
    assert steps == sorted(set(steps)) and not set(steps) & {report["step"] for report in reports[2:5]}
