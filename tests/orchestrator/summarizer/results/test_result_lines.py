"""What a summary says of the winner beside the paper's number."""

from __future__ import annotations

from dataclasses import asdict

from orchestrator.record.record import TestResult
from orchestrator.record.selection import choose_winner
from orchestrator.summarizer.results.published import comparison
from orchestrator.summarizer.results.result_lines import result_lines
from tests.orchestrator.made_results import searched


def test_one_example_is_that_of_the_metric_which_the_paper_prints() -> None:
    """An F1 over three classes may fall by more than accuracy does, for which two examples are two."""
    found = {"f1_macro": 80.0, "accuracy": 100 * 25 / 28}
    record = searched(
        task="superglue-cb", metric="f1_macro", published=[asdict(row) for row in comparison("cb")]
    ).record
    record.test = TestResult(1, found["f1_macro"], found, 28, 12.0, 5_000)
    paper = next(line.text for line in result_lines(record, choose_winner(record)) if line.label == "Paper")
    assert "ours is -7.1 points from it" in paper and "one example" not in paper
