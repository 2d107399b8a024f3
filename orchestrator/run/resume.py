"""A search taken up by its name: the options that it was started with, and where its things are now."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.command_lines import flag
from orchestrator.plan.options import Given, current
from orchestrator.plan.places import absolute, missing_places, recorded_tracking_uri, with_absolute_paths
from orchestrator.plan.settings import SearchSettings, default_output, default_storage
from orchestrator.plan.tracking_uri import URI_VARIABLE, sqlite_file
from orchestrator.record.record import RECORD
from orchestrator.record.secrecy import shown_argument
from orchestrator.run.held import take_up_by_name
from orchestrator.store.layout import OPTIONS, find_search
from orchestrator.store.twin_files import copy_of, read_either
from trials.errors import UserError


def resumed_options(options: Given) -> Given:
    """With ``--resume --name X``, the options that search X was started with, as if they were given here.

    Some may be given anew (`plan.options.Option.resume`); all others must agree.

    Raises:
        UserError: there is no such search, an option disagrees, or a place is gone.
    """
    name = options["name"]
    if name is None:
        return options
    given = {key: value for key, value in with_absolute_paths(options).items() if value is not None}
    output = Path(given.get("output") or default_output())
    if storage := options["storage"] or default_storage():
        take_up_by_name(storage, name, output)
    folder = find_search(name, output, "--resume --name ")
    kept, damage = read_either(folder / OPTIONS)
    before = current(kept, SearchSettings)
    if damage:
        print(f"note: {damage}", file=sys.stderr)
    # The folder may have moved, so where it was found is where it is.
    merged: Given = {**before, **given, "output": absolute(output)}
    fixed = SearchSettings.names(lambda option: option.resume == "same" and not option.moves)
    problems = [
        f"{flag(key)} {shown_argument(value)}: search {name} was started with {shown_argument(str(before[key]))}; "
        "leave it out, or start another search under another --name"
        for key, value in given.items()
        if key in fixed and before.get(key) not in (None, value)
    ]
    problems += missing_places(merged, name)
    if not merged.get("tracking_uri") and not os.environ.get(URI_VARIABLE):
        merged["tracking_uri"] = recorded_tracking_uri(_record(folder)) or None
        if merged["tracking_uri"] is None and (shown := _record(folder).get("tracking_uri")):
            problems.append(
                f"--tracking-uri: search {name} is tracked at {shown}, whose password is not kept; set {URI_VARIABLE} "
                "to the whole URI, as when it was started"
            )
    database = sqlite_file(merged.get("tracking_uri") or "")
    if database is not None and not database.exists() and "tracking_uri" not in given:
        lost = f"MLflow's database of search {name} was {database}, which is not there"
        if merged.get("storage"):  # taken up on another host: the database was lost with its disk
            print(f"note: {lost}; another is used, and --tracking-uri names one", file=sys.stderr)
            merged["tracking_uri"] = None
        else:
            problems.append(f"--tracking-uri: {lost}; give its new place, or sqlite:///FILE of a new one")
    if problems:
        raise UserError(problems)
    return merged


def _record(folder: Path) -> Mapping[str, Any]:
    """A search's record as it is in its file, unchecked; empty where it cannot be read."""
    for file in (folder / RECORD, copy_of(folder / RECORD)):
        with suppress(OSError, ValueError):
            document = json.loads(file.read_text(encoding="utf-8"))
            return document if isinstance(document, dict) else {}
    return {}
