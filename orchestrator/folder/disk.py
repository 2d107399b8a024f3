"""A full disk ends a search before it breaks anything: with what has been written whole, and a word on how to go on."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from orchestrator.folder.journal import JournalError

LEAST_ROOM = 32 << 20  # bytes: below this even the libraries fail where they want to say that something failed
_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFullError(JournalError):
    """There is no room for a search to go on."""

    def __init__(self, folder: Path, found: str) -> None:
        super().__init__(
            f"no room left for the search in {folder} ({found}). All reports, decisions and checkpoints up to now are "
            "kept, and no trial counts as failed for it: make room, then give the same command again"
        )


def no_room(folder: Path) -> DiskFullError | None:
    """The error to end a search with, where so little is left that going on would break it."""
    free = shutil.disk_usage(folder).free
    return (
        DiskFullError(folder, f"{free >> 20} MB are free, {LEAST_ROOM >> 20} are needed") if free < LEAST_ROOM else None
    )


def is_full(error: OSError) -> bool:
    """Whether a write failed for want of room."""
    return error.errno in _FULL


def tells_of_full(text: str) -> bool:
    """Whether the text of an error from another process is one of a full disk."""
    return any(f"[Errno {number}]" in text for number in _FULL)
