"""Labels in the files of own tasks: one class under several spellings, and what no label can be."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trials.made_data import write_rows
from tests.trials.tasks.made_own_tasks import problems_of, task_of, three
from trials.data.rows import load_rows
from trials.data.sources import find_source
from trials.errors import RowsError, TaskError


def test_labels_that_the_rows_bring_are_a_fault_of_the_rows(tmp_path: Path) -> None:
    """Of a file of which nothing else is wrong; a metric that fits no labels at all is the file's."""
    for labels in ("good", "good bad odd"):
        files = three(tmp_path, "csv", "text,label\n" + "".join(f"{kind},{kind}\n" for kind in labels.split()))
        with pytest.raises(RowsError, match="f1 is binary"):
            task_of(tmp_path, files, "metrics: [f1]\n")
        with pytest.raises(TaskError, match="pearson is for") as caught:
            task_of(tmp_path, files, "metrics: [f1, pearson]\n")
        assert not isinstance(caught.value, RowsError)


def test_labels_that_nobody_can_have_meant_are_named_with_their_places(tmp_path: Path) -> None:
    train = 'text,label\na,billing\n"b\nb",billing \nc,Billing\nd,accounts\ne,""\nf,\ng,nan\nh,accounts\n'
    files = three(tmp_path, "csv", "text,label\na,billing\nb,accounts\n")
    (tmp_path / "train.csv").write_text(train)
    found = problems_of(tmp_path, files)
    assert len(found) == 4
    for piece in (
        "label column 'label': the label is empty in 1 row of train.csv (line 7)",
        "is null in 1 row of train.csv (line 8)",
        "is 'nan' in 1 row of train.csv (line 9)",
        "'billing' in 1 row of train.csv (line 2), 1 row of validation.csv (line 2)",
        "'billing ' in 1 row of train.csv (line 3)",
        "'Billing' in 1 row of train.csv (line 5)",
    ):
        assert any(piece in problem for problem in found), piece


def test_near_equal_labels_may_be_meant_where_all_are_listed(tmp_path: Path) -> None:
    files = three(tmp_path, "csv", "text,label\na,us\nb,US\n")
    assert "near-equal" in problems_of(tmp_path, files)[0]
    assert task_of(tmp_path, files, "labels: {us: 0, US: 1}\n").labels == {"us": "0", "US": "1"}


@pytest.mark.parametrize("pair", [("1.5", "1.50"), ("10", "010"), ("\uff21", "a"), ("true", "1"), ("\u200bx", "x")])
def test_spellings_of_one_label_are_near_equal(tmp_path: Path, pair: tuple[str, str]) -> None:
    files = three(tmp_path, "csv", "text,label\n" + "".join(f"a,{label}\n" for label in (*pair, "other")))
    assert "near-equal" in problems_of(tmp_path, files)[0]


def test_numbers_are_one_class_whatever_the_file_writes_them_as(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,1.0\nb,0.0\n")
    (tmp_path / "b.jsonl").write_text('{"text": "c", "label": 1}\n{"text": "d", "label": 0}\n')
    held = three(tmp_path, "csv", "text,label\na,1\nb,0\n").replace("train.csv", "[a.csv, b.jsonl]")
    task = task_of(tmp_path, held)
    assert task.labels == {"0": "0", "1": "1"}
    assert load_rows(task, find_source(task, None))["train"].targets == ["1", "0", "1", "0"]


def test_a_number_that_is_none_is_no_label(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        write_rows(
            tmp_path / f"{split}.parquet", pa.table({"text": ["a", "b", "c"], "label": [0.0, 1.0, float("nan")]})
        )
    files = "train: train.parquet, validation: validation.parquet, test: test.parquet"
    assert "'nan' in 1 row of train.parquet (row 2; the first row is 0)" in problems_of(tmp_path, files)[0]
    assert "is nan in 1 row" in problems_of(tmp_path, files, "labels: {0: a, 1: b}\n")[0]


def test_bytes_are_no_labels(tmp_path: Path) -> None:
    """Python would spell them b'x', and so would every prediction."""
    for split in ("train", "validation", "test"):
        pq.write_table(pa.table({"text": ["a", "b"], "label": [b"x", b"y"]}), tmp_path / f"{split}.parquet")
    [problem, *_] = problems_of(tmp_path, "train: train.parquet, validation: validation.parquet, test: test.parquet")
    assert "'label' holds binary" in problem and "write them as strings" in problem
