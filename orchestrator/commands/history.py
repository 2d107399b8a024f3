"""``adept-search history``: the nights of a sweep, what the gate found, champions, and what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from orchestrator.commands.messages import with_messages
from orchestrator.commands.options import Output
from orchestrator.console import PlainConsole, messages_on, messages_shown
from orchestrator.plan.settings import default_output
from sweeps import sweep_names
from trials.errors import UserError

_FORMS = "markdown,latex,csv,parquet"


def history(
    sweep: Annotated[str | None, typer.Argument(metavar="SWEEP", help="a sweep's name or file [the only one]")] = None,
    history: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="folder or URI of the history [the sweep file's, else history in --output]"),
    ] = None,
    nights: Annotated[int, typer.Option(metavar="N", min=1, help="the last N nights")] = 14,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="write the page of these nights")] = None,
    formats: Annotated[str | None, typer.Option(metavar="LIST", help=f"files to write [{_FORMS}]")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="folder for files [none are written]")] = None,
    output: Output = None,
) -> None:
    """History: a sweep's last nights, what is worse or better, champions, and what changed.

    Exit code 0; 2: wrong usage, or there is no such history.
    """

    def run() -> int:
        from orchestrator.nights.history import History
        from orchestrator.nights.history_tables import history_tables
        from orchestrator.summarizer.report import chosen_formats, write_report
        from orchestrator.summarizer.report_results import ReportResults
        from orchestrator.summarizer.writers import terminal

        forms = chosen_formats(formats or _FORMS)
        if wrong := {"html", "json"} & set(forms):
            raise UserError(
                [f"--formats {', '.join(sorted(wrong))}: a history is written as {_FORMS}, a page by --html"]
            )
        if formats and out is None:
            raise UserError([f"--formats {formats}: name the folder for these files with --out FOLDER"])
        place, name = _named(sweep, history, output or default_output())
        kept_nights = History(place)
        if name is None:
            known = kept_nights.sweeps()
            if len(known) > 1:
                raise UserError([f"name one of the sweeps in {kept_nights.place}: {', '.join(known)}"])
            name = known[0] if known else ""
        console = PlainConsole()
        with messages_shown(messages_on(PlainConsole(stderr=True))):
            kept = kept_nights.kept(kept_nights.found(name), nights)
        if not kept:
            raise UserError([f"{name}: no night in {kept_nights.place} can be read"])
        tables = history_tables(kept)
        for table in tables:
            terminal.show(table, console)
        if out is not None:
            title = f"Nights of {name}"
            paths = write_report(ReportResults((), tables=tables, title=title), out, forms)
            console.print(Text(f"Files: {', '.join(map(str, paths))}"))
        if html is not None:
            from orchestrator.nights.page import write_history_page  # it brings the libraries of pages

            console.print(Text(f"Page: {write_history_page(kept, html)}"))
        return 0

    with_messages(run)


def _named(sweep: str | None, place: str | None, output: Path) -> tuple[str | Path, str | None]:
    """The place of the history, and the sweep's name, from what was asked for.

    Raises:
        UserError: the sweep file or the place is wrong.
    """
    from orchestrator.nights.history import default_history, history_problems
    from orchestrator.sweep.sweep_file import read_keys

    name, of_file = sweep, ""
    if sweep is not None and (Path(sweep).suffix in (".yaml", ".yml") or sweep in sweep_names()):
        found = read_keys(sweep)  # not more: a night whose rows were broken is looked at, too
        name, of_file = found.name, found.history_place
    chosen = place or of_file
    if not chosen:
        return default_history(output), name
    if problems := history_problems(chosen, "--history" if place else f"history of {sweep}:", to_read=True):
        raise UserError(problems)
    return chosen, name
