"""Published rows into examples, where a task makes several of one; and how messages name rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from trials.data.reading import all_utf8
from trials.errors import DataError
from trials.tasks.base import Task

SHOWN = 5
"""Rows, or kinds of problems, that messages name one by one."""

Lines = Callable[[Sequence[int]], "list[int] | None"]
"""Rows of a file -> the lines on which they begin; None where rows are no lines."""


class Places:
    """Rows as a message names them.

    Args:
        lines: of some rows.
        row_of: the row of each example, where messages count examples.
    """

    def __init__(self, lines: Lines, row_of: np.ndarray | None = None) -> None:
        self._lines, self._row_of = lines, row_of

    def __call__(self, places: Sequence[int] | np.ndarray) -> str:
        """Such as "3 rows (4, 9, 11; the first row is 0)", with the lines where rows are lines."""
        rows = np.asarray(places)
        if self._row_of is not None:
            rows = np.unique(self._row_of[rows])
        first = rows[:SHOWN].tolist()
        shown = ", ".join(map(str, first)) + (", ..." if len(rows) > SHOWN else "")
        known = self._lines(first)
        on = f"; on line{'s' if len(known) > 1 else ''} {', '.join(map(str, known))}" if known else ""
        return f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'} ({shown}; the first row is 0{on})"


def examples_of(table: pa.Table, task: Task, where: str, place: Places | None = None) -> tuple[pa.Table, np.ndarray]:
    """The examples of a table's rows with the task's `example_columns`, and the row of each, ascending.

    Raises:
        DataError: rows from which no examples can be made, texts that are no UTF-8, or columns that the examples lack.
    """
    assert task.examples is not None
    place = place or Places(lambda _: None)
    found: list[Mapping[str, Any]] = []
    row_of: list[int] = []
    wrong: dict[str, list[int]] = {}
    for number, row in enumerate(all_utf8(table, where).to_pylist()):
        try:
            made = list(task.examples.make(row))
        except (ValueError, KeyError, TypeError) as error:
            wrong.setdefault(str(error) if isinstance(error, ValueError) else repr(error), []).append(number)
            continue
        if not made:
            wrong.setdefault("gives no example", []).append(number)
        if gone := {name for example in made for name in task.example_columns if name not in example}:
            has = ", ".join(map(repr, made[0]))
            wrong.setdefault(f"its examples lack {', '.join(sorted(gone))} (the first has {has})", []).append(number)
        found += made
        row_of += [number] * len(made)
    if wrong:
        kinds = list(wrong.items())
        more = [f"{where}: {len(kinds) - SHOWN} further kinds of problems"] if len(kinds) > SHOWN else []
        raise DataError([f"{where}: {why} in {place(rows)}" for why, rows in kinds[:SHOWN]] + more)
    try:
        columns = {name: pa.array([example[name] for example in found]) for name in task.example_columns}
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"{where}: the examples of its rows have values of several types ({error})") from error
    return pa.table({name: pa.chunked_array([column]) for name, column in columns.items()}), np.asarray(row_of)
