from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trials.made_data import made_task, nano_tokenizer, numbered, write_rows, write_splits
from trials.data import prepare
from trials.errors import DataError
from trials.tasks.base import Task
from trials.tasks.targets import Labels


def problems_of(data_dir: Path, task: Task | None = None) -> list[str]:
    with pytest.raises(DataError) as caught:
        prepare(
            task or made_task(),
            nano_tokenizer(),
            architecture="encoder-decoder",
            data_dir=data_dir,
            cache_dir=data_dir / "cache",
        )
    return caught.value.problems


def damaged_text() -> pa.Table:
    """Two rows; the second text is the byte 0xe9, which is no UTF-8."""
    offsets = pa.py_buffer(b"\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00")
    text = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xe9")])
    return pa.table({"text": text, "label": [0, 1]})


def changed(place: int, **values: Any) -> list[dict[str, Any]]:
    rows = numbered(4)
    rows[place].update(values)
    return rows


@pytest.mark.parametrize(
    ("train", "pieces"),
    [
        (changed(2, label=-1), ["-1", "1 row (2;", "allows 0, 1", "GLUE's test split"]),
        (changed(1, label=7), ["7", "1 row (1;", "allows 0, 1"]),
        (changed(1, label=None), ["label column 'label' is null in 1 row (1;"]),
        (changed(3, text=None), ["column 'text' is null in 1 row (3;", "drop these rows"]),
        ([{"text": 5, "label": 0}], ["holds int64, not text"]),
        ([{"text": None, "label": 0}], ["null in every row"]),
        ([{"text": "a", "label": [0]}], ["list<", "write numbers or text"]),
        ([{"txt": "a", "label": 0}], ["no column 'text' (did you mean 'txt'?)", "'txt', 'label'"]),
        ([{"text": "a", "labels": 0}], ["no column 'label' (did you mean 'labels'?)"]),
        (pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())}), ["no rows"]),
        (damaged_text(), ["not valid UTF-8", "1 row (1;"]),
    ],
)
def test_a_wrong_row_is_named_with_its_file_and_rule(tmp_path: Path, train: Any, pieces: list[str]) -> None:
    [problem] = problems_of(write_splits(tmp_path, train=train))
    for piece in [*pieces, str(tmp_path / "made" / "toy" / "train.parquet")]:
        assert piece in problem


def test_many_wrong_rows_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    rows = [row | {"label": -1} for row in numbered(1_821)]
    [problem] = problems_of(write_splits(tmp_path, test=rows))
    assert "1,821 rows (0, 1, 2, 3, 4, ...; the first row is 0)" in problem


def test_many_wrong_values_are_not_all_listed(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": i} for i in range(100)]
    problems = problems_of(write_splits(tmp_path, train=rows))
    assert len(problems) == 6
    assert "93 further values" in problems[-1]


def test_all_problems_of_all_splits_come_at_once(tmp_path: Path) -> None:
    write_splits(tmp_path, train=changed(0, text=None, label=5), validation=changed(1, label=None))
    (tmp_path / "made" / "toy" / "test.parquet").write_bytes(b"PAR1 cut off")
    problems = problems_of(tmp_path, made_task(target=Labels({0: "0", 1: "\u2603"})))
    assert len(problems) == 5
    assert sum("train.parquet" in problem for problem in problems) == 2
    assert sum("validation.parquet" in problem for problem in problems) == 1
    assert sum("test.parquet: truncated" in problem for problem in problems) == 1
    assert sum("reads the label text '\u2603' back as" in problem for problem in problems) == 1


@pytest.mark.parametrize("keep", [0, 3, 60, -1])
def test_a_truncated_parquet_file_is_named(tmp_path: Path, keep: int) -> None:
    file = write_splits(tmp_path) / "made" / "toy" / "train.parquet"
    file.write_bytes(file.read_bytes()[:keep])
    [problem] = problems_of(tmp_path)
    assert str(file) in problem
    assert "copy or download it again" in problem


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    file = write_splits(tmp_path) / "made" / "toy" / "train.parquet"
    table = pa.Table.from_pylist(numbered(2_000))
    pq.write_table(table, file, compression="zstd", use_dictionary=False)
    content = bytearray(file.read_bytes())
    content[100:400] = bytes(300)
    file.write_bytes(content)
    [problem] = problems_of(tmp_path)
    assert "train.parquet: truncated, damaged" in problem


def test_a_folder_in_the_place_of_a_file_is_named_beside_the_other_problems(tmp_path: Path) -> None:
    file = write_splits(tmp_path, test=changed(1, label=7)) / "made" / "toy" / "train.parquet"
    file.unlink()
    file.mkdir()
    first, second = problems_of(tmp_path)
    assert f"{file}: not a file but a folder" in first
    assert "allows 0, 1" in second


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    file = write_splits(tmp_path) / "made" / "toy" / "train.parquet"
    file.chmod(0)
    [problem] = problems_of(tmp_path)
    assert f"{file}: cannot be read (Permission denied)" in problem


def test_other_sizes_than_the_published_ones_are_refused(tmp_path: Path) -> None:
    [problem] = problems_of(write_splits(tmp_path), made_task(sizes=(4, 4, 5)))
    assert "found train 4, validation 4, test 4 rows" in problem
    assert "expected are train 4, validation 4, test 5" in problem


def test_one_validation_row_cannot_be_halved(tmp_path: Path) -> None:
    [problem] = problems_of(write_splits(tmp_path, validation=numbered(1)), made_task(split="small"))
    assert "has 1 row, too few to halve" in problem


def test_a_thousand_rows_are_too_few_for_the_large_rule(tmp_path: Path) -> None:
    write_splits(tmp_path, train=numbered(1_000))
    [problem] = problems_of(tmp_path, made_task(split="large"))
    assert "has 1,000 rows, but split: large takes 1,000" in problem


def test_columns_that_the_task_does_not_use_may_hold_anything(tmp_path: Path) -> None:
    rows = [row | {"other": None, "many": [1, 2]} for row in numbered(4)]
    write_splits(tmp_path, train=rows)
    prepared = prepare(
        made_task(),
        nano_tokenizer(),
        architecture="encoder-decoder",
        data_dir=tmp_path,
        cache_dir=tmp_path / "cache",
    )
    assert prepared.sizes["train"] == 4


@pytest.mark.parametrize(
    ("labels", "mapping"),
    [
        ([0.0, 1.0], {0: "0", 1: "1"}),
        (["0", "1"], {0: "0", 1: "1"}),
        ([0, 1], {"0": "0", "1": "1"}),
        ([False, True], {False: "0", True: "1"}),
    ],
)
def test_labels_of_any_type_meet_the_mapping(tmp_path: Path, labels: list[Any], mapping: Any) -> None:
    rows = [{"text": "a", "label": label} for label in labels]
    folder = tmp_path / "made" / "toy"
    for split in ("train", "validation", "test"):
        write_rows(folder / f"{split}.parquet", rows)
    prepared = prepare(
        made_task(target=Labels(mapping)),
        nano_tokenizer(),
        architecture="encoder-decoder",
        data_dir=tmp_path,
        cache_dir=tmp_path / "cache",
    )
    assert prepared.split("train").batch([0, 1])[2] == ["0", "1"]
