"""One table on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.record import formats
from orchestrator.summarizer.results.model import Cell, Column, Grid, Row

_STYLES = {"best": "bold", "second": "underline", "": ""}
_GAP = 2  # columns between two cells
_CELL = 32  # columns that a text is given where a table is turned


def show(grid: Grid, console: Console) -> None:
    """Print the table with its notes and the commands that fill its missing cells.

    Where it is wider than the terminal its columns become lines, for as many rows side by side as there is room for.
    """
    console.print(Text(formats.line(grid.title), style="bold"))
    widths = [_width(grid, place) for place in range(len(grid.columns))]
    if sum(widths) + _GAP * (len(widths) - 1) <= console.width:
        console.print(_upright(grid))
    else:
        for table in _turned(grid, console.width):
            console.print(table)
    for note in grid.notes:
        console.print(Text(formats.line(note), style="dim"))
    for command, cells in grid.fill:
        console.print(Text(f"missing: {formats.line(cells)}"))
        if command:  # never folded: it is there to be copied
            console.print(Text(f"  {formats.line(command)}"), soft_wrap=True)
    console.print()


def _upright(grid: Grid) -> Table:
    table = _empty(show_header=True)
    for column in grid.columns:
        table.add_column(_heading(column), justify="right" if column.numeric else "left", overflow="fold")
    section = ""
    for row in grid.rows:
        if row.section != section:
            section = row.section
            table.add_row(Text(formats.line(section), style="italic dim"))
        table.add_row(*(_cell(cell) for cell in row.cells))
    return table


def _turned(grid: Grid, width: int) -> list[Table]:
    """The table on its side: a line a column, in blocks of rows."""
    labels = [formats.line(" ".join(text for text in (column.group, column.label) if text)) for column in grid.columns]
    room = width - max(map(cell_len, labels))
    at_once = max(room // (_CELL + _GAP), 1)
    return [_block(labels, grid.rows[at : at + at_once]) for at in range(0, len(grid.rows), at_once)]


def _block(labels: Sequence[str], rows: Sequence[Row]) -> Table:
    table = _empty(show_header=False)
    table.add_column(style="dim", no_wrap=True)
    for _ in rows:
        table.add_column(overflow="fold", max_width=_CELL)
    if any(row.section for row in rows):
        table.add_row("", *(Text(formats.line(row.section), style="italic dim") for row in rows))
    for place, label in enumerate(labels):
        table.add_row(label, *(_cell(row.cells[place]) for row in rows))
    table.add_row()
    return table


def _empty(show_header: bool) -> Table:
    return Table(
        box=box.SIMPLE_HEAD if show_header else None,
        show_edge=False,
        show_header=show_header,
        pad_edge=False,
        padding=(0, _GAP, 0, 0),
    )


def _width(grid: Grid, place: int) -> int:
    texts = [_heading(grid.columns[place]), *(_cell(row.cells[place]) for row in grid.rows)]
    return max(cell_len(line) for text in texts for line in text.plain.split("\n"))


def _heading(column: Column) -> Text:
    return Text("\n".join(formats.line(text) for text in (column.group, column.label) if text))


def _cell(cell: Cell) -> Text:
    text = Text(formats.line(cell.text), style=_STYLES[cell.mark])
    if cell.spread:
        text.append(f" ± {formats.line(cell.spread)}", style="not bold not underline")
    if cell.n > 1:
        text.append(f" ({cell.n})", style="not bold not underline")
    return text
