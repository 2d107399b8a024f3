"""Source texts that are rendered when they are asked for."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trials.made_data import made_task, nano_tokenizer, numbered, write_splits
from trials.data import prepare
from trials.data.rows import load_rows
from trials.data.sources import find_source
from trials.data.texts import Rendered

WORDS = [f"w{n}" for n in range(11)]
TEMPLATE = "a: {a} b: {b}"


def table_of(words: list[str], chunks: list[int], kind: pa.DataType | None = None) -> pa.Table:
    """The words in two columns, cut into chunks of so many rows, empty ones too."""
    cuts = np.cumsum([0, *chunks])
    parts = [pa.array(words[i:j], kind or pa.string()) for i, j in pairwise(cuts)]
    column = pa.chunked_array(parts)
    return pa.table({"a": column, "b": column})


def test_texts_are_the_same_whatever_the_chunks_and_the_order() -> None:
    wanted = [f"a: {word} b: {word}" for word in WORDS]
    for chunks in ([11], [0, 4, 0, 0, 6, 1, 0], [1] * 11):
        texts = Rendered(table_of(WORDS, chunks), TEMPLATE)
        assert texts == wanted and list(texts) == wanted and texts[-1] == wanted[-1] and texts[2:5] == wanted[2:5]
        order = [10, 0, 3, 3, 4, 9]
        taken = texts.take(order)
        assert taken == [wanted[i] for i in order]
        assert taken.take([5, 1])[:] == [wanted[9], wanted[0]] and len(texts.take([])) == 0


def test_texts_of_several_files_follow_one_another_also_of_other_types() -> None:
    first = Rendered(table_of(WORDS[:4], [1, 3]), TEMPLATE).take([3, 1])
    second = Rendered(table_of(WORDS[4:], [7], pa.large_string()), TEMPLATE)
    both = Rendered.joined([first, second])
    assert both == [f"a: {word} b: {word}" for word in ["w3", "w1", *WORDS[4:]]]
    assert both.take([1, 2]) == ["a: w1 b: w1", "a: w4 b: w4"]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_every_type_of_text_is_read(kind: pa.DataType, tmp_path: Path) -> None:
    write_splits(tmp_path)
    rows = pa.table({"text": pa.array(["é", "", "é"]).cast(kind), "label": [0, 1, 0]})
    pq.write_table(rows, tmp_path / "made" / "toy" / "test.parquet", store_schema=True)
    task = made_task()
    assert load_rows(task, find_source(task, tmp_path))["test"].sources == ["text: é", "text: ", "text: é"]
    names = pa.table({"text": ["a", "b"], "label": pa.array(["0", "1"]).cast(kind)})
    pq.write_table(names, tmp_path / "made" / "toy" / "test.parquet", store_schema=True)
    assert load_rows(task, find_source(task, tmp_path))["test"].targets == ["0", "1"]


def test_rows_of_many_batches_are_read_back_from_the_map(tmp_path: Path) -> None:
    count = 2_345
    prepared = prepare(
        made_task(), nano_tokenizer(), architecture="encoder-decoder",
        data_dir=write_splits(tmp_path, train=numbered(count)), cache_dir=tmp_path / "cache",
    )  # fmt: skip
    train = prepared.split("train")
    asked = [0, 999, 1_000, 2_344, 7]
    ids, targets, texts = train.batch(asked)
    assert [row.tolist() for row in ids] == nano_tokenizer()([f"text: row {n}" for n in asked])["input_ids"]
    assert texts == [str(n % 2) for n in asked] and len(train.targets) == len(train) == count
    assert not any(row.flags.owndata or row.flags.writeable for row in (*ids, *targets))  # the map's own pages
    assert prepared.report.splits["train"].rows == count
