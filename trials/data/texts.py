"""Source texts that are made of their columns when they are asked for: a large data set is not held as Python texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import pyarrow as pa

from trials.tasks.base import render

_AT_ONCE = 1_000


class Rendered(Sequence[str]):
    """The rows of a table as source texts, in any order; rows may be left out or stand twice.

    Args:
        table: text columns without nulls.
        template: names some of them.
        places: the rows that stand here, int64 array (rows,); None: all of them as they lie.
    """

    def __init__(self, table: pa.Table, template: str, places: np.ndarray | None = None) -> None:
        self._table, self._template = table, template
        self._places = np.arange(table.num_rows) if places is None else places
        self._columns = {name: _Column(table.column(name)) for name in table.column_names}

    @classmethod
    def joined(cls, parts: Sequence[Rendered]) -> Rendered:
        """The texts of several, one after the other; of one template. Columns are not copied."""
        starts = np.cumsum([0, *(part._table.num_rows for part in parts)])
        places = [part._places + start for part, start in zip(parts, starts[:-1], strict=True)]
        tables = pa.concat_tables([part._table for part in parts], promote_options="permissive")
        return cls(tables, parts[0]._template, np.concatenate(places))

    def take(self, rows: Sequence[int]) -> Rendered:
        """Some of the texts, in that order."""
        return Rendered(self._table, self._template, self._places[np.asarray(rows, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self._texts(self._places[index])
        return self._texts(self._places[[index]])[0]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self[start : start + _AT_ONCE]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def _texts(self, places: np.ndarray) -> list[str]:
        found = [column.at(places) for column in self._columns.values()]
        names = list(self._columns)
        return [render(self._template, dict(zip(names, row, strict=True))) for row in zip(*found, strict=True)]


class _Column:
    """A chunked column of texts of which some rows are wanted: pyarrow's own `take` would join its chunks each time."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._chunks = [chunk for chunk in column.chunks if len(chunk)]
        self._starts = np.cumsum([0, *map(len, self._chunks)])[:-1]

    def at(self, places: np.ndarray) -> list[str]:
        """The texts of some rows, in their order."""
        chunk_of = np.searchsorted(self._starts, places, side="right") - 1
        texts = np.empty(len(places), dtype=object)
        for number in np.unique(chunk_of):
            here = np.flatnonzero(chunk_of == number)
            wanted = pa.array(places[here] - self._starts[number])
            texts[here] = self._chunks[number].take(wanted).to_pylist()
        found: list[str] = texts.tolist()
        return found
