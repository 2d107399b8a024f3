"""Sentences that must hold in the corners: one trial, a part of the grid, 0 and 100 %, a rung, a task with a title."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.plan.estimate import Device, warnings
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.record.binomial import interval, standard_error
from orchestrator.record.record import SearchRecord, TestResult
from orchestrator.record.selection import choose_winner
from orchestrator.schedulers.asha import Asha
from orchestrator.summarizer.page import write_results_page, write_search_page
from orchestrator.summarizer.report import make_results
from orchestrator.summarizer.summary import markdown, terminal
from orchestrator.summarizer.tables.trial_tables import configurations
from tests.orchestrator.made_records import make_record, make_trial, right
from tests.orchestrator.made_results import found, searched
from trials.tasks.metrics import METRICS, _equal, passes, same_text


def summary_of(record: SearchRecord) -> str:
    return markdown(record, choose_winner(record))


def test_one_trial_is_not_above_others_that_are_not_there() -> None:
    text = summary_of(make_record(make_trial(1, [right(100)])))
    assert "Not distinguishable: no other trial has a score to compare with" in text
    assert "of one trial trained whole" in text
    broken = summary_of(make_record(make_trial(1, [right(100)]), make_trial(2, [99.0], "failed")))
    assert "no other trial has a score" in broken
    two = summary_of(make_record(make_trial(1, [right(100)]), make_trial(2, [right(60)])))
    assert "none: the other trial is more than one example and one standard error below" in two
    higher = summary_of(make_record(make_trial(1, [right(100)]), make_trial(2, [99.0], "stopped early")))
    assert "standard error away" in higher


def test_a_part_of_a_grid_is_not_called_the_full_grid(tmp_path: Path) -> None:
    record = make_record(make_trial(1, [60.0] * 5), make_trial(2, [50.0], "stopped early"))
    assert "6,000 of the 10,000 steps of 2 trials trained whole (60.0 %)" in summary_of(record)
    printed = io.StringIO()
    terminal(record, Console(file=printed, width=200))
    page = write_search_page(record, tmp_path / "report.html").read_text(encoding="utf-8")
    for text in (summary_of(record), printed.getvalue(), page):
        assert "grid's" not in text and "full grid" not in text.lower()


@pytest.mark.parametrize(("score", "words"), [(100.0, "97.3 to 100.0"), (0.0, "0.0 to 2.7")])
def test_at_the_ends_an_interval_stands_in_the_place_of_a_standard_error_of_0(score: float, words: str) -> None:
    record = make_record(make_trial(1, [score]))
    record.test = TestResult(1, score, {"accuracy": score}, 139, 100 / 139, 1_000)
    text = summary_of(record)
    assert "standard error" not in text
    assert text.count(f"Wilson's 95 % interval {words}") == 2


def test_a_standard_error_at_100_is_as_far_as_wilsons_interval_of_one_standard_error_reaches() -> None:
    assert standard_error(100.0, 138, "accuracy") == pytest.approx(100 / 139)
    assert standard_error(100 * 137 / 138, 138, "accuracy") == pytest.approx(100 * (137 / 138 / 138 / 138) ** 0.5)
    bounds = interval(100.0, 138, "accuracy")
    assert bounds is not None and bounds[1] == 100.0 and bounds[0] == pytest.approx(97.29, abs=0.01)


def test_every_metric_that_counts_right_examples_has_an_error() -> None:
    """Only those: a share of words in common is no proportion of examples."""
    whole = {name for name, metric in METRICS.items() if metric.by_row in (_equal, same_text, passes)}
    assert {"accuracy", "exact_match", "group_accuracy", "pass_at_1"} < whole
    assert {name for name in METRICS if standard_error(50.0, 100, name) is not None} == whole
    assert interval(17.86, 487, "pass_at_1") == interval(17.86, 487, "accuracy")


def test_a_rung_and_the_table_tell_the_same_score_of_a_step() -> None:
    record = make_record(make_trial(1, [50.0, 60.0, 55.0]), make_trial(2, [40.0], "stopped early"))
    rung = Asha([1, 2], 5_000, 3_000, 2)
    for report in record.trials[0].reports:
        rung.note(1, report["step"], report["score"])
    decision = next(iter(rung.settle()))
    assert decision.sentence.startswith("at step 3,000: best so far 60.0 ")
    table = configurations(record)
    column = next(place for place, c in enumerate(table.columns) if c.label == "3,000")
    assert table.columns[column].group == "best up to step"
    assert [row.cells[column].text for row in table.rows] == ["60.0", "—"]


def test_a_tasks_title_reaches_the_tables_and_pages(tmp_path: Path) -> None:
    searches = [searched(80.0, "tickets", method, title="Help desk") for method in ("adept", "pt")]
    results = make_results(found(*searches))
    by_name = {grid.name: grid for grid in results.tables}
    assert [column.label for column in by_name["measured"].columns] == ["Method", "Help desk"]
    for name in ("scores", "comparisons"):
        assert by_name[name].rows[0].cells[0].text == "Help desk", name
    assert "Help desk" in results.trial_tables[0].title
    assert "Task: tickets (Help desk)" in summary_of(searches[0].record)
    page = write_results_page(results.records, tmp_path / "report.html", results).read_text(encoding="utf-8")
    assert '<th scope="row">Help desk<small>' in page


def test_a_search_of_days_is_announced_as_one() -> None:
    settings, problems = read_settings({"task": "rte"})
    plan = make_plan(settings, problems)
    (warning,) = warnings(plan, Device("CPU core", 2, 3e10, "made up"))
    assert warning.startswith("THIS TAKES ABOUT ") and "DAYS" in warning and "--backbone t5-nano" in warning
    assert warnings(plan, Device("GPU", 8, 1e14, "made up")) == []
