"""Tables as LaTeX with booktabs: each to be put into a paper with \\input, and all together as a document.

A paper needs ``\\usepackage{booktabs}`` and ``\\usepackage{graphicx}``, which shrinks what is wider than a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from orchestrator.record import formats
from orchestrator.summarizer.results.model import Cell, Column, Grid

_PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[a4paper,landscape,margin=2cm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\begin{document}
"""
_FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"  # a table is shrunk to the line, never widened
_LONG = 45  # rows from which it is set over several pages


def table(grid: Grid) -> str:
    """One table with its caption, label and notes."""
    body = _long_body(grid) if len(grid.rows) >= _LONG else _tabular(grid)
    return f"% {formats.line(grid.name)}\n{body}\n"


def document(title: str, grids: Sequence[Grid]) -> str:
    """All tables as one document that compiles."""
    heading = f"\\section*{{{formats.latex(title)}}}\n"
    return f"{_PREAMBLE}{heading}" + "\n\\clearpage\n".join(table(grid) for grid in grids) + "\\end{document}\n"


def _tabular(grid: Grid) -> str:
    lines = [r"\begin{table}[htbp]", r"\centering", _caption(grid)]
    tabular = "\n".join(
        [_begin(grid), r"\toprule", *_head(grid), r"\midrule", *_body(grid), r"\bottomrule", r"\end{tabular}"]
    )
    lines += [f"{_FIT}{{%\n{tabular}%\n}}", *_notes(grid), r"\end{table}"]
    return "\n".join(lines)


def _long_body(grid: Grid) -> str:
    """Rows over several pages: one tabular a page, so that no package beyond booktabs is needed."""
    pages = [
        Grid(grid.name, grid.title, grid.columns, grid.rows[at : at + _LONG]) for at in range(0, len(grid.rows), _LONG)
    ]
    blocks = []
    for number, page in enumerate(pages, 1):
        last = number == len(pages)
        part = Grid(
            f"{grid.name}-{number}",
            f"{grid.title} ({number} of {len(pages)})",
            page.columns,
            page.rows,
            grid.notes if last else (),
            grid.fill if last else (),
        )
        blocks.append(_tabular(part))
    return "\n\\clearpage\n".join(blocks)


def _begin(grid: Grid) -> str:
    return f"\\begin{{tabular}}{{{''.join('r' if column.numeric else 'l' for column in grid.columns)}}}"


def _caption(grid: Grid) -> str:
    return f"\\caption{{{formats.latex(grid.title)}}}\n\\label{{tab:{grid.name}}}"


def _head(grid: Grid) -> list[str]:
    lines = []
    if any(column.group for column in grid.columns):
        cells, rules, at = [], [], 1
        for group, neighbours in groupby(grid.columns, key=lambda column: column.group):
            width = len(list(neighbours))
            cells.append(f"\\multicolumn{{{width}}}{{c}}{{{formats.latex(group)}}}" if group else " & " * (width - 1))
            rules += [f"\\cmidrule(lr){{{at}-{at + width - 1}}}"] if group else []
            at += width
        lines += [" & ".join(cells) + r" \\", "".join(rules)]
    return [*lines, " & ".join(_heading(column) for column in grid.columns) + r" \\"]


def _heading(column: Column) -> str:
    # A heading of a right-aligned column stands over its numbers; one that begins with a bracket would be an argument.
    return f"{{{formats.latex(column.label)}}}"


def _body(grid: Grid) -> list[str]:
    lines: list[str] = []
    section = ""
    for row in grid.rows:
        if row.section != section:
            section = row.section
            lines += [r"\midrule"] if lines else []
            if section:
                lines.append(f"\\multicolumn{{{len(grid.columns)}}}{{l}}{{\\textit{{{formats.latex(section)}}}}} \\\\")
        lines.append(" & ".join(_cell(cell) for cell in row.cells) + r" \\")
    return lines


def _cell(cell: Cell) -> str:
    text = formats.latex(cell.text)
    if cell.mark == "best":
        text = f"\\textbf{{{text}}}"
    elif cell.mark == "second":
        text = f"\\underline{{{text}}}"
    elif text.startswith("["):
        text = f"{{{text}}}"  # after a row's end it would be taken for that command's argument
    if cell.spread:
        text += f"$_{{\\pm {formats.latex(cell.spread)}}}$"
    return f"{text} ({cell.n})" if cell.n > 1 else text


def _notes(grid: Grid) -> list[str]:
    notes = [formats.latex(note) for note in grid.notes]
    for command, cells in grid.fill:
        what = f": \\texttt{{{formats.latex(command)}}}" if command else ""
        notes.append(f"Missing: {formats.latex(cells)}{what}")
    if not notes:
        return []
    # \par inside a group: the line spacing of the small font holds for the whole paragraph.
    return [r"\par\smallskip", "{\\raggedright\\footnotesize " + "\\par\n".join(notes) + "\\par}"]
