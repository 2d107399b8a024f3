"""Files as people have them: compression, patterns, folders of shards, several formats, texts that no reader takes."""

from __future__ import annotations

import bz2
import errno
import gzip
import json
import lzma
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trials.made_data import write_rows
from tests.trials.tasks.made_own_tasks import problems_of, rows_of, task_of, three
from trials.data.reading import read_whole
from trials.data.rows import load_rows
from trials.data.sources import find_source
from trials.errors import DataError, RowsError, TaskError


def test_a_folder_that_cannot_be_looked_into_is_a_fault_of_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a share that is away, or without the right to read it: no command may end with a traceback for it."""
    (tmp_path / "shards").mkdir()
    (tmp_path / "rest.csv").write_text("text,label\none,x\ntwo,y\n")

    def away(path: Path) -> Iterator[Path]:
        raise OSError(errno.ESTALE, "Stale file handle", str(path))

    monkeypatch.setattr(Path, "iterdir", away)
    with pytest.raises(RowsError, match=r"train: .*shards cannot be read \(Stale file handle\)"):
        task_of(tmp_path, "train: shards, validation: rest.csv, test: [rest.csv]")


@pytest.mark.parametrize(
    ("ending", "pack"),
    [
        ("gz", gzip.compress),
        ("bz2", bz2.compress),
        ("xz", lzma.compress),
        ("zst", lambda content: pa.compress(content, "zstd", asbytes=True)),
    ],
)
def test_compressed_files_are_read(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    lines = "".join(json.dumps({"text": f"row {i}", "label": i % 2}) + "\n" for i in range(4)).encode()
    for name, content in {"train.jsonl": lines, "validation.csv": b"text,label\na,0\nb,1\n"}.items():
        (tmp_path / f"{name}.{ending}").write_bytes(pack(content))
    (tmp_path / "test.csv").write_text("text,label\na,0\nb,1\n")
    files = f"train: train.jsonl.{ending}, validation: validation.csv.{ending}, test: test.csv"
    assert rows_of(task_of(tmp_path, files)) == ["row 0", "row 1", "row 2", "row 3"]
    (tmp_path / f"train.jsonl.{ending}").write_bytes(pack(lines)[:-9])
    assert "damaged" in problems_of(tmp_path, files)[0]


@pytest.mark.parametrize(("name", "piece"), [("x.csv.zip", "unpack it first"), ("x.parquet.gz", "unpack it first")])
def test_what_is_not_read_says_how(tmp_path: Path, name: str, piece: str) -> None:
    files = three(tmp_path, "csv", "text,label\na,0\nb,1\n").replace("train.csv", name)
    (tmp_path / name).write_bytes(b"PK")
    assert piece in problems_of(tmp_path, files)[0]


def test_patterns_and_folders_of_shards_are_read_in_order(tmp_path: Path) -> None:
    for number in range(3):
        rows = pa.table({"text": [f"row {number}"], "label": [number % 2]})
        write_rows(tmp_path / "train" / f"part-{number:05d}-of-00003.parquet", rows)
        write_rows(tmp_path / f"held-{number}.parquet", rows)
    (tmp_path / "train" / "_SUCCESS").touch()
    three(tmp_path, "csv", "text,label\na,0\nb,1\n")
    files = 'train: train, validation: ["held-[01].parquet", validation.csv], test: "test.*"'
    task = task_of(tmp_path, files)
    assert rows_of(task) == ["row 0", "row 1", "row 2"]
    assert task.files is not None
    assert [file.name for file in task.files["validation"]] == ["held-0.parquet", "held-1.parquet", "validation.csv"]

    (tmp_path / "train" / "part-00001-of-00003.parquet").unlink()
    (tmp_path / "train" / "notes.xlsx").touch()
    found = "\n".join(problems_of(tmp_path, files.replace("test.*", "tets*")))
    for piece in ("1 of 3 shards missing: number [1]", "unknown format '.xlsx'", "no file matches"):
        assert piece in found
    (tmp_path / "train" / "2026").mkdir()
    assert "train: the folder holds folders (2026); the pattern train/**/*" in "".join(problems_of(tmp_path, files))


def shards(folder: Path, columns: Mapping[str, Sequence[object]]) -> str:
    """Rows in three shards of three formats, two of them compressed; the three splits are alike."""
    for split in ("train", "validation", "test"):
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        third = len(rows) // 3
        lines = "".join(json.dumps(row) + "\n" for row in rows[third : 2 * third])
        head, *cells = [",".join(map(str, row)) for row in [list(columns), *(row.values() for row in rows[:third])]]
        (folder / split / "a").mkdir(parents=True)
        (folder / split / "a" / "0.csv.gz").write_bytes(gzip.compress("\n".join([head, *cells]).encode()))
        both = [pa.compress(half.encode(), "zstd", asbytes=True) for half in lines.splitlines(keepends=True)]
        (folder / split / "a" / "1.jsonl.zst").write_bytes(b"".join(both))  # as `zstd` appends: a frame after the other
        write_rows(folder / split / "b.parquet", pa.Table.from_pylist(rows[2 * third :]))
    return ", ".join(f'{split}: "{split}/**/*.*"' for split in ("train", "validation", "test"))


def test_texts_from_shards_of_several_formats(tmp_path: Path) -> None:
    texts: dict[str, list[str]] = {
        "text": [f"t{i}" for i in range(6)],
        "part": ["belt", "2026-01-01", "1", "1", "a seal", "2"],
    }
    task = task_of(tmp_path, shards(tmp_path, texts), "target: {type: text, column: part}\n")
    rows = load_rows(task, find_source(task, None))["train"]
    assert (rows.sources, rows.targets) == (texts["text"], texts["part"])


def test_numbers_from_shards_of_several_formats(tmp_path: Path) -> None:
    days: dict[str, list[object]] = {"text": [f"t{i}" for i in range(6)], "days": [1, 0.24, 5, 2.5, 3, 4.76]}
    target = "target: {type: number, column: days, range: [0, 5], step: 0.5}\n"
    task = task_of(tmp_path, shards(tmp_path, days), target)
    assert load_rows(task, find_source(task, None))["train"].targets == ["1.0", "0.0", "5.0", "2.5", "3.0", "5.0"]


def test_a_group_is_one_in_shards_of_several_formats(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {
        "text": [f"t{i}" for i in range(6)],
        "label": [0, 1] * 3,
        "asked": [1, 2, 1, 2, 1.0, 2.0],
    }
    more = "group: asked\nmetrics: [accuracy, group_accuracy]\n"
    task = task_of(tmp_path, shards(tmp_path, columns), more)
    assert load_rows(task, find_source(task, None))["train"].groups == ["1", "2"] * 3


def test_a_column_with_a_dot_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a.b,label\none,x\ntwo,y\n")
    (tmp_path / "test.jsonl").write_text('{"a.b": "one", "label": "x"}\n{"a.b": "two", "label": "y"}\n')
    write_rows(
        tmp_path / "held.parquet", pa.table({"a.b": ["one", "two"], "a": [{"b": "no"}] * 2, "label": ["x", "y"]})
    )
    task = task_of(tmp_path, "train: train.csv, validation: held.parquet, test: test.jsonl", template="{a.b}!")
    for rows in load_rows(task, find_source(task, None)).values():
        assert rows.sources == ["one!", "two!"]


def test_utf16_is_named(tmp_path: Path) -> None:
    files = three(tmp_path, "csv", "text,label\na,x\nb,y\n")
    (tmp_path / "train.csv").write_bytes("text,label\na,x\nb,y\n".encode("utf-16"))
    assert "train.csv: is UTF-16, not UTF-8; save the file as UTF-8" in problems_of(tmp_path, files)[0]


def test_a_wrong_row_is_named_with_its_line(tmp_path: Path) -> None:
    files = three(tmp_path, "csv", "text,label\na,x\nb,y\n")
    (tmp_path / "test.csv").write_text('text,label\n"a\na",x\n,y\nc,X\n')
    found = "\n".join(problems_of(tmp_path, files, "labels: {x: 0, y: 1}\n"))
    assert "column 'text' is null in 1 row (1; the first row is 0; on line 4)" in found
    assert "is 'X' in 1 row (2; the first row is 0; on line 5)" in found


def test_texts_that_look_like_dates_keep_their_spelling_in_json_lines(tmp_path: Path) -> None:
    rows = [
        {"text": f"2024-01-0{n}", "label": f"2024-0{n}-01", "more": [{"on": "2024-01-02T03:04:05Z"}]} for n in (1, 2)
    ]
    files = three(tmp_path, "jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    task = task_of(tmp_path, files)
    assert dict(task.labels) == {"2024-01-01": "0", "2024-02-01": "1"}
    assert rows_of(task) == ["2024-01-01", "2024-01-02"]
    assert read_whole(tmp_path / "train.jsonl", ["text"]).to_pylist() == rows


def test_a_column_of_nulls_is_not_called_missing_in_json_lines(tmp_path: Path) -> None:
    files = three(tmp_path, "jsonl", '{"text": null, "label": "x"}\n{"text": null, "label": "y"}\n')
    assert all("column 'text' is null in every row" in problem for problem in problems_of(tmp_path, files))


def test_a_text_in_a_list_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    offsets = pa.array([0, 1, 2], pa.int32()).buffers()[1]
    texts = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xe9")])
    asked = pa.ListArray.from_arrays([0, 1, 2], pa.array([{"answer": "p", "label": 0}, {"answer": "q", "label": 1}]))
    for split in ("train", "validation", "test"):
        pq.write_table(pa.table({"text": texts, "asked": asked}), tmp_path / f"{split}.parquet")
    files = "train: train.parquet, validation: validation.parquet, test: test.parquet"
    more = "each: asked\nlabel_column: asked.label\n"
    with pytest.raises((TaskError, DataError), match="column 'text' is not valid UTF-8"):
        task_of(tmp_path, files, more, template="{text} {asked.answer}")
