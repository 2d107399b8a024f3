"""From published splits to the rows of a task: checks, labels, and the split rules of ADePT's released code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trials.data.sources import Source
from trials.errors import DataError
from trials.tasks.base import SPLITS, Task, label_key

# The published splits come from this constant; the seed of a training run never moves them.
SPLIT_SEED = 42
VALIDATION_FROM_TRAIN = 1_000
_SHOWN = 5
Lines = Callable[[Sequence[int]], "list[int] | None"]


@dataclass(frozen=True)
class Rows:
    """Source texts and target texts of one split, row by row."""

    sources: list[str]
    targets: list[str]

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, places: list[int]) -> Rows:
        """The rows at `places`, in that order."""
        return Rows([self.sources[i] for i in places], [self.targets[i] for i in places])


def load_rows(task: Task, source: Source) -> dict[str, Rows]:
    """The checked rows of train, validation and test, after the split rule.

    Raises:
        DataError: all problems of all files at once.
    """
    problems: list[str] = []
    published: dict[str, Rows] = {}
    for split, parts in source.parts.items():
        rows, sound = Rows([], []), True
        for part in parts:
            try:
                read = check_rows(part.read(task), task, part.where, partial(part.lines, task))
            except DataError as error:
                problems += error.problems
                sound = False
            else:
                rows.sources.extend(read.sources)
                rows.targets.extend(read.targets)
        if sound:
            published[split] = rows
    if problems:
        # With a split unread the sizes below would only repeat what is said already.
        raise DataError(problems)
    places = split_places(task, {split: len(rows) for split, rows in published.items()})
    return {split: published[origin].take(chosen) for split, (origin, chosen) in places.items()}


def check_rows(table: pa.Table, task: Task, where: str, lines: Lines = lambda _: None) -> Rows:
    """The rows of one table as texts. Raises DataError: text or labels that are null, of a wrong type or value.

    Args:
        where: how a message names the table.
        lines: of some rows, for messages; None where a row is no line.
    """
    if table.num_rows == 0:
        raise DataError(f"{where}: no rows; a split needs at least one")
    problems: list[str] = []
    texts: dict[str, list[str]] = {}
    for name in task.columns:
        found, values = _text_column(table.column(name), f"{where}: column '{name}'", lines)
        problems += found
        texts[name] = values
    found, targets = _label_column(table.column(task.label_column), task, where, lines)
    problems += found
    if problems:
        raise DataError(problems)
    sources = [task.render(dict(zip(texts, row, strict=True))) for row in zip(*texts.values(), strict=True)]
    return Rows(sources, targets)


def _text_column(column: pa.ChunkedArray, where: str, lines: Lines) -> tuple[list[str], list[str]]:
    """(problems, texts) of a column that the template names."""
    column = _decoded(column)
    kind = column.type
    if pa.types.is_null(kind) or column.null_count == len(column):
        return [f"{where} is null in every row; fill it, or take it out of the template"], []
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        return [f"{where} holds {column.type}, not text; write it as strings"], []
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return [f"{where} is not valid UTF-8 text ({_bad_utf8(column, lines)}); write it again as UTF-8"], []
    nulls = np.flatnonzero(pc.is_null(column).to_numpy(zero_copy_only=False))
    if len(nulls):
        return [f"{where} is null in {_places(nulls, lines)}; drop these rows or fill in the text"], []
    return [], column.to_pylist()


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary-encoded column (pandas' categories) as its values."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _bad_utf8(column: pa.ChunkedArray, lines: Lines) -> str:
    """Which rows hold bytes that are no UTF-8."""
    bad = []
    for row, value in enumerate(column.cast(pa.large_binary()).to_pylist()):
        try:
            (value or b"").decode("utf-8")
        except UnicodeDecodeError:
            bad.append(row)
    return _places(np.asarray(bad), lines)


def _label_column(column: pa.ChunkedArray, task: Task, where: str, lines: Lines) -> tuple[list[str], list[str]]:
    """(problems, target texts) of the label column."""
    where = f"{where}: label column '{task.label_column}'"
    column = _decoded(column)
    try:
        column.validate(full=True)
        values: list[Any] = column.unique().to_pylist()
        codes = pc.index_in(column, value_set=pa.array(values, column.type)).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        return [f"{where} holds {column.type} that cannot be read as labels ({error}); write numbers or text"], []
    targets = {label_key(value): target for value, target in task.labels.items()}
    allowed = ", ".join(targets)
    problems = []
    for code, value in enumerate(values):
        rows = (
            "" if value is not None and label_key(value) in targets else _places(np.flatnonzero(codes == code), lines)
        )
        if value is None:
            problems.append(f"{where} is null in {rows}; drop these rows or label them")
        elif label_key(value) not in targets:
            why = "; -1 is how the hub marks rows without a label, such as GLUE's test split" if value == -1 else ""
            problems.append(f"{where} is {value!r} in {rows}; task '{task.name}' allows {allowed}{why}")
        if len(problems) == _SHOWN and code + 1 < len(values):
            problems.append(f"{where}: {len(values) - code - 1} further values not checked")
            break
    if problems:
        return problems, []
    by_code = [targets[label_key(value)] for value in values]
    return [], [by_code[code] for code in codes]


def _places(rows: np.ndarray, lines: Lines) -> str:
    """Such as "3 rows (4, 9, 11; the first row is 0)", with the lines where rows are lines."""
    first = rows[:_SHOWN].tolist()
    shown = ", ".join(map(str, first)) + (", ..." if len(rows) > _SHOWN else "")
    known = lines(first)
    on = f"; on line{'s' if len(known) > 1 else ''} {', '.join(map(str, known))}" if known else ""
    return f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'} ({shown}; the first row is 0{on})"


def split_places(task: Task, counts: Mapping[str, int]) -> dict[str, tuple[str, list[int]]]:
    """Split -> (published split, its rows in order), by the task's split rule.

    small and large permute with `torch.randperm` under a generator seeded `SPLIT_SEED` (released code, `src/tasks.py`:
    `get_split_indices`); see `Task.split` for the rules.

    Args:
        task: gives the rule and the sizes that must come out.
        counts: rows of each published split.

    Raises:
        DataError: too few rows for the rule, or sizes other than the published ones.
    """
    places: dict[str, tuple[str, list[int]]]
    train = ("train", list(range(counts["train"])))
    if task.split == "small":
        n = counts["validation"]
        if n < 2:
            raise DataError(
                f"task '{task.name}': its validation has {n} row, too few to halve into validation and test; "
                "give at least 2, or split: as_given with a test of its own"
            )
        order = _permutation(n)
        places = {
            "train": train,
            "validation": ("validation", order[: n // 2]),
            "test": ("validation", order[n // 2 :]),
        }
    elif task.split == "large":
        n = counts["train"]
        if n <= VALIDATION_FROM_TRAIN:
            raise DataError(
                f"task '{task.name}': its train has {n:,} rows, but split: large takes "
                f"{VALIDATION_FROM_TRAIN:,} of them for validation and trains "
                "on the rest; give more, or split: small or as_given"
            )
        order = _permutation(n)
        held_out = next(split for split in counts if split != "train")
        places = {
            "train": ("train", order[VALIDATION_FROM_TRAIN:]),
            "validation": ("train", order[:VALIDATION_FROM_TRAIN]),
            "test": (held_out, list(range(counts[held_out]))),
        }
    else:
        places = {"train": train} | {split: (split, list(range(counts[split]))) for split in SPLITS if split != "train"}
    found = tuple(len(places[split][1]) for split in SPLITS)
    if task.sizes is not None and found != task.sizes:
        raise DataError(
            f"task '{task.name}': found {_sizes(found)} rows, expected are {_sizes(task.sizes)} "
            f"(published rows read: {', '.join(f'{split} {n:,}' for split, n in counts.items())}); "
            "the files are not the whole published data set"
        )
    return places


def _permutation(n: int) -> list[int]:
    import torch

    return torch.randperm(n, generator=torch.Generator().manual_seed(SPLIT_SEED)).tolist()


def _sizes(sizes: tuple[int, ...]) -> str:
    return ", ".join(f"{split} {n:,}" for split, n in zip(SPLITS, sizes, strict=True))
