"""Scores of one task by several metrics, as of an own task whose file names another one first now."""

from __future__ import annotations

from orchestrator.summarizer.page.results_section import ResultsSection
from orchestrator.summarizer.page.search_view import SearchView
from orchestrator.summarizer.report import make_results
from orchestrator.summarizer.results.groups import make_groups
from orchestrator.summarizer.results.interquartile_means import interquartile_means
from orchestrator.summarizer.results.method_comparisons import compare_methods
from orchestrator.summarizer.results.saved_searches import FoundSearches
from tests.orchestrator.made_results import searched


def test_scores_by_other_metrics_are_neither_marked_nor_averaged_nor_decided() -> None:
    searches = [searched(90.0, task="mine", metric="f1"), searched(60.0, task="mine", method="pt")]
    groups, _ = make_groups(searches)
    assert interquartile_means(groups) == ()
    found, notes = compare_methods(groups)
    assert found == () and notes == ("mine: ADePT and PT on t5-base have no f1 in common, so they are not compared.",)
    (grid, *_) = make_results(FoundSearches(tuple(searches)), ()).tables
    assert not any(cell.highlight for row in grid.rows for cell in row.cells)
    assert "mine on t5-base: its metric differs between methods (f1 and accuracy), so no mark is set." in grid.notes
    (decision,) = ResultsSection([SearchView(one.record) for one in searches]).decisions
    assert decision.verdict == "not comparable: the methods were scored by other metrics (f1 and accuracy)"
    assert [score.standing for score in decision.scores.values() if score is not None] == ["", ""]
