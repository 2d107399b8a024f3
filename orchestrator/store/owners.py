"""Whether a search runs, and where, for those who are not its process: to watch it, to stop it, to ask for it again."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.store.lock import LOCK, STALE, Owner, read_owner, silent_for


def running_owner(folder: Path) -> Owner | None:
    """The process that runs the search of a folder; None where none does.

    One that was killed with its host counts as running for `STALE` seconds more. A search that is still looking for its
    data does not count yet.
    """
    owner = read_owner(folder / LOCK)
    if owner is None or (is_here(owner) and not exists(owner.pid)):
        return None
    try:
        return owner if silent_for(folder / LOCK) < STALE else None
    except OSError:  # a folder that can be read alone: nothing can be compared there
        return owner


def is_here(owner: Owner) -> bool:
    """Whether an owner is a process of this host. Containers of one machine share its kernel, but not its processes."""
    this = Owner.this_process()
    return (owner.host, owner.kernel) == (this.host, this.kernel)


def exists(pid: int) -> bool:
    """Whether this host has a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # there is one, another user's
        pass
    return True
