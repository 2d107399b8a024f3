"""``adept-search compare A B``: two searches, sweeps or dates side by side."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from orchestrator.commands.messages import files_in, with_messages
from orchestrator.commands.options import TrackingUri
from orchestrator.commands.sources import Runs, find, selection
from orchestrator.console import PlainConsole
from trials.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from orchestrator.summarizer.results.found_search import FoundSearch
    from orchestrator.summarizer.results.saved_searches import FoundSearches

_DAYS = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.\.(\d{4}-\d{2}-\d{2}))?")
_FORMS = "markdown,latex,csv,parquet,json"


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="a folder, the name of a search, a day or DAY..DAY")],
    second: Annotated[str, typer.Argument(metavar="B", help="the same, for the other side")],
    tracking_uri: TrackingUri = None,
    runs: Runs = None,
    formats: Annotated[str | None, typer.Option(metavar="LIST", help=f"files to write [{_FORMS}]")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="folder for files [none are written]")] = None,
) -> None:
    """Compare two searches, sweeps or days: differences, tests, and what changed in the settings.

    Exit code 0: nothing is worse in B beyond noise; 1: something is, and is named; 2: wrong usage; 3: nothing could be
    compared.
    """

    def run() -> int:
        from orchestrator.summarizer.report import chosen_formats, write_report
        from orchestrator.summarizer.tables.search_comparison import compare_searches, verdict_of
        from orchestrator.summarizer.writers import terminal

        forms = chosen_formats(formats or _FORMS)
        if "html" in forms:
            raise UserError([f"--formats html: a comparison is written as {_FORMS}; `report` writes pages"])
        if formats and out is None:
            raise UserError([f"--formats {formats}: name the folder for these files with --out FOLDER"])

        @cache
        def everything() -> FoundSearches:
            return find(tracking_uri, runs or [])

        sides, problems = [], []
        for text in (first, second):
            try:
                sides.append(searches_of(text, everything))
            except UserError as error:
                problems += error.problems
        if problems:
            raise UserError(problems)
        results = compare_searches(sides[0], sides[1], (first, second))
        console = PlainConsole()
        for grid in results.tables:
            terminal.show(grid, console)
        for line in (*results.notes[1:], *(f"Left out: {text}." for text in results.left_out)):
            console.print(Text(line))
        if out is not None:
            paths = write_report(results, out, forms)
            console.print(Text(f"Files: {files_in(out, paths)}"))
        code, sentences = verdict_of(results)
        if code == 3:
            print(f"error: {' '.join(sentences)}", file=sys.stderr)
        else:
            for sentence in sentences:
                console.print(Text(sentence, style="bold"))
        return code

    with_messages(run)


def searches_of(text: str, everything: Callable[[], FoundSearches]) -> tuple[FoundSearch, ...]:
    """The searches that one side names.

    Raises:
        UserError: it is no folder, no name of a search and no day on which one started.
    """
    from orchestrator.summarizer.results.saved_searches import SearchFilter, read_folders

    days = _DAYS.fullmatch(text)
    if Path(text).exists():
        found = read_folders([text])
        if not found.searches:
            raise UserError([f"{text}: there is no search in it", *found.unread])
        return found.searches
    between = _in_the_calendar(text, days[1], days[2] or days[1]) if days else None
    there = everything().searches
    if between:
        chosen = selection(None, None, None, None, *between).of(there)
        if not chosen:
            known = sorted({search.started.astimezone().date().isoformat() for search in there if search.started})
            raise UserError([f"{text}: no search started then; there are searches of {', '.join(known) or 'no day'}"])
        return chosen
    names = {search.record.name for search in there}
    if text not in names:
        listed = ", ".join(sorted(names)[:20]) or "none"
        raise UserError(
            [
                f"{text}: neither a folder, nor a day, nor the name of a search{did_you_mean(text, names)}; there are: "
                f"{listed}"
            ]
        )
    return SearchFilter(names=(text,)).of(there)


def _in_the_calendar(text: str, first: str, last: str) -> tuple[str, str]:
    """The first day and the last one that a side names.

    Raises:
        UserError: the calendar has no such day, or the last one is before the first.
    """
    try:
        in_order = date.fromisoformat(first) <= date.fromisoformat(last)
    except ValueError as error:
        raise UserError([f"{text}: a day is written YEAR-MONTH-DAY, and exists ({error})"]) from None
    if not in_order:
        raise UserError([f"{text}: the last day comes before the first; write {last}..{first}"])
    return first, last
