"""A search's place in its storage: taken up from there, held against other processes, and kept like its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.plan.plan import Plan
from orchestrator.plan.search_folder import stored
from orchestrator.store.lock import SearchLock, running_owner
from orchestrator.store.mirror import Mirror, fetch, lacks
from orchestrator.store.paths import StoragePath
from orchestrator.store.uris import storage_problems
from trials.errors import UserError


def take_up(plan: Plan) -> None:
    """Bring a search's files from its storage where that has newer ones; without a storage, nothing.

    Raises:
        StorageError: the storage cannot be read.
    """
    place = stored(plan)
    if place is not None and running_owner(plan.folder) is None:
        fetch(plan.folder, place)


def take_up_by_name(storage: str, name: str, output: Path) -> None:
    """`take_up` of a search of which no more is known than its name.

    Raises:
        UserError: the storage cannot be used. StorageError: it cannot be read.
    """
    if problems := storage_problems(storage):
        raise UserError(problems)
    if running_owner(output / name) is None:
        fetch(output / name, StoragePath(storage) / name)


@contextmanager
def held(plan: Plan) -> Iterator[SearchLock]:
    """A search is this process's alone, and what it writes is copied to its storage, if it has one, up to the end.

    Raises:
        LockError: on entry: another process runs the search.
        StorageError: on entry: the storage cannot be used.
    """
    place = stored(plan)
    with SearchLock(plan.folder, plan.name, place) as lock:
        if place is None:
            yield lock
            return
        fetch(plan.folder, place)  # another head may have gone on with it since
        with Mirror(plan.folder, place, lock.check):
            yield lock


def complete(plan: Plan) -> None:
    """Copy what the storage lacks of a search that is over: it was away when that ended.

    Raises:
        LockError: another process is about it. StorageError: the storage cannot be used.
    """
    if stored(plan) is not None and lacks(plan.folder):
        with held(plan):
            pass
