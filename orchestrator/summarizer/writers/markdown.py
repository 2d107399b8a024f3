"""Tables as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.record import formats
from orchestrator.summarizer.results.search_lines import Line
from orchestrator.summarizer.tables.model import Cell, Column, MissingCells, ReportTable


def render(table: ReportTable, level: int = 2) -> str:
    """Heading, table, notes and the commands that fill its missing cells."""
    blocks = [f"{'#' * level} {formats.markdown(table.title)}", body(table) if table.rows else "No row."]
    if table.notes:
        blocks.append(_bulleted(table.notes))
    blocks += _missing(table.missing)
    return "\n\n".join(blocks)


def body(table: ReportTable) -> str:
    """The rows below their headings alone."""
    lines = [[_heading(column) for column in table.columns]]
    lines.append(["---:" if column.numeric else "---" for column in table.columns])
    section = ""
    for row in table.rows:
        if row.section != section:
            section = row.section
            label = f"_{formats.markdown(section)}_" if section else ""
            lines.append([label, *[""] * (len(table.columns) - 1)])
        lines.append([_cell(cell) for cell in row.cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(lines: Sequence[Line]) -> str:
    """Labelled lines as a list."""
    return "\n".join(
        f"- {formats.markdown(line.label)}: {code(line.code) if line.code else formats.markdown(line.text)}"
        for line in lines
    )


def document(title: str, tables: Sequence[ReportTable], notes: Sequence[str] = ()) -> str:
    """A whole page of tables."""
    blocks = [f"# {formats.markdown(title)}"]
    if notes:
        blocks.append(_bulleted(notes))
    return "\n\n".join([*blocks, *map(render, tables)]) + "\n"


def code(text: str) -> str:
    """A code span; CommonMark wants a fence longer than any run of backticks in the text."""
    text = formats.line(text)
    runs = [len(run) for run in re.findall("`+", text)]
    if not runs:
        return f"`{text}`"
    fence = "`" * (max(runs) + 1)
    return f"{fence} {text} {fence}"


def _missing(missing: Sequence[MissingCells]) -> list[str]:
    if not missing:
        return []
    lines = [f"- {formats.markdown(cells)}" + (f": {code(command)}" if command else "") for command, cells in missing]
    return [f"Missing ({formats.MISSING}), and what fills it:", "\n".join(lines)]


def _bulleted(notes: Sequence[str]) -> str:
    return "\n".join(f"- {formats.markdown(note)}" for note in notes)


def _heading(column: Column) -> str:
    label = formats.markdown(column.label)
    return f"{formats.markdown(column.group)}: {label}" if column.group else label


def _cell(cell: Cell) -> str:
    text = formats.markdown(cell.text)
    if cell.highlight == "best":
        text = f"**{text}**"
    elif cell.highlight == "second":
        text = f"<ins>{text}</ins>"  # Markdown has no underline of its own
    if cell.spread:
        text += f" ± {formats.markdown(cell.spread)}"
    return f"{text} ({cell.n})" if cell.n > 1 else text
