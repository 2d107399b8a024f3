"""What an earlier version left in a search's folder: an outbox of what MLflow lacked. The record has it all.

Searches of that version have no `uid`; the outbox alone says which of several runs of the same name is theirs.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

_OUTBOX = "tracking"


def run_of_search(folder: Path) -> str:
    """The id of the search's run by its outbox; empty where there is none."""
    found = ""
    with suppress(OSError, ValueError, TypeError, KeyError):  # cut by a kill: what is before the cut counts
        for line in (folder / _OUTBOX / "spool.jsonl").read_text(encoding="utf-8").splitlines():
            _, entry = json.loads(line)
            found = entry["run_id"] if entry["event"] == "search" else found
    return found


def remove_outbox(folder: Path) -> bool:
    """Remove the outbox, once MLflow has everything; whether there was one."""
    if not (folder / _OUTBOX / "spool.jsonl").exists():
        return False
    shutil.rmtree(folder / _OUTBOX, ignore_errors=True)
    return True
