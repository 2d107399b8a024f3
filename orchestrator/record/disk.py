"""A disk that is full, or a folder that may not be written any more, ends a search before it breaks anything: with what
has been written whole, and a word on how to go on.
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from orchestrator.record.errors import DiskFullError, SearchError, UnwritableError

LEAST_ROOM = 32 << 20  # bytes: below this even the libraries fail where they want to say that something failed
_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNWRITABLE = {
    errno.EACCES: "make it writable for this user again",
    errno.EPERM: "make it writable for this user again",
    errno.EROFS: "make its file system writable again",
    errno.EIO: "see to the disk, which reports errors",
    errno.ESTALE: "mount its file system again",
}
"""What keeps a folder from being written that could be written before, and what helps."""

_ANOTHER_KIND = {
    errno.EEXIST: "it is a file, and a folder is needed: name another place",
    errno.ENOTDIR: "a folder on the way to it is a file: name another place",
    errno.EISDIR: "it is a folder, and a file is needed: name another place",
}
"""What a user has named that is there already, and is of another kind."""


def disk_full(folder: Path, found: str) -> DiskFullError:
    """The error of a folder that has no room left."""
    return DiskFullError(
        f"no room left for the search in {folder} ({found}). All reports, decisions and checkpoints up to now are "
        "kept, and no trial counts as failed for it: make room, then give the same command again"
    )


def unwritable(folder: Path, number: int, found: str) -> UnwritableError:
    """The error of a folder that cannot be written any more, by the number of the system's error."""
    return UnwritableError(
        f"{folder} cannot be written any more ({found}). All reports, decisions and checkpoints up to now are "
        f"kept, and no trial counts as failed for it: {_UNWRITABLE[number]}, then give the same command again"
    )


def cannot_write(folder: Path, error: OSError) -> SearchError | None:
    """What to end a search with after an error of a write below its folder; None where it is of another kind."""
    if error.errno in _FULL:
        return disk_full(folder, str(error))
    if error.errno in _UNWRITABLE and error.filename is not None and _is_below(str(error.filename), folder):
        return unwritable(folder, error.errno, str(error))
    return None


def in_words(error: OSError) -> str:
    """What a command says of a file that it may not write or read; empty where the error is of another kind."""
    if error.errno in _FULL:
        return str(disk_full(Path(error.filename or ".").parent, str(error)))
    if error.errno in _UNWRITABLE and error.filename is not None:
        return f"{error.filename}: {error.strerror}; {_UNWRITABLE[error.errno]}, then give the same command again"
    if error.errno in _ANOTHER_KIND and error.filename is not None:
        path = Path(error.filename2 or error.filename)
        if path.is_dir() == (error.errno == errno.EISDIR):  # a folder that was made twice is a fault of the program
            return f"{path}: {_ANOTHER_KIND[error.errno]}"
    return ""


def _is_below(path: str, folder: Path) -> bool:
    return Path(path).absolute().is_relative_to(folder.absolute())


def no_room(folder: Path) -> DiskFullError | None:
    """The error to end a search with, where so little is left that going on would break it."""
    free = shutil.disk_usage(folder).free
    return disk_full(folder, f"{free >> 20} MB are free, {LEAST_ROOM >> 20} are needed") if free < LEAST_ROOM else None


def is_full(error: OSError) -> bool:
    """Whether a write failed for want of room."""
    return error.errno in _FULL
