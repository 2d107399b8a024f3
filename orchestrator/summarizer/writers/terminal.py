"""Tables and labelled lines on a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from orchestrator.record import formats
from orchestrator.summarizer.results.search_lines import Line
from orchestrator.summarizer.tables.model import Cell, Column, ReportTable, Row

_STYLES = {"best": "bold", "second": "underline", "": ""}
_GAP = 2  # columns between two cells
_CELL = 32  # columns that a text is given where a table is turned
# Of the table of trials: what a terminal must be this wide for, the rows that it shows, headings on two lines (as all
# names of two words are, since their values are short). Files have everything.
_ROOM = {"parameters": 100, "train s": 100, "why": 150}
_ROWS = 30
_ON_TWO_LINES = {"bottleneck": "bottle\nneck"}


def show(table: ReportTable, console: Console) -> None:
    """Print the table with its notes and the commands that fill its missing cells.

    Where it is wider than the terminal its columns become lines, for as many rows side by side as there is room for.
    """
    console.print(Text(formats.line(table.title), style="bold"))
    widths = [_width(table, place) for place in range(len(table.columns))]
    if sum(widths) + _GAP * (len(widths) - 1) <= console.width:
        console.print(_upright(table))
    else:
        for block in _turned(table, console.width):
            console.print(block)
    for note in table.notes:
        console.print(Text(formats.line(note), style="dim"))
    for command, cells in table.missing:
        console.print(Text(f"missing: {formats.line(cells)}"))
        if command:  # never folded: it is there to be copied
            console.print(Text(f"  {formats.line(command)}"), soft_wrap=True)
    console.print()


def show_trials(table: ReportTable, console: Console, files: str) -> None:
    """Print the best trials of a summary's table, without columns that a narrow terminal has no room for.

    Args:
        files: where all of them are.
    """
    kept = [place for place, column in enumerate(table.columns) if console.width >= _ROOM.get(column.label, 0)]
    titles = [_on_two_lines(column.label) for column in table.columns]
    rows = table.rows[:_ROWS]
    widths = [max(map(len, (*titles[place].split("\n"), *(row.cells[place].text for row in rows)))) for place in kept]
    between = 1 if sum(widths) + 2 * len(kept) <= console.width else 0  # beside the blank that the box has anyway
    shown = _empty(show_header=True, gap=between)
    shown.collapse_padding = True
    for place in kept:
        column = table.columns[place]
        side: Literal["left", "right"] = "right" if column.numeric else "left"
        shown.add_column(Text(titles[place]), justify=side, overflow="fold", no_wrap=column.label == "status")
    for row in rows:
        style = "bold green" if row.cells[0].text.endswith("*") else None
        shown.add_row(*(Text(formats.line(row.cells[place].text)) for place in kept), style=style)
    console.print()
    console.print(shown)
    if len(table.rows) > _ROWS:
        console.print(Text(f"and {len(table.rows) - _ROWS} more trials, in {files}"))
    for note in table.notes:
        console.print(Text(note, style="dim"))
    console.print()


def show_lines(lines: Sequence[Line], console: Console) -> None:
    """Print labelled lines; what is there to be copied comes last and is never folded."""
    grid = RichTable.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for line in lines:
        if not line.code:
            grid.add_row(Text(line.label), Text(formats.line(line.text)))
    console.print(grid)
    for line in lines:
        if line.code:
            console.print(Text(f"{line.label}:", style="dim"))
            console.print(Text(f"  {line.code}"), soft_wrap=True)


def _on_two_lines(label: str) -> str:
    return _ON_TWO_LINES.get(label) or re.sub("[_ ]", "\n", formats.line(label), count=1)


def _upright(table: ReportTable) -> RichTable:
    shown = _empty(show_header=True)
    for column in table.columns:
        shown.add_column(_heading(column), justify="right" if column.numeric else "left", overflow="fold")
    section = ""
    for row in table.rows:
        if row.section != section:
            section = row.section
            shown.add_row(Text(formats.line(section), style="italic dim"))
        shown.add_row(*(_cell(cell) for cell in row.cells))
    return shown


def _turned(table: ReportTable, width: int) -> list[RichTable]:
    """The table on its side: a line a column, in blocks of rows."""
    labels = [formats.line(" ".join(text for text in (column.group, column.label) if text)) for column in table.columns]
    room = width - max(map(cell_len, labels))
    at_once = max(room // (_CELL + _GAP), 1)
    return [_block(labels, table.rows[at : at + at_once]) for at in range(0, len(table.rows), at_once)]


def _block(labels: Sequence[str], rows: Sequence[Row]) -> RichTable:
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


def _empty(show_header: bool, gap: int = _GAP) -> RichTable:
    return RichTable(
        box=box.SIMPLE_HEAD if show_header else None,
        show_edge=False,
        show_header=show_header,
        pad_edge=False,
        padding=(0, gap, 0, 0),
    )


def _width(table: ReportTable, place: int) -> int:
    texts = [_heading(table.columns[place]), *(_cell(row.cells[place]) for row in table.rows)]
    return max(cell_len(line) for text in texts for line in text.plain.split("\n"))


def _heading(column: Column) -> Text:
    return Text("\n".join(formats.line(text) for text in (column.group, column.label) if text))


def _cell(cell: Cell) -> Text:
    text = Text(formats.line(cell.text), style=_STYLES[cell.highlight])
    if cell.spread:
        text.append(f" ± {formats.line(cell.spread)}", style="not bold not underline")
    if cell.n > 1:
        text.append(f" ({cell.n})", style="not bold not underline")
    return text
