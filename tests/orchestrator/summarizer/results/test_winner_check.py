"""Whether a search has found anything, in every writer in the same words."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.record.record import SearchRecord, TestResult
from orchestrator.summarizer.page import write_search_page
from orchestrator.summarizer.report import make_results, write_report
from orchestrator.summarizer.results.winner_check import above, check_winner
from orchestrator.summarizer.summary import terminal, write_summary
from tests.orchestrator.made_records import make_record, make_trial, right
from tests.orchestrator.made_results import found, searched


def scored(record: SearchRecord, score: float, n: int = 139) -> SearchRecord:
    record.test = TestResult(1, score, {record.metric: score}, n, 100.0 / n, 1_000)
    return record


def test_a_winner_far_above_the_constant_answer_is_taken() -> None:
    finding = check_winner(scored(make_record(make_trial(1, [right(100)]), make_trial(2, [right(90)])), 70.0))
    assert finding.verdict == "learnt"
    assert finding.headline == (
        "Take trial 1: validation accuracy 72.5, above the constant best answer's 50.7 (p < 0.001, one-sided exact "
        "binomial test, corrected for the choice of the best of 2 trials (Bonferroni))."
    )


@pytest.mark.parametrize("count", [70, 75, 80])  # 50.7, 54.3 and 58.0 against 50.7: noise for the best of eight
def test_a_winner_within_noise_of_the_constant_answer_has_learnt_nothing(count: int) -> None:
    trials = [make_trial(number, [right(count if number == 1 else 69)]) for number in range(1, 9)]
    finding = check_winner(scored(make_record(*trials), 46.8))
    assert finding.verdict == "nothing learnt"
    assert finding.headline.startswith("Nothing was learnt: trial 1, the best, has validation accuracy")
    assert not finding.recommended


def test_p_is_that_of_the_binomial_tail() -> None:
    # 8 or more of 10 at a half: (45 + 10 + 1) / 1024.
    assert above(80.0, 50.0, 10, "accuracy")[0] == pytest.approx(56 / 1024)
    # n phi^2 = 100 * 0.3^2 = 9 on one degree of freedom: z = 3.
    assert above(30.0, 0.0, 100, "matthews_correlation")[0] == pytest.approx(0.00134990, rel=1e-5)
    assert above(100.0, 100.0, 10, "accuracy")[0] == 1.0


def test_a_test_score_that_is_no_better_than_the_constant_takes_the_recommendation_back() -> None:
    finding = check_winner(scored(make_record(make_trial(1, [right(100)])), 46.8))
    assert finding.verdict == "not confirmed"
    assert "its test accuracy 46.8 is not above the constant best answer's 54.7" in finding.headline


def test_trials_that_all_tie_are_no_choice() -> None:
    tie = make_record(make_trial(1, [right(100)]), make_trial(2, [right(100)]), make_trial(3, [60.0], "stopped early"))
    finding = check_winner(scored(tie, 70.0))
    assert finding.verdict == "tie"
    assert finding.headline.startswith("All 2 trials that trained the full budget tie at 72.5: nothing was learnt of")
    constant = check_winner(make_record(make_trial(1, [right(70)]), make_trial(2, [right(70)])))
    assert constant.verdict == "nothing learnt"
    assert "All 2 trials that trained the full budget tie at 50.7" in constant.headline


def test_without_a_constant_answer_nothing_is_claimed() -> None:
    assert check_winner(make_record(make_trial(1, [90.0]), majority={})).verdict == "not known"
    assert check_winner(make_record(make_trial(1, [90.0], "failed"))).verdict == "no winner"


def test_every_form_says_that_nothing_was_learnt(tmp_path: Path) -> None:
    record = scored(make_record(make_trial(1, [right(72)]), make_trial(2, [right(70)])), 46.8)
    headline = "Nothing was learnt: trial 1, the best, has validation accuracy 52.2"
    write_summary(record, tmp_path)
    write_search_page(record, tmp_path / "report.html")
    printed = io.StringIO()
    terminal(record, Console(file=printed, width=200))
    texts = {
        name: (tmp_path / name).read_text(encoding="utf-8") for name in ("summary.md", "summary.tex", "report.html")
    }
    for form, text in {**texts, "terminal": printed.getvalue()}.items():
        assert headline in text, form
    assert "Take <strong>" not in texts["report.html"]
    assert "Take trial" not in printed.getvalue()
    document = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert document["searches"][0]["finding"]["verdict"] == "nothing learnt"


def test_a_report_of_many_searches_says_it_as_well(tmp_path: Path) -> None:
    poor = searched(50.0, trials=[make_trial(1, [right(72)])], name="poor")
    write_report(
        make_results(found(poor, searched(80.0, task="sst2"))), tmp_path, ("markdown", "html", "latex", "json")
    )
    for name in ("report.md", "report.html", "report.tex"):
        assert "poor: Nothing was learnt" in (tmp_path / name).read_text(encoding="utf-8"), name
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "none: ADePT is the highest, but not above the constant best answer" in page
    assert "poor: Nothing" in json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["notes"][0]


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_a_correlation_of_numbers_is_no_proportion(metric: str) -> None:
    p, test = above(20.0, 0.0, 100, metric)
    assert p == pytest.approx(0.02275, abs=1e-4)  # two standard errors of 0.1 above none
    assert test == "one-sided normal test of no correlation"
