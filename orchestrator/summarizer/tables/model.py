"""The one model of a table: every table of a report is built as this, and every writer prints it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["measured", "quoted", "missing", "label"]
Highlight = Literal["", "best", "second"]


@dataclass(frozen=True)
class Cell:
    """One cell of a table, not yet escaped for any form.

    Attributes:
        text: what is printed, without the spread and without highlights.
        spread: standard deviation as printed, without its sign; empty where there is none.
        value: the number behind the text, for files of data and for tables that a reader sorts.
        highlight: the best of its column in bold, the second underlined.
        n: seeds behind a measured score.
        one_example: points that one test example is worth; None where that is not known.
        sd: the number behind ``spread``, for files of data.
    """

    text: str
    kind: Kind = "label"
    value: float | None = None
    spread: str = ""
    highlight: Highlight = ""
    n: int = 0
    one_example: float | None = None
    sd: float | None = None


@dataclass(frozen=True)
class Column:
    """A column's heading; neighbours with the same ``group`` stand below one heading."""

    label: str
    group: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Row:
    """One row; ``section`` is the heading above it, where it differs from the row before."""

    cells: tuple[Cell, ...]
    section: str = ""


class MissingCells(NamedTuple):
    """What fills missing cells: a shell command, empty where no task of this version does; and the cells in words."""

    command: str
    cells: str


@dataclass(frozen=True)
class ReportTable:
    """A table for every writer.

    Attributes:
        name: of its file and its label, in small letters, digits and hyphens.
        notes: sentences below the table.
        missing: its missing cells, with the commands that fill them.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    missing: tuple[MissingCells, ...] = ()

    def cells(self) -> Iterator[tuple[Row, Column, Cell]]:
        """Every cell with its row and column."""
        for row in self.rows:
            for column, cell in zip(self.columns, row.cells, strict=True):
                yield row, column, cell


def columns(names: Iterable[str], texts: Container[str]) -> tuple[Column, ...]:
    """A column for each name; those in ``texts`` hold text, the others numbers."""
    return tuple(Column(name, numeric=name not in texts) for name in names)


def table_of(
    name: str,
    title: str,
    rows: Sequence[Mapping[str, Cell | str]],
    *,
    texts: Container[str],
    names: Iterable[str] = (),
    sections: Sequence[str] = (),
    notes: Iterable[str] = (),
) -> ReportTable:
    """A table from what each row has in each column.

    Args:
        texts: columns of text; the others hold numbers.
        names: the columns, where there may be no row.
        sections: each row's; left out, there are none.
    """
    made = (
        Row(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row.values()), section)
        for row, section in zip(rows, sections or [""] * len(rows), strict=True)
    )
    return ReportTable(name, title, columns(rows[0] if rows else names, texts), tuple(made), tuple(notes))
