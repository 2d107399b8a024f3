"""Two sets of searches side by side: a difference is over the seeds of both, and equal is neither better nor worse."""

from __future__ import annotations

import pytest

from orchestrator.record import formats
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.tables.model import Cell
from orchestrator.summarizer.tables.search_comparison import compare_searches
from tests.orchestrator.made_results import searched


def row_of(name: str, first: list[FoundSearch], second: list[FoundSearch]) -> dict[str, Cell]:
    """The first row of a table by its headings."""
    (table,) = [one for one in compare_searches(first, second, ("a", "b")).tables if one.name == name]
    return dict(zip((column.label for column in table.columns), table.rows[0].cells, strict=True))


def test_a_difference_is_over_the_seeds_that_both_sides_have() -> None:
    first = [searched(score, seed=seed) for seed, score in ((1, 70.0), (2, 72.0), (3, 20.0))]
    second = [searched(score, seed=seed) for seed, score in ((1, 71.0), (2, 75.0))]
    row = row_of("differences", first, second)
    assert (row["seeds"].text, row["B - A"].text, row["B - A"].value) == ("2", "+2.0", pytest.approx(2.0))
    assert row["A"].n == 3 and row["B"].n == 2, "the means keep all their seeds"
    low, high = (float(text) for text in row["95 % interval"].text.split(" to "))
    assert low < 2.0 < high


def test_without_a_common_seed_the_means_are_all_there_is() -> None:
    row = row_of("differences", [searched(70.0, seed=1)], [searched(73.0, seed=2)])
    assert (row["B - A"].text, row["95 % interval"].text) == ("+3.0", formats.MISSING)


@pytest.mark.parametrize("sizes", [{}, {"validation": 138}])
def test_equal_trials_are_level_whether_or_not_the_examples_are_known(sizes: dict[str, int]) -> None:
    """Of a search that was killed the sizes of the splits are not known."""
    first, second = searched(80.0, day=1, sizes=sizes), searched(80.0, day=2, sizes=sizes, name="again")
    second.record.trials[0].reports[-1]["score"] += 5.0
    second.record.trials[0].reports[-1]["best_score"] += 5.0
    row = row_of("trials", [first], [second])
    assert [row[name].text for name in ("in both", "B better", "B worse", "level")] == ["4", "1", "0", "3"]


def test_sides_without_a_metric_in_common_are_not_compared() -> None:
    first, second = searched(70.0, metric="f1", day=1), searched(80.0, day=2, name="again")
    row = row_of("differences", [first], [second])
    missing = [row[name].text for name in ("B", "B - A", "p (Holm)")]
    assert row["A"].text == "70.0" and missing == [formats.MISSING] * 3
    assert (row["verdict"].text, row["because"].text) == ("not compared", "no f1 in common")


def test_of_several_metrics_on_a_side_the_one_that_both_have_is_compared() -> None:
    first, second = searched(70.0, day=1), [searched(72.0, day=2), searched(90.0, metric="f1", day=3, name="again")]
    row = row_of("differences", [first], second)
    assert row["B - A"].text == "+2.0"
