"""One process at a time for a search, also where hosts share its folder, or nothing but a storage.

Two things together, since neither is enough. A lock of the operating system (``flock``) ends with its process at once,
but not every network file system passes it on to other hosts, and object stores have none. So the owner also writes
down who it is, in the folder and in the storage, and writes again as long as it lives. Its signs of life are dated by
the disk or storage, and compared with one that is made there for comparison: no clock of any host counts.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.record.errors import JournalError, LockError, StorageError
from orchestrator.store.owner import Owner, read_owner, silent_for, written_at
from orchestrator.store.paths import Folder, StoragePath

log = logging.getLogger(__name__)

LOCK = "search.lock"
BEAT = 5.0  # seconds between two signs of life
STALE = 30.0  # seconds without one after which the owner counts as dead
GLANCE = 1.0  # seconds between two looks at another owner's
SETTLED = 1.0  # seconds after which of two who came to a storage at the same time both see the same one


def running_owner(folder: Path) -> Owner | None:
    """The process that runs the search of a folder; None where none does.

    One that was killed with its host counts as running for `STALE` seconds more. A search that is still looking for its
    data does not count yet.
    """
    owner = read_owner(folder / LOCK)
    if owner is None or owner.has_ended:
        return None
    try:
        return owner if silent_for(folder / LOCK) < STALE else None
    except OSError:  # a folder that can be read alone: nothing can be compared there
        return owner


class SearchLock:
    """The lock of the search in a folder, and of its place in a storage. Use as a context manager.

    A storage has no locks. A process that comes reads the object there, waits until no sign of life can be expected any
    more, writes itself down, and reads once more: of two that did so at the same time the last one has it.

    Args:
        name: the search's, for people. place: its own in the storage; None where it has none.
        what: what is locked, where it is no search. other: what starts another one, for the message.

    Raises:
        LockError: on entry: another process runs the search.
        JournalError: on entry: the folder cannot be written.
        StorageError: on entry: the storage cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        place: StoragePath | None = None,
        what: str = "search",
        other: str = "another --name starts another search",
    ) -> None:
        self.path = folder / LOCK
        self.owner = Owner.this_process()
        self._name, self._other = f"{what} {name}", other
        self._object = None if place is None else place.hasty() / LOCK
        self._has_object = False
        self._file = -1
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="lock", daemon=True)
        self._taken_by: Owner | None = None
        self._made: list[Path] = []

    def __enter__(self) -> SearchLock:
        folder = self.path.parent
        self._made = [place for place in (folder, *folder.parents) if not place.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise JournalError(f"{self.path} cannot be written ({error.strerror}); see to the folder") from error
        try:
            self._take_file()
        except BaseException:
            os.close(self._file)
            raise
        self._beating.start()
        try:
            self._take_object()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        self._beating.join()
        with suppress(OSError):
            if self._taken_by is None:
                os.ftruncate(self._file, 0)
                self._leave_nothing_behind()
        os.close(self._file)
        with suppress(StorageError, OSError):  # the next process waits for a sign of life then
            if self._object is not None and self._has_object and self._is_mine(self._object):
                self._object.unlink(missing_ok=True)

    def note_cluster(self, address: str) -> None:
        """Say which Ray cluster the search runs on."""
        self.owner = replace(self.owner, ray=address)
        self._write_file()
        if self._object is not None:
            with suppress(StorageError):  # the next sign of life says it as well
                self._object.write_bytes(self.owner.as_json())

    def check(self) -> None:
        """See whether the search is still this process's.

        Raises:
            LockError: another host has taken it for dead, and runs the search now.
        """
        if self._taken_by is not None:
            raise LockError(
                f"{self._name} was taken over by {self._taken_by}, since this host gave no sign of life in its "
                f"folder for {STALE:.0f} s: this process ends here, and the search goes on there"
            )

    def _leave_nothing_behind(self) -> None:
        """Where the search was refused before it wrote anything, remove the folders that were made for the lock."""
        if self._made and list(self.path.parent.iterdir()) == [self.path]:
            self.path.unlink()
            for folder in self._made:
                folder.rmdir()

    def _take_file(self) -> None:
        before = read_owner(self.path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locks = True
        except BlockingIOError:
            raise self._in_use(before) from None
        except OSError:  # a file system without locks
            locks = False
        if before is not None and not (locks and before.kernel == self.owner.kernel):
            self._wait_for_a_sign(self.path, before)
        self._write_file()

    def _take_object(self) -> None:
        if self._object is None:
            return
        before = read_owner(self._object)
        if before is not None and not before.has_ended:
            with suppress(FileNotFoundError):  # it has ended by itself meanwhile
                self._wait_for_a_sign(self._object, before)
        self._object.write_bytes(self.owner.as_json())
        time.sleep(min(SETTLED, STALE))
        if not self._is_mine(self._object):
            raise self._in_use(read_owner(self._object))
        self._has_object = True

    def _wait_for_a_sign(self, lock: Folder, before: Owner) -> None:
        """Return when an owner on another host is surely dead."""
        seen = written_at(lock)
        left = STALE - silent_for(lock)
        if left > 0:
            moments = "%s was run by %s moments ago: waiting %.0f s for a sign of life from it"
            log.info(moments, self._name, before, left)
        until = time.monotonic() + left
        while time.monotonic() < until:
            time.sleep(min(GLANCE, STALE))
            if written_at(lock) != seen:
                raise self._in_use(read_owner(lock))

    def _in_use(self, owner: Owner | None) -> LockError:
        return LockError(
            f"{self._name} is running already ({owner or 'in another process'}). Wait for it or end it there, "
            f"then give the command again; {self._other}"
        )

    def _is_mine(self, lock: Folder) -> bool:
        owner = read_owner(lock)
        return owner is not None and owner.token == self.owner.token

    def _write_file(self) -> None:
        data = self.owner.as_json()
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))
        os.fsync(self._file)

    def _beat(self) -> None:
        while self._taken_by is None and not self._ended.wait(BEAT):
            if self._object is not None and self._has_object:
                self._give_sign(self._object)
            if self._taken_by is None:
                self._give_sign(self.path)

    def _give_sign(self, lock: Folder) -> None:
        with suppress(OSError, StorageError):  # away for a while: a process that takes over decides
            owner = read_owner(lock)
            if owner is not None and owner.token != self.owner.token:
                self._taken_by = owner
            elif isinstance(lock, StoragePath):
                lock.write_bytes(self.owner.as_json())
            else:
                os.utime(lock)  # now, by the clock of the server that keeps the file
