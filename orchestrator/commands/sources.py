"""The options that name searches, shared by the commands that read them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.command_lines import comma_separated
from orchestrator.plan.settings import default_output
from orchestrator.plan.tracking_uri import DEFAULT_DATABASE, URI_VARIABLE
from trials.errors import UserError

if TYPE_CHECKING:
    from orchestrator.summarizer.results.saved_searches import FoundSearches, SearchFilter

Runs = Annotated[
    list[Path] | None, typer.Option(metavar="FOLDER", help="read the searches below this folder; may be repeated")
]


def find(tracking_uri: str | None, runs: Sequence[Path], none_needed: bool = False) -> FoundSearches:
    """The searches of a store, of folders, or of both.

    Without either: those of ``$MLFLOW_TRACKING_URI`` or of ``mlflow.db`` here, else those below ``runs``.

    Args:
        none_needed: where nothing was named and nothing is here, that is no mistake.

    Raises:
        UserError, TrackingError: what was named is not there, or nothing was and nothing is here.
    """
    from orchestrator.summarizer.results.saved_searches import FoundSearches, read_folders, unique

    if not tracking_uri and not runs:
        if os.environ.get(URI_VARIABLE) or Path(DEFAULT_DATABASE).is_file():
            return _store(None)
        folder = default_output()
        if not folder.is_dir():
            if none_needed:
                return FoundSearches(())
            raise UserError(
                [
                    f"no searches here: neither {DEFAULT_DATABASE} nor a folder {folder} is in {Path.cwd()}. Name a "
                    "store with --tracking-uri URI or a folder of results with --runs FOLDER"
                ]
            )
        runs = [folder]
    found = [read_folders(runs)] if runs else []
    found += [_store(tracking_uri)] if tracking_uri else []
    return FoundSearches(
        unique(search for part in found for search in part.searches),
        tuple(text for part in found for text in part.unread),
    )


def selection(
    task: str | None, method: str | None, backbone: str | None, name: str | None, since: str | None, until: str | None
) -> SearchFilter:
    """What the options select; each of the first four is a list with commas.

    Raises:
        UserError: a date that is none, or an end before its beginning; all of them together.
    """
    from orchestrator.summarizer.results.saved_searches import SearchFilter

    problems: list[str] = []
    days = {flag: _day(flag, text, problems) for flag, text in (("--since", since), ("--until", until))}
    first, last = days["--since"], days["--until"]
    if first and last and last < first:
        problems.append(f"--until {until}: it is before --since {since}, so no search can be meant")
    if problems:
        raise UserError(problems)
    return SearchFilter(
        comma_separated(task), comma_separated(method), comma_separated(backbone), comma_separated(name), first, last
    )


def _store(uri: str | None) -> FoundSearches:
    from orchestrator.quiet import silence_libraries
    from orchestrator.summarizer.results.mlflow_searches import read_store

    silence_libraries()
    return read_store(uri)


def _day(flag: str, text: str | None, problems: list[str]) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        problems.append(f"{flag} {text}: a day is written YEAR-MONTH-DAY, such as {date.today().isoformat()}")
        return None
