"""Tables as LaTeX with booktabs: each to be put into a paper with \\input, and all together as a document.

A paper needs ``\\usepackage{booktabs}`` and ``\\usepackage{graphicx}``, which shrinks what is wider than a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from orchestrator.record import formats
from orchestrator.summarizer.tables.model import Cell, Column, ReportTable

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


def render(table: ReportTable) -> str:
    """One table with its caption, label and notes."""
    body = _over_pages(table) if len(table.rows) >= _LONG else _tabular(table)
    return f"% {formats.line(table.name)}\n{body}\n"


def document(title: str, tables: Sequence[ReportTable]) -> str:
    """All tables as one document that compiles."""
    heading = f"\\section*{{{formats.latex(title)}}}\n"
    return f"{_PREAMBLE}{heading}" + "\n\\clearpage\n".join(map(render, tables)) + "\\end{document}\n"


def _tabular(table: ReportTable) -> str:
    lines = [r"\begin{table}[htbp]", r"\centering", _caption(table)]
    tabular = "\n".join(
        [_begin(table), r"\toprule", *_head(table), r"\midrule", *_body(table), r"\bottomrule", r"\end{tabular}"]
    )
    lines += [f"{_FIT}{{%\n{tabular}%\n}}", *_notes(table), r"\end{table}"]
    return "\n".join(lines)


def _over_pages(table: ReportTable) -> str:
    """Rows over several pages: one tabular a page, so that no package beyond booktabs is needed."""
    pages = [table.rows[at : at + _LONG] for at in range(0, len(table.rows), _LONG)]
    blocks = []
    for number, rows in enumerate(pages, 1):
        name, title = f"{table.name}-{number}", f"{table.title} ({number} of {len(pages)})"
        part = replace(table, name=name, title=title, rows=rows)
        blocks.append(_tabular(part if number == len(pages) else replace(part, notes=(), missing=())))
    return "\n\\clearpage\n".join(blocks)


def _begin(table: ReportTable) -> str:
    return f"\\begin{{tabular}}{{{''.join('r' if column.numeric else 'l' for column in table.columns)}}}"


def _caption(table: ReportTable) -> str:
    return f"\\caption{{{formats.latex(table.title)}}}\n\\label{{tab:{table.name}}}"


def _head(table: ReportTable) -> list[str]:
    lines = []
    if any(column.group for column in table.columns):
        cells, rules, at = [], [], 1
        for group, neighbours in groupby(table.columns, key=lambda column: column.group):
            width = len(list(neighbours))
            cells.append(f"\\multicolumn{{{width}}}{{c}}{{{formats.latex(group)}}}" if group else " & " * (width - 1))
            rules += [f"\\cmidrule(lr){{{at}-{at + width - 1}}}"] if group else []
            at += width
        lines += [" & ".join(cells) + r" \\", "".join(rules)]
    return [*lines, " & ".join(_heading(column) for column in table.columns) + r" \\"]


def _heading(column: Column) -> str:
    # A heading of a right-aligned column stands over its numbers; one that begins with a bracket would be an argument.
    return f"{{{formats.latex(column.label)}}}"


def _body(table: ReportTable) -> list[str]:
    lines: list[str] = []
    section = ""
    for row in table.rows:
        if row.section != section:
            section = row.section
            lines += [r"\midrule"] if lines else []
            if section:
                lines.append(f"\\multicolumn{{{len(table.columns)}}}{{l}}{{\\textit{{{formats.latex(section)}}}}} \\\\")
        lines.append(" & ".join(_cell(cell) for cell in row.cells) + r" \\")
    return lines


def _cell(cell: Cell) -> str:
    text = formats.latex(cell.text)
    if cell.highlight == "best":
        text = f"\\textbf{{{text}}}"
    elif cell.highlight == "second":
        text = f"\\underline{{{text}}}"
    elif text.startswith("["):
        text = f"{{{text}}}"  # after a row's end it would be taken for that command's argument
    if cell.spread:
        text += f"$_{{\\pm {formats.latex(cell.spread)}}}$"
    return f"{text} ({cell.n})" if cell.n > 1 else text


def _notes(table: ReportTable) -> list[str]:
    notes = [formats.latex(note) for note in table.notes]
    for command, cells in table.missing:
        what = f": \\texttt{{{formats.latex(command)}}}" if command else ""
        notes.append(f"Missing: {formats.latex(cells)}{what}")
    if not notes:
        return []
    # \par inside a group: the line spacing of the small font holds for the whole paragraph.
    return [r"\par\smallskip", "{\\raggedright\\footnotesize " + "\\par\n".join(notes) + "\\par}"]
