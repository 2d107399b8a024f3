"""The paper's tables: every printed number in its cell, and measured rows beside the quoted ones."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from orchestrator.summarizer.report import make_results
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.groups import make_groups
from orchestrator.summarizer.results.published import rows
from orchestrator.summarizer.results.saved_searches import FoundSearches
from orchestrator.summarizer.tables.model import Cell, ReportTable, Row
from orchestrator.summarizer.tables.paper_layouts import chosen, paper_layouts
from orchestrator.summarizer.tables.paper_tables import paper_table
from tests.orchestrator.made_results import searched
from trials.errors import UserError

SOURCE = Path(__file__).resolve().parents[4].parent / "shared" / "paper" / "reference_results.csv"
GLUE = {
    "mnli": "accuracy",
    "qqp": "accuracy",
    "qnli": "accuracy",
    "sst2": "accuracy",
    "stsb": "pearson",
    "mrpc": "accuracy",
    "rte": "accuracy",
    "cola": "matthews_correlation",
}


def grid(table: int, *searches: FoundSearch) -> ReportTable:
    (layout,) = chosen([str(table)])
    unfinished = [search for search in searches if search.record.test is None]
    return paper_table(layout, make_groups(searches)[0], unfinished)


def cell(table: ReportTable, row: str, column: str, section: str = "") -> Cell:
    found = [
        c
        for r, heading, c in table.cells()
        if heading.label == column and r.cells[0].text == row and section in r.section
    ]
    assert len(found) == 1, (row, column, found)
    return found[0]


def measured(table: ReportTable) -> list[Row]:
    return [row for row in table.rows if row.section.startswith("measured")]


def test_each_published_number_stands_in_one_cell() -> None:
    held = [
        quoted
        for layout in paper_layouts()
        for row in layout.rows
        for column in layout.columns
        if (quoted := layout.quoted(row, column)) is not None
    ]
    assert len(held) == len(rows())
    assert set(held) == set(rows())
    assert {layout.table for layout in paper_layouts()} == set(range(1, 16))


@pytest.mark.skipif(not SOURCE.is_file(), reason="the paper's reference results are not beside this checkout")
def test_each_number_comes_out_as_the_source_has_it() -> None:
    with SOURCE.open(encoding="utf-8", newline="") as stream:
        source = list(csv.DictReader(stream))
    for layout in paper_layouts():
        printed = sorted(
            (found.text, found.spread) for _, _, found in paper_table(layout, []).cells() if found.kind == "quoted"
        )
        expected = sorted((row["value"], row["std"]) for row in source if int(row["table"]) == layout.table)
        assert printed == expected, layout.name


def test_numbers_stand_where_the_paper_has_them() -> None:
    assert cell(grid(3), "ADePT", "CoLA").text == "65.5"
    assert cell(grid(3), "LST", "WSC").kind == "missing"  # the paper leaves it empty
    assert cell(grid(3), "MPT (m)", "RTE", "multi-task").text == "82.7"
    assert cell(grid(4), "DePT", "HP").spread == "0.3"
    assert cell(grid(7), "ADePT", "MBPP, pass@1", "Llama3-8B").text == "43.22"
    assert cell(grid(13), "ADePT", "60").text == "82.0"
    assert cell(grid(15), "32", "ADePT", "CB").text == "39.5"
    assert cell(grid(15), "Parameters", "(IA)3").text == "55.3K"


def test_the_best_is_bold_and_the_second_underlined_as_in_the_paper() -> None:
    table = grid(5)
    assert (cell(table, "LoRA", "MNLI").highlight, cell(table, "ADePT", "MNLI").highlight) == ("best", "second")
    table = grid(3)
    second = [
        row.cells[0].text
        for row, column, found in table.cells()
        if found.highlight == "second" and column.label == "CB"
    ]
    assert second == ["LoRA", "DePT"]  # both 92.9
    assert cell(grid(9), "LoRA", "NQ, hours").highlight == "best"  # fewest hours
    assert cell(grid(15), "16", "MPT", "SciTail").highlight == "best"  # methods stand side by side
    assert not any(found.highlight for _, _, found in grid(2).cells())  # statistics are no contest


def test_a_measured_row_stands_beside_the_quoted_one() -> None:
    table = grid(3, *(searched(score, seed=seed) for seed, score in ((1, 83.0), (2, 85.0), (3, 84.0))))
    ours = cell(table, "ADePT", "RTE", "measured on t5-base")
    assert (ours.kind, ours.text, ours.spread, ours.n, ours.highlight) == ("measured", "84.0", "1.0", 3, "best")
    assert cell(table, "ADePT", "RTE", "Single-task learning, quoted").kind == "quoted"
    assert table.rows[-1].cells[0].text == "One test example"
    assert cell(table, "One test example", "RTE").text == "0.72"


def test_mbpp_stands_beside_the_quoted_rows_with_the_papers_decimals() -> None:
    runs = [
        searched(score, "mbpp", seed=seed, metric="pass_at_1", backbone="codegen-350m", n=487)
        for seed, score in ((1, 17.658), (2, 18.07))
    ]
    ours = cell(grid(7, *runs), "ADePT", "MBPP, pass@1", "measured on codegen-350m")
    assert (ours.text, ours.spread, ours.n) == ("17.86", "0.29", 2)
    (measured_here, *_) = make_results(FoundSearches(tuple(runs)), ()).tables
    assert measured_here.rows[0].cells[1].text == "17.86"


@pytest.mark.parametrize(
    "setting", [{"shots": 16}, {"data_quirks": "corrected"}, {"data_sizes": "any"}, {"sources": "mnli"}]
)
def test_what_was_trained_on_other_rows_than_the_papers_or_from_a_source_is_in_none_of_its_tables(
    setting: dict[str, Any],
) -> None:
    other = searched(99.0, seed=1, settings={**searched(99.0).record.settings, **setting})
    assert not measured(grid(3, other))
    assert cell(grid(3, other, searched(84.0, seed=2)), "ADePT", "RTE", "measured").text == "84.0"


def few(method: str, score: float, seed: int = 1, **settings: Any) -> FoundSearch:
    all_rows = searched(0.0).record.settings
    return searched(score, "boolq", method, seed=seed, settings={**all_rows, **settings})


def test_few_shot_searches_are_measured_by_their_method_and_number_of_rows() -> None:
    """From a source where the method may do without one and the paper's did not, and from none where its did."""
    table = grid(
        15,
        *(few("adept", score, seed, shots=16, sources="mnli") for seed, score in ((1, 68.0), (2, 70.0), (3, 72.0))),
        few("adept", 99.0, shots=16),  # from nothing
        few("adept", 98.0, sources="mnli"),  # on all rows
        few("dept", 61.0, shots=4, sources="mnli"),
        few("pt", 97.0, shots=4, sources="mnli"),
        few("pt", 60.0, shots=4),
        few("mpt_t", 62.0, shots=4, sources="mnli,qqp"),
        few("adept", 96.0, shots=8, sources="mnli"),  # a number that the paper does not have
    )
    found = {
        (heading.label, row.cells[0].text): cell
        for row, heading, cell in table.cells()
        if row.section == "BoolQ, measured on t5-base" and cell.kind == "measured"
    }
    assert {key: cell.text for key, cell in found.items()} == {
        ("ADePT", "16"): "70.0", ("DePT", "4"): "61.0", ("PT", "4"): "60.0", ("MPT", "4"): "62.0",
    }  # fmt: skip
    assert (found["ADePT", "16"].spread, found["ADePT", "16"].n) == ("2.0", 3)
    assert cell(table, "16", "ADePT", "BoolQ, quoted").text == "69.9"
    assert not table.missing and not any("Nothing is measured" in note for note in grid(15).notes)


def test_a_lead_of_less_than_one_example_is_not_marked_as_one() -> None:
    table = grid(3, searched(83.1, n=139))  # the paper's best is 82.7
    assert cell(table, "ADePT", "RTE", "measured").highlight == "best"
    assert cell(table, "MPT (m)", "RTE").highlight == "best"
    table = grid(3, searched(83.1, n=10_000))
    assert cell(table, "MPT (m)", "RTE").highlight == "second"


def test_another_backbone_is_not_ranked_with_the_quoted_rows() -> None:
    table = grid(3, searched(99.0, backbone="t5-nano"))
    assert cell(table, "MPT (m)", "RTE").highlight == "best"
    assert cell(table, "ADePT", "RTE", "measured on t5-nano").highlight == ""
    assert any("no comparison" in note for note in table.notes)


def test_a_mean_needs_all_its_tasks() -> None:
    searches = [
        searched(70.0 + place, task, seed=seed, metric=metric)
        for place, (task, metric) in enumerate(GLUE.items())
        for seed in (1, 2)
    ]
    means = [
        found
        for row, column, found in grid(3, *searches).cells()
        if column.label == "Mean" and "measured" in row.section
    ]
    assert [found.text for found in means] == ["73.5", "—"]  # GLUE is whole, SuperGLUE is not
    assert means[0].n == 2
    assert cell(grid(8, *searches), "ADePT (m=120, r=39)", "GLUE mean").kind == "quoted"


def test_another_metric_of_the_same_test_fills_the_papers_column() -> None:
    search = searched(89.5, "superglue-cb", metric="f1_multiclass", metrics={"f1_multiclass": 89.5, "accuracy": 92.9})
    assert search.record.test is not None
    search.record.test.one_example = 9.9
    found = cell(grid(3, search), "ADePT", "CB", "measured")
    assert (found.text, found.one_example) == ("92.9", pytest.approx(100 / 139)), "9.9 points are F1's"


def test_an_ablation_is_measured_by_a_search_that_was_limited_to_it() -> None:
    whole = searched(80.0)
    small = searched(76.0, seed=7)
    for trial in small.record.trials:
        trial.configuration["bottleneck"] = 5
    table = grid(12, whole, small)
    assert cell(table, "ADePT", "5", "measured").text == "76.0"
    assert cell(table, "ADePT", "10", "measured").kind == "missing"
    assert any("bottleneck 10 in every configuration" in fill.command for fill in table.missing)
    # The main table shows the search of the whole space, and says that there is another one.
    main = grid(3, whole, small)
    assert cell(main, "ADePT", "RTE", "measured").text == "80.0"
    assert any("also there" in note and "bottleneck 5" in note for note in main.notes)


def test_a_method_that_the_paper_does_not_have_gets_a_row() -> None:
    assert cell(grid(3, searched(method="lamp")), "lamp", "RTE", "measured").text == "80.0"


def test_hours_of_training_are_measured_too() -> None:
    found = cell(grid(9, searched(70.0, "nq", backbone="t5-3b", metric="f1")), "ADePT", "NQ, hours", "measured")
    assert found.value == pytest.approx(5 * 11.5 / 3600)


def test_without_a_measurement_a_table_says_how_to_get_one() -> None:
    assert any("--task rte" in fill.command for fill in grid(13).missing)
    assert any("Nothing is measured here" in note for note in grid(1).notes)


def test_an_unknown_table_is_listed_with_all_others() -> None:
    with pytest.raises(UserError) as caught:
        chosen(["3", "16", "x"])
    assert len(caught.value.problems) == 2
    assert "--tables 16: it is one of 1, 2, 3" in caught.value.problems[0]
    assert len(chosen(["all"])) == 15
