"""One process at a time for a search in a storage, from whatever host, without a folder in common."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from orchestrator.record.errors import StorageError
from orchestrator.store import lock as search_lock
from orchestrator.store.lock import LOCK, Owner, SearchLock
from orchestrator.store.owners import exists, is_here
from orchestrator.store.paths import StoragePath

SETTLED = 1.0  # seconds after which of two who came at the same time both see the same one


class StoredSearchLock(SearchLock):
    """The lock of a search's folder, and that of its place in a storage: an object that its owner writes every while.

    Object stores have no locks. Who comes reads the object, waits until no sign of life can be expected any more, as
    `SearchLock` does between hosts, writes itself down, and reads once more: of two who did so at the same time the
    last one has it. All times are the storage's own.

    Args:
        place: the search's, in the storage.

    Raises:
        LockError: on entry: another process runs the search. StorageError: on entry: the storage cannot be used.
    """

    def __init__(
        self, folder: Path, name: str, place: StoragePath, say: Callable[[str], object] = lambda text: None
    ) -> None:
        super().__init__(folder, name, say)
        self._object = place.hasty() / LOCK
        self._held = False

    def __enter__(self) -> StoredSearchLock:
        super().__enter__()
        try:
            self._take_object()
        except BaseException:
            super().__exit__()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        with suppress(StorageError, OSError):  # who comes next waits for a sign of life then
            if self._held and self._is_mine():
                self._object.unlink(missing_ok=True)

    def note_cluster(self, address: str) -> None:
        """Say which Ray cluster the search runs on."""
        super().note_cluster(address)
        with suppress(StorageError):  # the next sign of life says it as well
            self._sign()

    def _take_object(self) -> None:
        before = stored_owner(self._object)
        if before is not None and not (is_here(before) and not exists(before.pid)):
            with suppress(FileNotFoundError):  # it has ended by itself meanwhile
                self._wait_for_a_stored_sign(before)
        self._sign()
        time.sleep(min(SETTLED, search_lock.STALE))
        if not self._is_mine():
            raise self._in_use(stored_owner(self._object))
        self._held = True

    def _wait_for_a_stored_sign(self, before: Owner) -> None:
        seen = self._object.modified()
        left = search_lock.STALE - self._silent_for(seen)
        if left > 0:
            self._say(
                f"search {self._name} was run by {before} moments ago: waiting {left:.0f} s for a sign of life from it"
            )
        until = time.monotonic() + left
        while time.monotonic() < until:
            time.sleep(min(search_lock.GLANCE, search_lock.STALE))
            if self._object.modified() != seen:
                raise self._in_use(stored_owner(self._object))

    def _silent_for(self, seen: float) -> float:
        """Seconds since the object was written, both ends by the storage's clock."""
        now = self._object.parent / f".{LOCK}-{secrets.token_hex(8)}"
        now.write_bytes(b"now")
        try:
            return now.modified() - seen
        finally:
            now.unlink(missing_ok=True)

    def _sign(self) -> None:
        self._object.write_bytes(json.dumps(asdict(self.owner)).encode())

    def _give_sign(self) -> None:
        if self._held:
            with suppress(StorageError):  # away for a while: whoever takes over decides
                self._give_stored_sign()
        if self._taken_by is None:
            super()._give_sign()

    def _give_stored_sign(self) -> None:
        owner = stored_owner(self._object)
        if owner is not None and owner.token != self.owner.token:
            self._taken_by = owner
        else:
            self._sign()

    def _is_mine(self) -> bool:
        owner = stored_owner(self._object)
        return owner is not None and owner.token == self.owner.token


def stored_owner(place: StoragePath) -> Owner | None:
    """Who has a search in a storage; None where nobody has."""
    try:
        return Owner(**json.loads(place.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
