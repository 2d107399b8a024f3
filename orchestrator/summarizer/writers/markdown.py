"""Tables as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.record import formats
from orchestrator.summarizer.results.model import Cell, Column, Fill, Grid


def table(grid: Grid, level: int = 2) -> str:
    """Heading, table, notes and the commands that fill its missing cells."""
    blocks = [f"{'#' * level} {formats.markdown(grid.title)}"]
    if grid.rows:
        headings = [_heading(column) for column in grid.columns]
        lines = [headings, ["---:" if column.numeric else "---" for column in grid.columns]]
        section = ""
        for row in grid.rows:
            if row.section != section:
                section = row.section
                label = f"_{formats.markdown(section)}_" if section else ""
                lines.append([label, *[""] * (len(grid.columns) - 1)])
            lines.append([_cell(cell) for cell in row.cells])
        blocks.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    else:
        blocks.append("No row.")
    if grid.notes:
        blocks.append("\n".join(f"- {formats.markdown(note)}" for note in grid.notes))
    blocks += _fill(grid.fill)
    return "\n\n".join(blocks)


def document(title: str, grids: Sequence[Grid], notes: Sequence[str] = ()) -> str:
    """A whole page of tables."""
    blocks = [f"# {formats.markdown(title)}"]
    if notes:
        blocks.append("\n".join(f"- {formats.markdown(note)}" for note in notes))
    return "\n\n".join([*blocks, *(table(grid) for grid in grids)]) + "\n"


def code(text: str) -> str:
    """A code span; CommonMark wants a fence longer than any run of backticks in the text."""
    text = formats.line(text)
    runs = [len(run) for run in re.findall("`+", text)]
    if not runs:
        return f"`{text}`"
    fence = "`" * (max(runs) + 1)
    return f"{fence} {text} {fence}"


def _fill(fills: Sequence[Fill]) -> list[str]:
    if not fills:
        return []
    lines = [f"- {formats.markdown(cells)}" + (f": {code(command)}" if command else "") for command, cells in fills]
    return [f"Missing ({formats.MISSING}), and what fills it:", "\n".join(lines)]


def _heading(column: Column) -> str:
    label = formats.markdown(column.label)
    return f"{formats.markdown(column.group)}: {label}" if column.group else label


def _cell(cell: Cell) -> str:
    text = formats.markdown(cell.text)
    if cell.mark == "best":
        text = f"**{text}**"
    elif cell.mark == "second":
        text = f"<ins>{text}</ins>"  # Markdown has no underline of its own
    if cell.spread:
        text += f" ± {formats.markdown(cell.spread)}"
    return f"{text} ({cell.n})" if cell.n > 1 else text
