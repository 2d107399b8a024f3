"""Methods against each other: verdicts in words, and how often they are wrong when there is no difference."""

from __future__ import annotations

import math
import random

import pytest

from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.groups import make_groups
from orchestrator.summarizer.results.interquartile_means import interquartile_means
from orchestrator.summarizer.results.method_comparisons import Comparison, compare_methods, notes_on
from tests.orchestrator.made_results import searched, sweep


def compared(*searches: FoundSearch) -> list[Comparison]:
    return list(compare_methods(make_groups(searches)[0])[0])


def two_methods(first: list[float], second: list[float], n: int = 1000) -> list[FoundSearch]:
    return [
        searched(score, method=method, seed=seed, n=n)
        for method, scores in (("adept", first), ("pt", second))
        for seed, score in enumerate(scores)
    ]


def test_three_seeds_decide_nothing_and_the_report_says_so() -> None:
    (found,) = compared(*two_methods([90.0, 91.0, 92.0], [50.0, 51.0, 52.5]))
    assert found.verdict == "not distinguishable"
    assert found.p == 0.25
    assert found.why == "with 3 seeds no test can reach p < 0.25"
    assert notes_on([found]) == ["With 3 seeds no test can reach p < 0.25."]


def test_six_seeds_that_agree_decide() -> None:
    better, worse = [80.0, 81.0, 82.0, 83.0, 80.5, 81.5], [70.0, 71.0, 72.5, 73.0, 70.6, 71.4]
    (found,) = compared(*two_methods(better, worse))
    assert (found.first, found.second, found.verdict) == ("adept", "pt", "higher")
    assert found.p == found.p_holm == pytest.approx(2 / 64)
    assert found.low is not None and found.high is not None and 0 < found.low < found.difference < found.high
    (found,) = compared(*two_methods(worse, better))
    assert found.verdict == "lower"


def test_less_than_one_example_is_no_difference_however_small_p_is() -> None:
    better, worse = [80.1 + seed for seed in range(8)], [80.0 + seed for seed in range(8)]
    (found,) = compared(*two_methods(better, worse, n=139))
    assert found.p < 0.01
    assert (found.verdict, found.why) == ("not distinguishable", "less than one example (0.72 points)")
    (found,) = compared(*two_methods(better, worse, n=10_000))
    assert found.verdict == "higher"


def test_one_example_is_what_it_was_measured_to_be_worth() -> None:
    """An F1 over few positives falls by more than 100 / n."""
    metrics = {"f1": 80.0, "accuracy": 90.0}
    searches = [searched(80.0, seed=seed, metric="f1", metrics=metrics, n=100) for seed in (1, 2)]
    for search, worth in zip(searches, (2.5, 4.0), strict=True):
        assert search.record.test is not None
        search.record.test.one_example = worth
    (group,), _ = make_groups(searches)
    assert (group.one_example, group.one_example_of("test/f1")) == (4.0, 4.0)
    assert group.one_example_of("accuracy") == 1.0, "nobody measured it"
    others = [searched(77.0, method="pt", seed=seed, metric="f1", n=100) for seed in (1, 2)]
    (found,) = compared(*searches, *others)
    assert found.why == "less than one example (4.00 points)"
    for search in searches:
        assert search.record.test is not None
        search.record.test.one_example = math.nan  # of an older record
    assert make_groups(searches)[0][0].one_example == 1.0


def test_only_seeds_that_both_have_are_compared() -> None:
    searches = [searched(80.0 + seed, seed=seed) for seed in (1, 2, 3)]
    searches += [searched(70.0 + seed, method="pt", seed=seed) for seed in (2, 3, 4)]
    (found,) = compared(*searches)
    assert (found.pairs, found.difference) == (2, pytest.approx(10.0))


def test_no_common_seed_is_noted() -> None:
    groups, _ = make_groups([searched(seed=1), searched(method="pt", seed=2)])
    found, notes = compare_methods(groups)
    assert found == ()
    assert notes == ("rte: ADePT and PT on t5-base have no seed in common, so they are not compared.",)


def test_tasks_together_can_tell_what_one_task_cannot() -> None:
    found = compared(*sweep(noise=0.5))
    of_pt = [one for one in found if one.second == "pt" and one.first == "adept"]
    assert [one.verdict for one in of_pt if one.task] == ["not distinguishable"] * 4
    (over,) = [one for one in of_pt if not one.task]
    assert over.verdict == "higher"
    assert over.pairs == 12
    assert over.difference == pytest.approx(12.0, abs=1.0)
    assert over.one_example == pytest.approx(100 / 400 / 4)


def test_other_backbones_are_not_compared() -> None:
    assert compared(searched(), searched(method="pt", backbone="t5-nano")) == []


def test_without_a_difference_a_family_errs_at_most_one_time_in_twenty() -> None:
    dice = random.Random(11)
    repeats, wrong = 50, 0
    for _ in range(repeats):
        searches = [
            searched(75.0 + dice.gauss(0, 2), method=method, seed=seed, n=2_000)
            for method in ("adept", "dept", "pt")
            for seed in range(8)
        ]
        found = compared(*searches)
        assert len(found) * found[0].smallest_p < 0.05  # else it could not err at all
        wrong += any(one.verdict != "not distinguishable" for one in found)
    assert wrong / repeats <= 0.05 + 3 * (0.05 * 0.95 / repeats) ** 0.5


def test_the_interquartile_mean_is_over_the_tasks_that_all_methods_have() -> None:
    searches = [searched(70.0 + seed, task, "adept", seed) for task in ("rte", "boolq") for seed in (1, 2, 3)]
    searches += [searched(60.0 + seed, "rte", "pt", seed) for seed in (1, 2, 3)]
    adept, pt = interquartile_means(make_groups(searches)[0])
    assert adept.tasks == pt.tasks == ("rte",)
    assert (adept.method, adept.iqm) == ("adept", pytest.approx(72.0))
    assert "3 seeds a task" in adept.note
    assert interquartile_means(make_groups([searched(), searched(task="boolq", method="pt")])[0]) == ()
