"""Who runs a search, as its lock says: written down where other hosts can read it, dated by the clock of that place."""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from orchestrator.store.paths import Folder, StoragePath

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
        """The process that calls this."""
        kernel = KERNEL.read_text().strip() if KERNEL.exists() else socket.gethostname()
        return cls(socket.gethostname(), os.getpid(), kernel, secrets.token_hex(8))

    def __str__(self) -> str:
        return f"process {self.pid} on host {self.host}" + (f", Ray cluster {self.ray}" if self.ray else "")

    def as_json(self) -> bytes:
        """What `read_owner` reads."""
        return json.dumps(asdict(self)).encode()

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this host. Containers of one machine share its kernel, but not its processes."""
        this = Owner.this_process()
        return (self.host, self.kernel) == (this.host, this.kernel)

    @property
    def has_ended(self) -> bool:
        """Whether it is known to run no more; of a process of another host nothing is known."""
        return self.is_here and not psutil.pid_exists(self.pid)


def read_owner(lock: Folder) -> Owner | None:
    """The owner that a lock names; None where nobody has it.

    Raises:
        StorageError: it is in a storage that is away.
    """
    try:
        return Owner(**json.loads(lock.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def silent_for(lock: Folder) -> float:
    """Seconds since the last sign of life of a lock's owner, both ends by the clock of its disk or storage."""
    now = lock.parent / f".{lock.name}-{secrets.token_hex(8)}"
    if isinstance(now, StoragePath):
        now.write_bytes(b"now")
    else:
        now.touch()  # needs no room on a full disk
    try:
        return written_at(now) - written_at(lock)
    finally:
        now.unlink(missing_ok=True)


def written_at(lock: Folder) -> float:
    """When a file was written last, in seconds by the clock of its disk or storage.

    On a disk it is opened for that, since opening asks a file server anew.
    """
    if isinstance(lock, StoragePath):
        return lock.modified()
    with lock.open("rb") as stream:
        return os.fstat(stream.fileno()).st_mtime
