"""``adept-search report``: tables and statistics of any set of searches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from orchestrator.command_lines import comma_separated
from orchestrator.commands.messages import files_in, with_messages
from orchestrator.commands.options import TrackingUri
from orchestrator.commands.sources import Runs, find, selection
from orchestrator.console import PlainConsole
from trials.errors import UserError

_LIST = "all, or several with commas"


def report(
    tracking_uri: TrackingUri = None,
    runs: Runs = None,
    task: Annotated[str | None, typer.Option(metavar="TASK", help=f"tasks [{_LIST}]")] = None,
    method: Annotated[str | None, typer.Option(metavar="METHOD", help=f"methods [{_LIST}]")] = None,
    backbone: Annotated[str | None, typer.Option(metavar="NAME", help=f"backbones [{_LIST}]")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help=f"searches [{_LIST}]")] = None,
    since: Annotated[str | None, typer.Option(metavar="DAY", help="searches that started on this day or later")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DAY", help="searches that started on this day or before")
    ] = None,
    tables: Annotated[
        str | None, typer.Option(metavar="N", help="tables of the paper, e.g. 3,4 or all [those that were measured]")
    ] = None,
    formats: Annotated[
        str | None, typer.Option(metavar="LIST", help="markdown,latex,html,csv,parquet,json [all of them]")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="folder for the files")] = Path("report"),
) -> None:
    """Report: tables with intervals and tests of many searches, beside the published numbers, in every form."""

    def run() -> int:
        from orchestrator.summarizer.report import chosen_formats, headline, make_results, write_report
        from orchestrator.summarizer.results.saved_searches import FoundSearches
        from orchestrator.summarizer.tables.paper_layouts import chosen
        from orchestrator.summarizer.writers import terminal

        forms = chosen_formats(formats)
        paper_layouts = chosen(comma_separated(tables)) if tables is not None else None
        wanted = selection(task, method, backbone, name, since, until)
        found = find(tracking_uri, runs or [], none_needed=paper_layouts is not None)
        searches = wanted.of(found.searches)
        if not searches and paper_layouts is None:
            where = (
                f"{len(found.searches)} searches are there, none of them selected"
                if found.searches
                else "there is none"
            )
            raise UserError([f"no search to report on: {where}", *found.unread])
        results = make_results(FoundSearches(searches, (*found.unread, *wanted.without(found.searches))), paper_layouts)
        paths = write_report(results, out, forms)
        console = PlainConsole()
        for line in headline(results):
            console.print(Text(line))
        if results.groups:
            terminal.show(results.tables[0], console)
        console.print(Text(f"Report: {files_in(out, paths)}"))
        return 0

    with_messages(run)
