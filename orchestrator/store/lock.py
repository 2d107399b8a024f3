"""One process at a time for a search, also where hosts share its folder.

Two things together, since neither is enough. A lock of the operating system (``flock``) ends with its process at once,
but not every network file system passes it on to other hosts. So the owner also writes down who it is, and touches that
file as long as it lives. Its signs of life are dated by the storage, and compared with one that is made there for
comparison: no clock of any host counts.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from orchestrator.record.errors import JournalError, LockError

LOCK = "search.lock"
BEAT = 5.0  # seconds between two signs of life
STALE = 30.0  # seconds without one after which the owner counts as dead
GLANCE = 1.0  # seconds between two looks at somebody else's
KERNEL = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Owner:
    """Whose a search is.

    Attributes:
        kernel: names the running operating system: on the same one, a lock that is free proves that its owner is dead.
        ray: address of the Ray cluster; empty before it is known. token: differs between any two owners.
    """

    host: str
    pid: int
    kernel: str
    token: str
    ray: str = ""

    @classmethod
    def this_process(cls) -> Owner:
        """Whoever calls."""
        kernel = KERNEL.read_text().strip() if KERNEL.exists() else socket.gethostname()
        return cls(socket.gethostname(), os.getpid(), kernel, secrets.token_hex(8))

    def __str__(self) -> str:
        return f"process {self.pid} on host {self.host}" + (f", Ray cluster {self.ray}" if self.ray else "")


class SearchLock:
    """The lock of the search in a folder. Use as a context manager.

    Args:
        name: the search's, for people. say: told that another host's sign of life is waited for.

    Attributes:
        notes: what a person should hear of how the search is kept; whoever tells it empties the list.

    Raises:
        LockError: on entry: another process runs the search.
        JournalError: on entry: the folder cannot be written.
    """

    def __init__(self, folder: Path, name: str, say: Callable[[str], object] = lambda text: None) -> None:
        self.notes: list[str] = []
        self.path = folder / LOCK
        self.owner = Owner.this_process()
        self._name = name
        self._say = say
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
            self._take()
        except BaseException:
            os.close(self._file)
            raise
        self._beating.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        self._beating.join()
        with suppress(OSError):
            if self._taken_by is None:
                os.ftruncate(self._file, 0)
                self._leave_nothing_behind()
        os.close(self._file)

    def note_cluster(self, address: str) -> None:
        """Say which Ray cluster the search runs on."""
        self.owner = replace(self.owner, ray=address)
        self._write()

    def check(self) -> None:
        """See whether the search is still this process's.

        Raises:
            LockError: another host has taken it for dead, and runs the search now.
        """
        if self._taken_by is not None:
            raise LockError(
                f"search {self._name} was taken over by {self._taken_by}, since this host gave no sign of life in its "
                f"folder for {STALE:.0f} s: this process ends here, and the search goes on there"
            )

    def _leave_nothing_behind(self) -> None:
        """Where the search was refused before it wrote anything, remove the folders that were made for the lock."""
        if self._made and list(self.path.parent.iterdir()) == [self.path]:
            self.path.unlink()
            for folder in self._made:
                folder.rmdir()

    def _take(self) -> None:
        before = read_owner(self.path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locks = True
        except BlockingIOError:
            raise self._in_use(before) from None
        except OSError:  # a file system without locks
            locks = False
        if before is not None and not (locks and before.kernel == self.owner.kernel):
            self._wait_for_a_sign(before)
        self._write()

    def _wait_for_a_sign(self, before: Owner) -> None:
        """Return when an owner on another host is surely dead."""
        seen = touched(self.path)
        left = STALE - silent_for(self.path)
        if left > 0:
            self._say(
                f"search {self._name} was run by {before} moments ago: waiting {left:.0f} s for a sign of life from it"
            )
        until = time.monotonic() + left
        while time.monotonic() < until:
            time.sleep(min(GLANCE, STALE))
            if touched(self.path) != seen:
                raise self._in_use(read_owner(self.path))

    def _in_use(self, owner: Owner | None) -> LockError:
        return LockError(
            f"search {self._name} is running already ({owner or 'in another process'}). Wait for it or end it there, "
            f"then give the command again; another --name starts another search"
        )

    def _write(self) -> None:
        data = json.dumps(asdict(self.owner)).encode()
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))
        os.fsync(self._file)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            with suppress(OSError):  # the storage may be away for a while: whoever takes over decides
                self._give_sign()
            if self._taken_by is not None:
                return

    def _give_sign(self) -> None:
        owner = read_owner(self.path)
        if owner is not None and owner.token != self.owner.token:
            self._taken_by = owner
        else:
            os.utime(self.path)  # now, by the clock of whoever keeps the file


def read_owner(path: Path) -> Owner | None:
    """Who has a lock; None where nobody has."""
    try:
        return Owner(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def silent_for(path: Path) -> float:
    """Seconds since the last sign of life of a lock's owner, both ends by the storage's clock."""
    now = path.with_name(f".{LOCK}-{secrets.token_hex(8)}")
    now.touch()
    try:
        return touched(now) - touched(path)
    finally:
        now.unlink()


def touched(path: Path) -> float:
    """When a file was touched last, by the clock of the storage; opened for it, since that asks a file server anew."""
    with path.open("rb") as stream:
        return os.fstat(stream.fileno()).st_mtime
