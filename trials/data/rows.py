"""From published splits to the examples of a task: checks, targets, and the split rules of ADePT's released code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trials.data.examples import SHOWN, Lines, Places, examples_of
from trials.data.sources import Source
from trials.data.texts import Rendered
from trials.errors import DataError
from trials.tasks.base import SPLITS, Task
from trials.tasks.targets import label_key

# The published splits come from this constant; the seed of a training run never moves them.
SPLIT_SEED = 42
VALIDATION_FROM_TRAIN = 1_000
HELD_OUT = 5  # of the first half of a task in halves, one row in so many is validation


@dataclass(frozen=True)
class Rows:
    """The examples of one split.

    Attributes:
        sources: source texts, made of their columns when they are asked for. targets: texts.
        starts: the first example of each published row, and their number at the end; None: each row is one example.
        groups: what each example belongs to; empty where there are no groups.
    """

    sources: Rendered
    targets: list[str]
    starts: list[int] | None = None
    groups: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def count(self) -> int:
        """Published rows."""
        return len(self) if self.starts is None else len(self.starts) - 1

    def take(self, rows: list[int]) -> Rows:
        """The examples of some published rows, in that order."""
        starts = self.starts
        places = rows if starts is None else [i for row in rows for i in range(starts[row], starts[row + 1])]
        groups = [self.groups[i] for i in places] if self.groups else []
        return Rows(self.sources.take(places), [self.targets[i] for i in places], groups=groups)


def joined(parts: Sequence[Rows], task: Task) -> Rows:
    """The examples of a split's files, one after the other. Groups without a name of their own become numbers."""
    sources = Rendered.joined([part.sources for part in parts])
    targets = [text for part in parts for text in part.targets]
    groups = [group for part in parts for group in part.groups]
    if task.examples is None:
        return Rows(sources, targets, None, groups)
    counts = [n for part in parts for n in np.diff(part.starts or [0]).tolist()]
    if task.group is None:
        groups = [str(row) for row, count in enumerate(counts) for _ in range(count)]
    return Rows(sources, targets, [0, *np.cumsum(counts).tolist()], groups)


def load_rows(task: Task, source: Source) -> dict[str, Rows]:
    """The checked examples of train, validation and test, after the split rule.

    Raises:
        DataError: all problems of all files at once.
    """
    problems: list[str] = []
    parts_of: dict[str, list[Rows]] = {}
    for split, parts in source.parts.items():
        parts_of[split] = []
        for part in parts:
            try:
                parts_of[split].append(check_rows(part.read(task), task, part.where, partial(part.lines, task)))
            except DataError as error:
                problems += error.problems
    if problems:
        # With a split unread the sizes below would only repeat what is reported already.
        raise DataError(problems)
    published = {split: joined(found, task) for split, found in parts_of.items()}
    counts = {split: rows.count for split, rows in published.items()}
    places = split_places(task, counts)
    rows = {split: published[origin].take(chosen) for split, (origin, chosen) in places.items()}
    sizes = tuple(len(rows[split]) for split in SPLITS)
    if task.sizes is not None and sizes != task.sizes:
        raise DataError(
            f"task '{task.name}': found {_sizes(sizes)} rows, expected are {_sizes(task.sizes)} "
            f"(published rows read: {', '.join(f'{split} {n:,}' for split, n in counts.items())}); "
            "the files are not the whole published data set; --data-sizes any takes them as they are"
        )
    return rows


def check_rows(table: pa.Table, task: Task, where: str, lines: Lines = lambda _: None) -> Rows:
    """The examples of one table as texts. Raises DataError: texts or targets that are null, of a wrong type or value.

    Args:
        where: how a message names the table.
        lines: of some rows, for messages; None where a row is no line.
    """
    if table.num_rows == 0:
        raise DataError(f"{where}: no rows; a split needs at least one")
    starts, place = None, Places(lines)
    if task.examples is not None:
        table, row_of = examples_of(table, task, where, place)
        starts, place = [0, *np.cumsum(np.bincount(row_of)).tolist()], Places(lines, row_of)
    problems: list[str] = []
    texts: dict[str, pa.ChunkedArray] = {}
    for name in task.columns:
        texts[name] = _decoded(table.column(name))
        problems += _text_problems(texts[name], f"{where}: column '{name}'", place)
    found, targets = _target_column(table.column(task.target.column), task, where, place)
    problems += found
    groups: list[str] = []
    if task.group is not None:
        column = table.column(task.group)
        if nulls := np.flatnonzero(pc.is_null(column).to_numpy(zero_copy_only=False)).tolist():
            problems.append(f"{where}: group column '{task.group}' is null in {place(nulls)}; name the group of each")
        groups = [label_key(value) for value in column.to_pylist()]  # one group, however a file spells a number
    if problems:
        raise DataError(problems)
    return Rows(Rendered(pa.table(texts), task.template), targets, starts, groups)


def _text_problems(column: pa.ChunkedArray, where: str, place: Places) -> list[str]:
    """What is wrong with a column that the template names."""
    kind = column.type
    if pa.types.is_null(kind) or column.null_count == len(column):
        return [f"{where} is null in every row; fill it, or take it out of the template"]
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return [f"{where} holds {column.type}, not text; write it as strings"]
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return [f"{where} is not valid UTF-8 text ({_bad_utf8(column, place)}); write it again as UTF-8"]
    nulls = np.flatnonzero(pc.is_null(column).to_numpy(zero_copy_only=False))
    if len(nulls):
        return [f"{where} is null in {place(nulls)}; drop these rows or fill in the text"]
    return []


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary-encoded column (pandas' categories) as its values, text views (Polars') as plain text.

    pyarrow 25 neither takes rows of views nor looks values up in them.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    kind = pa.large_string() if pa.types.is_string_view(kind) else kind
    return column if column.type == kind else column.cast(kind)


def _bad_utf8(column: pa.ChunkedArray, place: Places) -> str:
    """Which rows hold bytes that are no UTF-8."""
    bad = []
    for row, value in enumerate(column.cast(pa.large_binary()).to_pylist()):
        try:
            (value or b"").decode("utf-8")
        except UnicodeDecodeError:
            bad.append(row)
    return place(bad)


def _target_column(column: pa.ChunkedArray, task: Task, where: str, place: Places) -> tuple[list[str], list[str]]:
    """(problems, target texts) of the target's column."""
    kind = "label" if task.target.kind == "labels" else "target"
    where = f"{where}: {kind} column '{task.target.column}'"
    column = _decoded(column)
    try:
        column.validate(full=True)
        values: list[Any] = column.unique().to_pylist()
        codes = pc.index_in(column, value_set=pa.array(values, column.type)).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        return [f"{where} holds {column.type} that cannot be read as {kind}s ({error}); write numbers or text"], []
    problems: list[str] = []
    by_code: list[str] = []
    for code, value in enumerate(values):
        try:
            by_code.append("" if value is None else task.target.text_of(value))
            rule = "" if value is not None else f"drop these rows or {'label' if kind == 'label' else 'fill'} them"
        except ValueError as error:
            rule = f"task '{task.name}' {error}"
        if rule:
            shown = "null" if value is None else repr(value)
            problems.append(f"{where} is {shown} in {place(np.flatnonzero(codes == code))}; {rule}")
        if len(problems) == SHOWN and code + 1 < len(values):
            problems.append(f"{where}: {len(values) - code - 1} further values not checked")
            break
    return (problems, []) if problems else ([], [by_code[code] for code in codes])


def split_places(task: Task, counts: Mapping[str, int]) -> dict[str, tuple[str, list[int]]]:
    """Split -> (published split, its rows in order), by the task's split rule.

    small and large permute with `torch.randperm` under a generator seeded `SPLIT_SEED` (released code, `src/tasks.py`:
    `get_split_indices`); see `Task.split` for the rules.

    Args:
        task: gives the rule.
        counts: rows of each published split, in the order in which the rule reads them (`Task.raw_splits`).

    Raises:
        DataError: too few rows for the rule.
    """
    places: dict[str, tuple[str, list[int]]]
    train = ("train", list(range(counts.get("train", 0))))
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
    elif task.split == "halves":
        ((name, n),) = counts.items()
        rows, fifth = list(range(n)), n // 2 // HELD_OUT
        if not fifth:
            raise DataError(
                f"task '{task.name}': {n} rows cannot be halved and validated; give at least {2 * HELD_OUT}"
            )
        cuts = {
            "train": rows[: n // 2 - fifth],
            "validation": rows[n // 2 - fifth : n // 2],
            "test": rows[n // 2 :],
        }
        places = {split: (name, chosen) for split, chosen in cuts.items()}
    else:
        places = {split: (name, list(range(n))) for split, (name, n) in zip(SPLITS, counts.items(), strict=True)}
    name, first = places["train"]
    return places | {"train": (name, first[: task.most_train])}


def _permutation(n: int) -> list[int]:
    import torch

    return torch.randperm(n, generator=torch.Generator().manual_seed(SPLIT_SEED)).tolist()


def _sizes(sizes: tuple[int, ...]) -> str:
    return ", ".join(f"{split} {n:,}" for split, n in zip(SPLITS, sizes, strict=True))
