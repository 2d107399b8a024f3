"""The files of an own task: found (a file, a pattern, a folder of shards), read, and the labels that are in them."""

from __future__ import annotations

import glob
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from trials.data.examples import examples_of
from trials.data.files import format_of, unknown_format
from trials.data.lines import places as in_file
from trials.data.reading import is_quoted, read_table
from trials.errors import DataError
from trials.tasks.base import Task
from trials.tasks.targets import is_no_label, label_key, near_key
from yaml_reader.home import from_home

DIGIT_LABELS = 10
_BYTES = {one.id for one in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(1))}
_PATTERN = re.compile(r"[*?\[]")
_SHARD = re.compile(r"^(.*)-(\d+)-of-(\d+)\.")


def located(files: Mapping[str, Sequence[str]], folder: Path) -> tuple[dict[str, tuple[Path, ...]], list[str]]:
    """(split -> its files in order, problems): patterns and folders become the files in them, sorted by name."""
    found: dict[str, tuple[Path, ...]] = {}
    problems: list[str] = []
    for split, named in files.items():
        paths: list[Path] = []
        for name in named:
            try:
                paths += _files_of(name, folder, split, problems)
            except OSError as error:  # a share that is away, a folder that this user may not look into
                problems.append(
                    f"{split}: {error.filename or folder / name} cannot be read ({error.strerror or error})"
                )
        problems += _missing_shards(paths)
        found[split] = tuple(paths)
    return found, problems


def _files_of(name: str, folder: Path, split: str, problems: list[str]) -> list[Path]:
    """The files that a name, a pattern or a folder stands for, in order; OSError where it cannot be looked at."""
    path = folder / from_home(name)
    if path.is_dir():
        return _in_folder(path, problems)
    if not _PATTERN.search(name) or path.exists():
        return [path]
    # Path.glob takes no pattern that begins at the root.
    matches = glob.glob(str(from_home(name)), root_dir=folder, recursive=True)  # noqa: PTH207
    if not matches:
        problems.append(f"{split}: no file matches {path}")
    return [file for file in sorted(folder / match for match in matches) if file.is_file()]


def _in_folder(folder: Path, problems: list[str]) -> list[Path]:
    """The files of rows in a folder; others are a problem, since rows may be in them, but for notes of the writer."""
    seen = sorted(path for path in folder.iterdir() if path.name[0] not in "._")
    inside = [path for path in seen if path.is_file()]
    if folders := [path.name for path in seen if path.is_dir()]:
        problems.append(
            f"{folder}: the folder holds folders ({', '.join(folders[:3])}{', ...' if len(folders) > 3 else ''}); the "
            f"pattern {folder.name}/**/* names the files in all of them"
        )
    elif not inside:
        problems.append(f"{folder}: the folder holds no files of rows")
    if unknown := [file for file in inside if format_of(file) is None]:
        problems.append(f"{unknown_format(unknown[0])}; a pattern, such as {folder.name}/*.parquet, leaves files out")
    return [file for file in inside if format_of(file) is not None]


def _missing_shards(files: Sequence[Path]) -> list[str]:
    """What is missing of shards that are named PREFIX-00000-of-00003."""
    groups: dict[tuple[Path, str], list[tuple[int, int]]] = defaultdict(list)
    for file in files:
        if shard := _SHARD.match(file.name):
            groups[file.parent, shard.group(1)].append((int(shard.group(2)), int(shard.group(3))))
    problems = []
    for (folder, prefix), known in groups.items():
        total = max(of for _, of in known)
        if gone := sorted(set(range(total)) - {number for number, _ in known}):
            problems.append(f"{folder}/{prefix}-*: {len(gone)} of {total} shards missing: number {gone}")
    return problems


@dataclass(frozen=True)
class LabelColumn:
    """The labels in one file.

    Attributes:
        row_of: the row of each label, where a row has several; None where each row has one.
    """

    split: str
    file: Path
    column: pa.ChunkedArray
    quoted: bool
    row_of: np.ndarray | None = None

    def where(self, places: np.ndarray) -> str:
        """The rows of some labels, as a message names them."""
        rows = places if self.row_of is None else np.unique(self.row_of[places])
        return in_file(self.file, rows.tolist(), self.quoted)


def read_files(task: Task) -> tuple[list[LabelColumn], list[str]]:
    """(labels, problems): files that cannot be read, columns that are missing, and a file that serves twice."""
    labels: list[LabelColumn] = []
    problems: list[str] = []
    used: dict[Path, str] = {}
    for split, named in (task.files or {}).items():
        for file in named:
            if file.resolve() in used:
                problems.append(f"{split} names {file}, which {used[file.resolve()]} names already")
                continue
            used[file.resolve()] = split
            try:
                table = read_table(file, task.read_columns, task.text_columns, task.tsv_quoting)
                table, row_of = examples_of(table, task, str(file)) if task.examples else (table, None)
                column = table.column(task.target.column)
                labels.append(LabelColumn(split, file, column, is_quoted(file, task.tsv_quoting), row_of))
            except DataError as error:
                problems += [f"{split}: {problem}" for problem in error.problems]
    return labels, problems


def labels_of(columns: Sequence[LabelColumn], name: str) -> tuple[dict[str, str], list[str]]:
    """(value -> digit, problems): the sorted distinct values of train's label column become "0", "1", ..."""
    found: dict[str, list[str]] = defaultdict(list)  # label -> where it stands
    train: set[str] = set()
    problems: list[str] = []
    for labels in columns:
        try:
            rows_of = _rows_by_key(labels.column)
        except (pa.ArrowException, TypeError, UnicodeDecodeError) as error:
            problems.append(f"{labels.file}: '{name}' holds {labels.column.type}, which are no labels ({error})")
            continue
        for key, rows in rows_of.items():
            where = labels.where(rows)
            if key is None or is_no_label(key):
                what = {None: "null", "": "empty"}.get(key and key.strip(), f"{key!r}")
                problems.append(
                    f"label column '{name}': the label is {what} in {where}; label these rows, or drop them"
                )
                continue
            found[key].append(where)
            train |= {key} if labels.split == "train" else set()
    problems += _near_equal(found, name)
    ordered = sorted(train, key=lambda key: (0, int(key), key) if re.fullmatch(r"-?[0-9]+", key) else (1, 0, key))
    if not problems and not 1 < len(train) <= DIGIT_LABELS:
        shown = ", ".join(repr(key) for key in ordered[:5]) + (", ..." if len(ordered) > 5 else "")
        problems.append(
            f"the label column '{name}' of train has {len(train)} distinct values ({shown}); 2 to {DIGIT_LABELS} can "
            "do without `labels`: name another label_column, or write `labels`"
        )
    return {key: str(digit) for digit, key in enumerate(ordered)}, problems


def _near_equal(found: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """Labels that were probably meant to be one."""
    alike: dict[str, list[str]] = defaultdict(list)
    for key in found:
        alike[near_key(key)].append(key)
    return [
        f"near-equal values in the label column '{name}': "
        + "; ".join(f"{key!r} in {', '.join(found[key])}" for key in keys)
        + "; write them alike, or, where each is meant, list all of them under `labels`"
        for keys in alike.values()
        if len(keys) > 1
    ]


def _rows_by_key(column: pa.ChunkedArray) -> dict[str | None, np.ndarray]:
    """Label -> its rows, ascending from 0; nulls stand under None. Raises TypeError: they are bytes."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.type.id in _BYTES:  # Python would spell them b'x'
        raise TypeError("write them as strings")
    encoded = column.combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    values, starts = np.unique(codes[order], return_index=True)
    rows: dict[str | None, np.ndarray] = {}
    for code, of_code in zip(values, np.split(order, starts[1:]), strict=True):
        key = None if code < 0 else label_key(encoded.dictionary[int(code)].as_py())
        rows[key] = np.sort(np.concatenate([rows[key], of_code])) if key in rows else of_code
    return rows
