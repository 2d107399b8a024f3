"""MissingCells the templates and write the page: one file that holds its styles, its script and its charts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from orchestrator.record import formats
from orchestrator.record.record import SearchRecord
from orchestrator.record.selection import Choice
from orchestrator.record.strict_json import write_atomically
from orchestrator.summarizer.page.results_section import ResultsSection
from orchestrator.summarizer.page.search_section import SearchSection
from orchestrator.summarizer.page.search_view import SearchView
from orchestrator.summarizer.report_results import ReportResults
from orchestrator.summarizer.tables.model import Column


def write_search_page(record: SearchRecord, path: Path, choice: Choice | None = None) -> Path:
    """Write the report of one search, replacing an older one.

    Args:
        path: the file to write; missing folders are made.
        choice: the winner, where it has been chosen already.

    Returns:
        The path.
    """
    section = SearchSection(SearchView(record, choice))
    return write_page("search.html.jinja", path, s=section, title=section.search.title)


def write_results_page(records: Sequence[SearchRecord], path: Path, results: ReportResults | None = None) -> Path:
    """Write the report of many searches, replacing an older one: the decisions first, then a section a search.

    Args:
        path: the file to write; missing folders are made.
        results: tables and tests of these searches, to be shown beside the decisions.

    Returns:
        The path.
    """
    section = ResultsSection([SearchView(record) for record in records], results)
    return write_page("results.html.jinja", path, r=section, title=section.title)


def write_page(template: str, path: Path, **context: Any) -> Path:
    """Fill one of the templates and write it, replacing an older file."""
    return write_atomically(path, _environment().get_template(template).render(**context))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "score": formats.score,
        "whole": formats.whole,
        "breakable": _breakable,
        "spans": _spans,
    }
    environment.globals["asset"] = _asset
    return environment


def _printable(value: Any) -> Any:
    """Text without control characters, which no page may hold."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(map(formats.line, value.split("\n")))


def _breakable(name: str) -> Markup:
    """A name that may be broken after its underscores: columns are narrower than their headings."""
    return Markup("_<wbr>").join(formats.line(name).split("_"))


def _spans(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """The groups of neighbouring columns with their widths, in columns."""
    return [(group, len(list(same))) for group, same in groupby(columns, key=lambda column: column.group)]


def _asset(name: str) -> Markup:
    """A style sheet or script of ours as it stands: no part of a record is in it."""
    return Markup(resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8"))
