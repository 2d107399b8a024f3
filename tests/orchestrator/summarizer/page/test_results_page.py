"""The page of many searches: what it decides for a task, and the report's tables on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.record import formats
from orchestrator.record.record import SearchRecord
from orchestrator.summarizer.page import write_results_page
from orchestrator.summarizer.page.results_section import ResultsSection
from orchestrator.summarizer.page.search_view import SearchView
from orchestrator.summarizer.report import make_results
from orchestrator.summarizer.report_results import ReportResults
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.method_comparisons import Comparison
from orchestrator.summarizer.results.saved_searches import FoundSearches
from tests.orchestrator.made_records import right
from tests.orchestrator.made_results import searched
from tests.orchestrator.made_searches import made_search, made_sweep, with_test
from tests.orchestrator.summarizer.page.parsed_page import Page


def test_many_searches_are_decided_per_task(tmp_path: Path) -> None:
    sweep = made_sweep()
    section = ResultsSection([SearchView(record) for record in sweep])
    assert sorted(decision.task for decision in section.decisions) == ["boolq", "cola", "rte", "sst2"]
    for decision in section.decisions:
        scores = {method: score for method, score in decision.scores.items() if score is not None}
        best = max(scores.values(), key=lambda score: score.estimate.mean)
        assert best.standing == "best"
        assert all(score.standing != "best" for score in scores.values() if score is not best)
        assert scores["pt"].estimate.n == 3
    few = [record for record in sweep if record.task == "rte" or record.test is None]
    found = Page(write_results_page(few, tmp_path / "results.html"))
    assert len(found.all("details", **{"class": "search"})) == len(few) == 13
    assert "sst2-lora-seed44: its test split was not read" in found.text
    assert "paper 82.0 (Table 3)" in found.text, "ADePT on RTE as printed"


@pytest.mark.parametrize(
    "setting", [{"shots": 16}, {"data_quirks": "corrected"}, {"data_sizes": "any"}, {"sources": "mnli"}]
)
def test_the_paper_is_not_quoted_beside_what_it_does_not_compare_with(setting: dict[str, Any]) -> None:
    record = with_test(made_search())
    assert paper_of(record) == "paper 82.0 (Table 3)"
    record.settings |= setting
    assert paper_of(record) == ""


def test_the_paper_is_quoted_as_it_prints_a_score() -> None:
    record = with_test(made_search(task="mbpp", backbone="codegen-350m", metric="pass_at_1"))
    assert paper_of(record) == "paper 17.86 (Table 7)"


def paper_of(record: SearchRecord) -> str:
    (decision,) = ResultsSection([SearchView(record)]).decisions
    score = decision.scores[record.method]
    assert score is not None
    return score.paper


def test_a_difference_of_less_than_one_example_is_no_win() -> None:
    one = with_test(made_search(method="adept"), seed=1)
    other = with_test(made_search(method="pt"), seed=1)
    assert one.test is not None and other.test is not None
    one.test.score, other.test.score = right(100, 139), right(100, 139) - 0.5
    one.test.metrics, other.test.metrics = {"accuracy": one.test.score}, {"accuracy": other.test.score}
    decision = ResultsSection([SearchView(one), SearchView(other)]).decisions[0]
    assert decision.scores["pt"] is not None and decision.scores["pt"].standing == "near"
    assert "not distinguishable: PT" in decision.verdict


def test_methods_on_other_rows_have_no_standing() -> None:
    high, low = searched(90.0, n=8), searched(40.0, method="pt", n=32)
    (decision,) = ResultsSection([SearchView(one.record) for one in (high, low)]).decisions
    assert decision.verdict.startswith("not comparable: ") and "8" in decision.verdict and "32" in decision.verdict
    assert [score.standing for score in decision.scores.values() if score is not None] == ["", ""]
    same = searched(40.0, method="pt", n=8)
    (decision,) = ResultsSection([SearchView(one.record) for one in (high, same)]).decisions
    assert "ADePT" in decision.verdict and decision.scores["adept"] is not None
    assert decision.scores["adept"].standing == "best"


def test_a_test_score_of_nothing_is_one() -> None:
    searches = [searched(0.0), searched(None, seed=2)]
    rows = ResultsSection([SearchView(one.record) for one in searches]).rows
    assert [row.status for row in rows] == ["tested", "not tested"]


def test_the_reports_own_tests_overrule_the_intervals() -> None:
    sweep = [record for record in made_sweep() if record.task == "rte" and record.method in ("adept", "lora")]
    views = [SearchView(record) for record in sweep]
    alone = ResultsSection(views)
    assert "not distinguishable" in alone.decisions[0].verdict
    best, other = sorted(alone.groups, key=lambda group: -sum(group.scores().values()))
    first, second = best.method, other.method
    clear = Comparison(
        backbone="t5-base",
        task="rte",
        metric="accuracy",
        first=first,
        second=second,
        pairs=3,
        difference=2.0,
        low=1.0,
        high=3.0,
        interval="t",
        p=0.2,
        p_holm=0.2,
        smallest_p=0.2,
        one_example=0.7,
        verdict="higher",
        why="",
    )
    results = ReportResults((), alone.groups, (clear,))
    assert "ahead of every other" in ResultsSection(views, results).decisions[0].verdict


def test_the_reports_tables_are_on_the_page(tmp_path: Path) -> None:
    sweep = [record for record in made_sweep() if record.task == "rte"]
    results = make_results(FoundSearches(tuple(FoundSearch(record) for record in sweep)))
    found = Page(write_results_page(sweep, tmp_path / "results.html", results))
    assert results.tables
    for grid in results.tables:
        assert formats.line(grid.title) in found.texts


def test_no_search_at_all(tmp_path: Path) -> None:
    assert "No search has a test score yet" in Page(write_results_page([], tmp_path / "none.html")).text
