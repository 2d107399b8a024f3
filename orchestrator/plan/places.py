"""Where a search reads and writes, written so that it means the same in every working folder.

Options name files and folders as a user typed them, often relative to where the command was given. A search is taken
up again from other folders, by cron, or after its files have moved: so what is kept of it is absolute, and the option
of each place may be given anew. Whether the same is there is for the fingerprints of data and backbone to say.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.command_lines import comma_separated, flag
from orchestrator.plan.options import Given
from orchestrator.plan.settings import SearchSettings, default_output, default_storage
from orchestrator.plan.sources import is_source
from orchestrator.plan.tracking_uri import DEFAULT_DATABASE, URI_VARIABLE, sqlite_file, uri_problems
from search_spaces import space_names
from trials.backbones.describe import is_known
from trials.tasks import is_registered
from yaml_reader.home import from_home

FILES = {name: option.moves for name, option in SearchSettings.options().items() if option.moves}
"""Options that name a file or a folder to be read, or something known by its name; each with what it is in words."""


def with_absolute_paths(options: Mapping[str, str | None], folder: Path = Path()) -> Given:
    """The same options with absolute paths in the place of those that exist, and of all that will be written.

    A name stays a name, also where a file is called so; what is not there stays as it was typed, for the message.

    Args:
        folder: from which relative paths of what exists are meant; the working folder where it is left out.
    """
    known = {"task": is_registered, "backbone": is_known, "space": space_names().__contains__}
    found = dict(options)
    for key in FILES:
        value = options.get(key)
        if value and not known.get(key, lambda name: False)(value) and (path := folder / from_home(value)).exists():
            found[key] = str(path.resolve())
    if sources := options.get("sources"):
        parts = [(part, folder / from_home(part)) for part in comma_separated(sources)]
        found["sources"] = ",".join(str(path.resolve()) if is_source(path) else part for part, path in parts)
    if options.get("output"):
        found["output"] = absolute(Path(str(options["output"])))
    if (uri := options.get("tracking_uri")) and (database := sqlite_file(uri)) is not None:
        found["tracking_uri"] = f"sqlite:///{database}"
    return found


def to_keep(options: Mapping[str, str | None]) -> Given:
    """Options as they are written down with a search: absolute, with what an environment or a folder has decided.

    A tracking URI with a secret in it is not written down: it stands in the environment, and is asked for there again.
    """
    found = with_absolute_paths(options)
    found["output"] = found.get("output") or absolute(default_output())
    found["storage"] = found.get("storage") or default_storage()
    if not found.get("tracking_uri"):
        uri = os.environ.get(URI_VARIABLE) or f"sqlite:///{DEFAULT_DATABASE}"
        found["tracking_uri"] = None if uri_problems(uri, on_command_line=True) else uri
        found = with_absolute_paths(found)
    return found


def missing_places(options: Mapping[str, str | None], name: str) -> list[str]:
    """Files and folders of a search that are not there any more, a sentence each.

    Args:
        options: as kept. name: the search's.
    """
    return [
        f"{flag(key)}: {what} of search {name} was {value}, which is not there; give its new place with {flag(key)}"
        for key, what in FILES.items()
        if (value := options.get(key)) and Path(value).is_absolute() and not Path(value).exists()
    ]


def absolute(path: Path) -> str:
    """A path from the root, as text."""
    return str(from_home(path).resolve())


def recorded_tracking_uri(record: Mapping[str, Any]) -> str:
    """The tracking URI in the record of a search; empty where none is known or its secrets were taken out."""
    uri = str(record.get("tracking_uri") or "")
    return uri if sqlite_file(uri) is not None or uri.startswith(("http://", "https://")) else ""
