"""The report on a task's rows: what is counted, and what is worth a warning."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.trials.made_data import made_task, nano_tokenizer, numbered, write_splits
from trials.data import prepare
from trials.data.report import DataReport, SplitReport
from trials.data.tokens import encode_sources
from trials.tasks.targets import Labels


def report_of(folder: Path, task: Any = None, **rows: Any) -> DataReport:
    return prepare(
        task or made_task(),
        nano_tokenizer(),
        architecture="encoder-decoder",
        data_dir=write_splits(folder / "data", **rows),
        cache_dir=folder / "cache",
    ).report


def rows(*pairs: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"text": text, "label": label} for text, label in pairs]


def texts_of(split: list[dict[str, Any]]) -> list[str]:
    return [f"text: {row['text']}" for row in split]


def spelled_tokens(*texts: str) -> int:
    return sum(map(len, encode_sources(texts, nano_tokenizer(), "encoder-decoder", 16)))


def test_everything_that_can_be_lost_is_counted(tmp_path: Path) -> None:
    train = rows(
        ("a\nb", 0), ("a b", 1), ("a b", 1),  # the tokenizer makes a blank of the line break
        ("退", 0), ("款", 1),  # and has no token for either
        ("good</s>bad", 0), ("<pad>", 1),
        ("word " * 20, 0), ("fine", 1),
    )  # fmt: skip
    report = report_of(tmp_path, train=train, test=[*numbered(2), *rows(("fine", 1))], validation=numbered(3))
    found = report.splits["train"]
    longest = [16 if len(ids) > 16 else len(ids) for ids in nano_tokenizer()(texts_of(train))["input_ids"]]
    assert found.tokens - sum(longest[:5] + longest[7:]) == spelled_tokens("text: good</s>bad", "text: <pad>")
    assert replace(found, tokens=0) == SplitReport(
        rows=9,
        classes={"0": 4, "1": 5},
        unknown_tokens=2,
        cut_rows=1,
        control_rows=2,
        merged_rows=5,
        conflicting_rows=5,
        repeated_rows=1,
    )
    assert report.control == ["</s>", "<pad>"]
    assert report.splits["validation"].in_train_rows == 0
    assert report.splits["test"].in_train_rows == 1
    assert report.splits["test"].in_validation_rows == 2
    said = "\n".join(report.warnings)
    for piece in (
        "does not know: their text is lost: train 2 of",
        "longer than 16 tokens, which are cut (see --max-source-length): train 1 of 9 (11.1 %)",
        "control tokens (</s>, <pad>), which are read as plain text: train 2 of 9 (22.2 %)",
        "another text: what told them apart is lost: train 5 of 9",
        "another class: look at their labels: train 5 of 9",
        "a row of train: scores say less about new rows: test 1 of 3",
        "a row of validation, which chooses the winner: test 2 of 3",
    ):
        assert piece in said


def test_sound_rows_give_no_warning(tmp_path: Path) -> None:
    report = report_of(tmp_path)
    assert report.warnings == []
    assert report.splits["train"].classes == {"0": 2, "1": 2}
    assert DataReport.from_dict(json.loads(json.dumps(report.as_dict()))) == report
    assert report_of(tmp_path) == report  # from the cache


def test_a_class_without_rows_is_named_with_its_own_label(tmp_path: Path) -> None:
    task = made_task(target=Labels({0: "no", 1: "yes", 2: "maybe"}))
    report = report_of(tmp_path, task, test=rows(("x", 0), ("y", 2)))
    assert "test has no row of class 1 (yes)" in report.warnings
    assert "train has no row of class 2 (maybe)" in report.warnings
