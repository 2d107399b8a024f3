"""The summary of a search, in its three forms."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from orchestrator.record import formats
from orchestrator.record.record import SearchRecord, TestResult
from orchestrator.summarizer import terminal, write_summary
from orchestrator.summarizer.results.published import comparison
from orchestrator.summarizer.writers.frames import write_csv
from tests.orchestrator.made_records import make_record, make_trial, right


def searched(right_answers: int = 113, **fields: object) -> SearchRecord:
    score = right(right_answers, 139)
    return make_record(
        make_trial(1, [60.0, 62.0, 64.0, 66.0, right(110)]),
        make_trial(2, [55.0, 56.0], "stopped early", reason="4th of 5 at step 2,000"),
        make_trial(3, [50.0, math.nan], "diverged"),
        **{
            "parameters": {1: 76_051, 2: 76_061},
            "test": TestResult(1, score, {"accuracy": score}, 139, 100 / 139, 5_000),
            "wall_seconds": 4_000.0,
            "published": [asdict(row) for row in comparison("rte")],
            "adapter": "runs/rte/adapter",
            "tracking_uri": "sqlite:///my runs/mlflow.db",
            **fields,
        },
    )


def summary(record: SearchRecord, folder: Path) -> str:
    return write_summary(record, folder)[0].read_text(encoding="utf-8")


def printed(record: SearchRecord, width: int = 120) -> str:
    stream = io.StringIO()
    terminal(record, Console(file=stream, width=width))
    return stream.getvalue()


def fact(text: str, label: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"- {label}: "))


def test_the_summary_has_what_a_paper_would_print(tmp_path: Path) -> None:
    text = summary(searched(), tmp_path)
    assert "- Budget: 5,000 steps a trial, evaluated every 1,000 steps" in text
    assert "- Examples: train 2,490, validation 138, test 139" in text
    assert "| 1 \\* | 1 | 20 | 76,051 | 79.7 | 5,000 | 5,000 | 50.0 | finished |  |" in text
    assert "| stopped early | 4th of 5 at step 2,000 |" in text
    assert "- In every trial: prompt_lr 0.3, mlp_lr 1e-4" in text  # settings that never vary are no columns
    test = fact(text, "Test")
    assert "accuracy 81.3, read once, from the checkpoint of step 5,000" in test
    assert "(n 139, one example is 0.72 points, standard error 3.3, Wilson's 95 % interval 74.0 to 86.9)" in test
    assert "the constant best answer scores 54.7" in test
    assert fact(text, "Median") == "- Median: 56.0 (best validation scores of 3 of 3 trials)"
    assert fact(text, "Wall time").endswith("1 h 07 min")


def test_the_compute_saved_by_early_stopping_is_not_mixed_with_what_broke(tmp_path: Path) -> None:
    trained = fact(summary(searched(), tmp_path), "Trained")
    assert "9,000 of the 15,000 steps of 3 trials trained whole (60.0 %)" in trained
    assert "20.0 % saved by early stopping; 20.0 % not trained for other reasons" in trained


@pytest.mark.parametrize(
    ("right_answers", "words"),
    [
        (113, "ours is -0.7 points from it, within one example: no difference"),
        (111, "ours is -2.1 points from it, within one standard error: no difference"),
        (100, "ours is -10.1 points from it"),
    ],
)
def test_the_papers_number_stands_beside_ours_with_what_the_difference_means(
    tmp_path: Path, right_answers: int, words: str
) -> None:
    paper = fact(summary(searched(right_answers), tmp_path), "Paper")
    assert paper == f"- Paper: accuracy 82.0 on t5-base, quoted from Table 3; {words}"


def test_a_number_on_another_backbone_is_no_comparison(tmp_path: Path) -> None:
    paper = fact(summary(searched(backbone="t5-nano"), tmp_path), "Paper")
    assert paper == "- Paper: accuracy 82.0 on t5-base, quoted from Table 3; no comparison: ours is on t5-nano"


def test_a_number_in_another_metric_is_compared_with_the_same_metric_of_ours(tmp_path: Path) -> None:
    # CB selects on macro-F1 while the paper prints accuracy.
    test = TestResult(1, 89.5, {"f1_multiclass": 89.5, "accuracy": 92.857}, 28, 100 / 28, 5_000)
    fields: dict[str, Any] = {
        "task": "superglue-cb",
        "metric": "f1_multiclass",
        "published": [asdict(r) for r in comparison("cb")],
    }
    record = searched(**fields, test=test)
    text = summary(record, tmp_path)
    assert "accuracy 96.4 on t5-base, quoted from Table 3; ours is -3.5 points from it, within one example" in text
    assert "f1_multiclass 89.5, read once" in text
    assert "standard error" not in fact(text, "Test")  # an F1 has no binomial error
    record.test = TestResult(1, 89.5, {"f1_multiclass": 89.5}, 28, 100 / 28, 5_000)
    assert "no test accuracy of ours" in fact(summary(record, tmp_path), "Paper")


def test_a_task_of_our_own_has_no_number(tmp_path: Path) -> None:
    text = summary(searched(published=[]), tmp_path)
    assert fact(text, "Paper") == "- Paper: has no number for this task and method"
    assert "Published" not in text


def test_the_papers_number_is_not_quoted_beside_a_score_on_other_rows(tmp_path: Path) -> None:
    text = summary(searched(published=[], settings={"steps": 8, "data_sizes": "any"}), tmp_path)
    assert fact(text, "Paper") == "- Paper: is not quoted: its rows are others than these"
    assert "rows as they were given, perhaps a part of those published" in fact(text, "Examples")
    text = summary(searched(published=[], settings={"steps": 8, "sources": "mnli"}), tmp_path)
    assert fact(text, "Paper") == "- Paper: is not quoted: its own trials started from no adapter of another task"


def test_the_calls_to_copy_are_whole_and_hold_no_password(tmp_path: Path) -> None:
    text = summary(searched(), tmp_path)
    assert "`from trials import load_adapter; load_adapter('runs/rte/adapter').predict(['...'])`" in text
    assert "`mlflow ui --backend-store-uri 'sqlite:///my runs/mlflow.db'`" in text
    record = searched(tracking_uri="postgresql://mlflow:hunter2@db/mlflow")
    for shown in (summary(record, tmp_path), printed(record)):
        assert "hunter2" not in shown
        assert "@db/mlflow" in shown or "//db/mlflow" in shown
    assert "- Browse the runs: http://tracker:5000" in summary(searched(tracking_uri="http://tracker:5000"), tmp_path)
    assert "  from trials import load_adapter" in printed(searched(adapter="x/" * 60), width=60)
    assert "x/" * 60 in printed(searched(adapter="x/" * 60), width=60)


def test_names_cannot_break_the_markdown(tmp_path: Path) -> None:
    name, key, value = "rte_*bold*_ #1 &amp; <b>", "a|b", "_z_ [l](u) `k` ~~s~~ x\\|y snake_case 1*2*3"
    odd = make_trial(1, [70.0], configuration={key: value, "c": "two\nlines"})
    text = summary(make_record(odd, make_trial(2, [60.0]), name=name, task="`rte`"), tmp_path)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    # What a renderer shows must be what was there: only plain text, nothing emphasised, linked or taken for HTML.
    shown = ["".join(child.content for child in token.children or []) for token in tokens if token.type == "inline"]
    assert shown[0] == name
    assert "Task: `rte`" in shown
    assert shown.index(key) < shown.index(value) < shown.index("two lines")
    kinds = {child.type for token in tokens for child in token.children or []}
    assert kinds <= {"text", "text_special", "code_inline", "softbreak"}
    rows = [token for token in tokens if token.type == "tr_open"]
    cells = [token for token in tokens if token.type in ("th_open", "td_open")]
    assert (len(rows), len(cells) % len(rows)) == (3, 0)


def test_the_csv_has_every_value_as_it_is(tmp_path: Path) -> None:
    record = searched()
    record.trials[1].reason = 'a "quoted", reason\nover two lines'
    record.trials[1].configuration["extra"] = ["a", 1]
    path = write_summary(record, tmp_path)[1]
    with path.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["trial"] for line in lines] == ["1", "2", "3"]
    assert [line["winner"] for line in lines] == ["1", "0", "0"]
    assert float(lines[0]["best_score"]) == right(110)
    assert lines[0]["configuration/mlp_lr"] == "0.0001"
    assert lines[0]["configuration/extra"] == ""
    assert lines[1]["reason"] == 'a "quoted", reason\nover two lines'
    assert lines[1]["configuration/extra"] == '["a", 1]'


def test_no_text_in_a_csv_is_a_formula_and_numbers_stay_numbers(tmp_path: Path) -> None:
    texts = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "-1.5", "+2e-3", "-", "no = sign", "'", ""]
    kept = ["'=1+1", "'+1+1", "'-1+1", "'@SUM(A1)", "'\t=1", "'\r=1", "-1.5", "+2e-3", "'-", "no = sign", "'", ""]
    record = make_record(*(make_trial(place, [-1.5], error=text) for place, text in enumerate(texts, 1)))
    record.trials[0].configuration["=HYPERLINK(1)"] = "=2"
    tables = write_summary(record, tmp_path)[1], write_csv(trial_rows(record, texts), tmp_path / "report.csv")
    for table in tables:
        with table.open(encoding="utf-8", newline="") as stream:
            lines = {int(line["trial"]): line for line in csv.DictReader(stream)}
        assert [lines[place]["error"] for place in sorted(lines)] == kept
        assert {float(line["best_score"]) for line in lines.values()} == {-1.5}
        assert lines[1]["'=HYPERLINK(1)" if table == tables[1] else "configuration/=HYPERLINK(1)"] == "'=2"


def trial_rows(record: SearchRecord, texts: list[str]) -> list[dict[str, object]]:
    return [
        {"trial": trial.number, "error": text, "best_score": trial.best_score, "=HYPERLINK(1)": "=2"}
        for trial, text in zip(record.trials, texts, strict=True)
    ]


@pytest.mark.parametrize(
    "record",
    [
        make_record(),
        make_record(make_trial(1, [70.0])),
        make_record(make_trial(1, [math.nan], "diverged"), make_trial(2, [math.inf, math.nan], "diverged")),
        make_record(make_trial(1, status="waiting"), settings={}, sizes={}, majority={}),
        make_record(make_trial(1, [60.0], "interrupted"), make_trial(2, status="failed", error="boom")),
        make_record(make_trial(1, [60.0], configuration={}), test=TestResult(9, math.nan, {}, 0, math.nan, 0)),
        make_record(make_trial(1, [60.0]), published=[{"table": 3}, {"from": "a later version"}]),
    ],
    ids=["no trial", "one trial", "all diverged", "nothing known", "none finished", "odd test", "odd quotation"],
)
def test_whatever_the_search_came_to_there_is_a_summary(record: SearchRecord, tmp_path: Path) -> None:
    text = summary(record, tmp_path)
    assert "## Result" in text
    assert "nan" not in text.lower()
    assert "None" not in text
    for width in (40, 80, 200):
        assert record.name in printed(record, width)


def test_a_test_of_another_trial_than_the_winner_is_not_passed_off_as_the_winners(tmp_path: Path) -> None:
    record = searched()
    assert record.test is not None
    record.test.trial_number = 2
    assert "of trial 2, which is not the winner named here" in fact(summary(record, tmp_path), "Test")


def test_the_terminal_shows_the_same_result_and_leaves_out_columns_where_it_is_narrow() -> None:
    narrow, wide = printed(searched(), 80), printed(searched(), 160)
    assert max(map(len, narrow.splitlines())) <= 90  # the calls to copy are never folded
    for shown in (narrow, wide):
        assert "stopped early" in shown
        assert "accuracy 81.3" in shown
    assert "4th of 5" in wide
    assert "4th of 5" not in narrow


def test_the_terminal_cuts_a_long_search_and_says_where_the_rest_is(tmp_path: Path) -> None:
    record = make_record(*(make_trial(number, [50.0 + number / 10]) for number in range(1, 101)))
    assert "and 70 more trials, in summary.md and summary.csv" in printed(record)
    assert summary(record, tmp_path).count("| finished |") == 100


def test_drawn_configurations_take_a_line_each_on_a_narrow_terminal() -> None:
    drawn = [
        {
            "prompt_lr": 0.0571 + n / 1000,
            "mlp_lr": 4.61e-4 + n / 10_000,
            "prompt_length": 20 + n % 9,
            "bottleneck": 30 + n,
        }
        for n in range(24)
    ]
    trials = [
        make_trial(n, [50.0, 40.0 + n], "stopped early", configuration=one, every=30)
        for n, one in enumerate(drawn, start=1)
    ]
    lines = [line.rstrip() for line in printed(make_record(*trials), width=80).splitlines()]
    assert sum(line.endswith("stopped early") for line in lines) == 24
    first = next(place for place, line in enumerate(lines) if line.startswith("1 "))
    assert all(line.endswith("stopped early") for line in lines[first : first + 24])


def test_markup_and_escape_sequences_in_names_reach_no_terminal() -> None:
    record = make_record(make_trial(1, [70.0], configuration={"x": "[bold]\x1b[31mred[/nope]"}), name="a\x1b]0;b\x07")
    shown = printed(record)
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[bold]red[/nope]" in shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-4, "1e-4"),
        (0.0005, "5e-4"),
        (2.5e-5, "2.5e-5"),
        (0.3, "0.3"),
        (0.005, "0.005"),
        (0.0, "0"),
        (1.0, "1"),
        (0.31415926, "0.3142"),
        (30_000, "30,000"),
        (123_456.0, "123,456"),
        (1e9, "1e9"),
        (-1e-5, "-1e-5"),
        (9.9999e-4, "1e-3"),
        (True, "yes"),
        (None, "—"),
        ([1, 2], "[1, 2]"),
    ],
)
def test_settings_are_short(value: object, text: str) -> None:
    assert formats.value(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0 s"), (59.97, "1 min 00 s"), (754.0, "12 min 34 s"), (270_240.0, "75 h 04 min"), (math.nan, "—")],
)
def test_time_is_printed_in_two_units(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text
