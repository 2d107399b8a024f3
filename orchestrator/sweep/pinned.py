"""A search that trains the champion's configuration alone: a space of one configuration, as a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator.plan.options import Given
from orchestrator.record.record import RECORD, SearchRecord
from orchestrator.record.selection import choose_winner
from orchestrator.record.strict_json import write_atomically
from orchestrator.store.twin_files import load_record
from orchestrator.sweep.cells import CellKey
from orchestrator.sweep.expand import PlannedSearch, planned
from orchestrator.sweep.state import SweepState

CHOOSES = ("searcher", "samples", "warm_start", "top", "reuse")
"""Options that have no meaning where there is one configuration."""

SPACES = "spaces"


def pin(search: PlannedSearch, configuration: Mapping[str, Any], folder: Path) -> PlannedSearch:
    """The same search of one configuration alone; its space is written below a folder.

    Raises:
        UserError: the configuration is none of the method's on this backbone any more.
    """
    file = folder / SPACES / f"{'-'.join(search.key)}.yaml"
    settings = {key: value for key, value in asdict(search.plan.training).items() if value is not None}
    space = {
        "about": f"the champion of {search.key}",
        "settings": settings,
        "grids": {search.key.method: dict(configuration)},
    }
    text = json.dumps(space, indent=1)  # JSON is YAML
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        write_atomically(file, text)
    options: Given = {**search.options, **dict.fromkeys(CHOOSES), "space": str(file)}
    return planned(options, {}, "pinned")


def is_full_turn(key: CellKey, full_every: int | None, earlier: Iterable[SweepState]) -> bool:
    """Whether the whole space's turn has come: so many runs less one have pinned the cell since it was searched last.

    Args:
        earlier: other runs, the newest first; those without a result for the cell do not count. None of them need have
            searched the whole space: the champion may be another sweep's, and the run that did may have been removed.
    """
    if full_every is None:
        return False
    pinned = 0
    for run in earlier:
        search = run.search(key)
        if search is None or not search.status.is_measured:
            continue
        if search.search == "full":
            break
        pinned += 1
    return pinned + 1 >= full_every


def last_winner(key: CellKey, earlier: Iterable[SweepState]) -> dict[str, Any] | None:
    """The winner's configuration in the newest run that has one of a cell; None: there is none yet."""
    for run in earlier:
        search = run.search(key)
        if search is not None and search.status.is_measured:
            record = record_in(Path(search.folder))
            winner = choose_winner(record).winner if record else None
            if winner is not None:
                return dict(winner.configuration)
    return None


def record_in(folder: Path) -> SearchRecord | None:
    """A search's record; None where it cannot be read."""
    with suppress(OSError):
        return load_record(folder / RECORD)[0]
    return None
