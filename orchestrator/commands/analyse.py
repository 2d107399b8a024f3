"""``adept-search analyse``: the paper's analyses, with its numbers beside those of one's own adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from orchestrator.command_lines import comma_separated
from orchestrator.commands.messages import with_messages
from orchestrator.commands.options import TrackingUri
from orchestrator.commands.sources import Runs, find, selection
from orchestrator.console import PlainConsole
from orchestrator.record import formats as record_formats
from trials.errors import UserError, did_you_mean

FORMS = ("markdown", "latex", "csv")
_LIST = "all, or several with commas"


def analyse(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="names, numbers of tables, or all [lists them]")
    ] = None,
    tracking_uri: TrackingUri = None,
    runs: Runs = None,
    task: Annotated[str | None, typer.Option(metavar="TASK", help=f"tasks [{_LIST}]")] = None,
    backbone: Annotated[str | None, typer.Option(metavar="NAME", help=f"backbones [{_LIST}]")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help=f"searches [{_LIST}]")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="where the tasks' data is now [where each search found it]")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="write the tables there as well")] = None,
    formats: Annotated[
        str | None, typer.Option(metavar="LIST", help=f"of the files: {','.join(FORMS)} [all of them]")
    ] = None,
) -> None:
    """Analyse: Tables 1, 2 and 8 to 14 of the paper, its numbers beside those of adapters that searches left.

    Adapters are scored again with other offsets, on the test rows. What is missing is named with the command for it.
    """
    with_messages(lambda: run(names or [], tracking_uri, runs or [], (task, backbone, name), data_dir, out, formats))


def run(
    names: list[str],
    tracking_uri: str | None,
    runs: list[Path],
    wanted: tuple[str | None, str | None, str | None],
    data_dir: Path | None,
    out: Path | None,
    formats: str | None,
) -> int:
    """Check, find, measure, print, write; the exit code."""
    from orchestrator.analyses.catalogue import chosen

    console = PlainConsole()
    if not names:
        _list(console)
        return 0
    problems: list[str] = []
    forms = _forms(formats, out, problems)
    if data_dir is not None and not data_dir.is_dir():
        problems.append(f"--data-dir {data_dir}: there is no such folder")
    try:
        analyses = chosen(names)
    except UserError as error:
        problems += error.problems
    if problems:
        raise UserError(problems)
    task, backbone, name = wanted
    found = find(tracking_uri, runs, none_needed=True)
    searches = selection(task, None, backbone, name, None, None).of(found.searches)

    from orchestrator.quiet import silence_libraries

    silence_libraries()
    from orchestrator.analyses.analyse import analysed, write
    from orchestrator.analyses.bench import Bench
    from orchestrator.summarizer.writers import terminal

    bench = Bench(tracking_uri, data_dir)
    named, works, tables = bool(tracking_uri or runs), [], []
    for analysis in analyses:  # each may take minutes: it is shown as soon as it is there
        works.append(analysed(analysis, searches, bench))
        tables.append(works[-1].table())
        if works[-1].lines or not named:
            terminal.show(tables[-1], console)
    if not any(work.lines for work in works) and named:
        where = ", ".join([*map(str, runs), *([tracking_uri] if tracking_uri else [])])
        needs = "; ".join(f"{work.analysis.name} needs {work.analysis.needs}" for work in works)
        commands = [f"this makes it: {fill.command}" for table in tables for fill in table.missing if fill.command]
        unusable = [problem for work in works for problem in work.unusable]
        why = (
            f"nothing to analyse in {where}{' of what is selected' if any(wanted) else ''}: {needs}, with trials that "
        )
        raise UserError([f"{why}trained the whole budget", *dict.fromkeys(unusable or commands), *found.unread])
    for work, table in zip(works, tables, strict=True):
        if named and not work.lines:
            terminal.show(table, console)
    for text in found.unread:
        console.print(Text(f"Left out: {record_formats.line(text)}."))
    if out is not None:
        paths = write(tables, out, forms)
        console.print(Text(f"Tables: {len(paths)} files in {out}"))
    return 0


def _list(console: Console) -> None:
    from orchestrator.analyses.catalogue import ANALYSES
    from orchestrator.summarizer.results.search_lines import Line
    from orchestrator.summarizer.writers import terminal

    lines = [Line(one.name, f"Table {one.table}: {one.about}; from {one.needs}") for one in ANALYSES]
    terminal.show_lines(lines, console)


def _forms(text: str | None, out: Path | None, problems: list[str]) -> tuple[str, ...]:
    if text is None:
        return FORMS
    names = comma_separated(text)
    wrong = [name for name in names if name not in FORMS]
    problems += [
        f"--formats {name}: it is one or more of {', '.join(FORMS)}{did_you_mean(name, FORMS)}" for name in wrong
    ]
    if out is None:
        problems.append("--formats: it is of the files that --out FOLDER writes; give that, too")
    return tuple(form for form in FORMS if form in names)
