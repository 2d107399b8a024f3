"""Files in a storage that is named by a URI: S3, GCS, Azure, HDFS or a folder, whatever pyarrow's file systems reach.

A search that is given ``--storage`` keeps its trials' checkpoints there, written and read by the trials themselves, so
that hosts need no folder in common.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from orchestrator.record.disk import is_full
from orchestrator.record.errors import StorageError
from orchestrator.record.secrecy import shown_address

if TYPE_CHECKING:
    from pyarrow import fs

T = TypeVar("T")
_End = tuple[str, "fs.FileSystem | None"]
PATIENCE = 300.0  # seconds for which a storage that does not answer is asked again
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0  # seconds between two attempts
OBJECT_STORES = {"s3", "gcs", "abfs"}  # there an object appears whole, and folders need not be made
LASTING = (
    "ACCESS_DENIED",
    "NO_SUCH_BUCKET",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "Errno 13",
    "Errno 30",
)
"""In the errors of file systems: what waiting does not mend."""

AWAY = "the storage does not do what it is asked"


@dataclass(frozen=True, order=True)
class StoragePath:
    """A file or folder in a storage, to be used like a `pathlib.Path` as far as it goes.

    Attributes:
        root: the storage's URI, without keys. inner: the path below it, with slashes.
        patience: seconds for which every method asks again where the storage does not answer.

    Raises:
        StorageError: from every method: the storage was away for too long, or refuses.
        OSError: the disk below a folder as storage is full.
    """

    root: str
    inner: str = ""
    patience: float = field(default=PATIENCE, compare=False)

    def __truediv__(self, name: str) -> StoragePath:
        return replace(self, inner=f"{self.inner}/{name}" if self.inner else name)

    def __str__(self) -> str:
        return f"{shown(self.root)}/{self.inner}" if self.inner else shown(self.root)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.inner.rpartition("/")[2]

    @property
    def parent(self) -> StoragePath:
        """The folder that it is in; the root's is the root."""
        return replace(self, inner=self.inner.rpartition("/")[0])

    def hasty(self) -> StoragePath:
        """The same, for who asks again by himself: every method asks once."""
        return replace(self, patience=0.0)

    def read_bytes(self) -> bytes:
        """Contents of a file; FileNotFoundError where there is none."""

        def read(system: fs.FileSystem, path: str) -> bytes:
            with system.open_input_stream(path) as stream:
                return stream.read()

        return self._patiently(read)

    def write_bytes(self, data: bytes) -> None:
        """Put a file in its place, whole or not at all."""

        def write(system: fs.FileSystem, path: str) -> None:
            if system.type_name in OBJECT_STORES:
                with system.open_output_stream(path) as stream:
                    stream.write(data)
                return
            folder, _, name = path.rpartition("/")
            unfinished = f"{folder}/.{name}.{secrets.token_hex(4)}.tmp"
            system.create_dir(folder, recursive=True)
            try:
                with system.open_output_stream(unfinished) as stream:
                    stream.write(data)
                system.move(unfinished, path)
            except OSError:
                with suppress(OSError):
                    system.delete_file(unfinished)
                raise

        self._patiently(write)

    def write_text(self, text: str) -> None:
        """Put a file of UTF-8 in its place."""
        self.write_bytes(text.encode())

    def mkdir(self, parents: bool = True, exist_ok: bool = True) -> None:
        """Nothing: folders are made with the files in them."""

    def exists(self) -> bool:
        """Whether a file or a folder with files is there."""
        return self._info().type.name != "NotFound"

    def is_dir(self) -> bool:
        """Whether a folder with files is there."""
        return self._info().type.name == "Directory"

    def modified(self) -> float:
        """When a file was written last, in seconds since 1970 by the storage's own clock, which may count whole ones.

        FileNotFoundError where there is none.
        """
        info = self._info()
        if info.mtime_ns is None:
            raise FileNotFoundError(str(self))
        return info.mtime_ns / 1e9

    def glob(self, pattern: str) -> list[StoragePath]:
        """Files and folders that match, sorted; the last part of the pattern must have a wildcard."""
        found = [self]
        for part in pattern.split("/"):
            if "*" in part:
                found = [below for place in found for below in place.iterdir() if fnmatchcase(below.name, part)]
            else:
                found = [place / part for place in found]
        return found

    def iterdir(self) -> list[StoragePath]:
        """What is directly in a folder, sorted; nothing where there is none."""

        def names(system: fs.FileSystem, path: str) -> list[str]:
            from pyarrow.fs import FileSelector

            return [info.base_name for info in system.get_file_info(FileSelector(path, allow_not_found=True))]

        return [self / name for name in sorted(self._patiently(names))]

    def files(self) -> dict[str, bytes]:
        """The contents of all files below a folder by their paths in it."""

        def names(system: fs.FileSystem, path: str) -> list[str]:
            from pyarrow.fs import FileSelector, FileType

            infos = system.get_file_info(FileSelector(path, recursive=True, allow_not_found=True))
            return [info.path[len(path) + 1 :] for info in infos if info.type == FileType.File]

        return {name: (self / name).read_bytes() for name in self._patiently(names)}

    def upload(self, file: Path) -> None:
        """Put a file of this host here, however large; not in one step: a kill may leave a part of it."""
        self._copy(lambda system, path: ((str(file), None), (path, system)))

    def download(self, file: Path) -> None:
        """Fetch it into a file of this host, however large."""
        self._copy(lambda system, path: ((path, system), (str(file), None)))

    def _copy(self, ends: Callable[[fs.FileSystem, str], tuple[_End, _End]]) -> None:
        def copy(system: fs.FileSystem, path: str) -> None:
            from pyarrow.fs import LocalFileSystem, copy_files

            (source, its), (target, other) = ends(system, path)
            if other is not None and system.type_name not in OBJECT_STORES:
                system.create_dir(path.rpartition("/")[0], recursive=True)
            copy_files(source, target, its or LocalFileSystem(), other or LocalFileSystem())

        self._patiently(copy)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove a file."""

        def remove(system: fs.FileSystem, path: str) -> None:
            try:
                system.delete_file(path)
            except FileNotFoundError:
                if not missing_ok:
                    raise

        self._patiently(remove)

    def remove_tree(self) -> None:
        """Remove a folder and all that is in it, where it is there."""

        def remove(system: fs.FileSystem, path: str) -> None:
            with suppress(FileNotFoundError):
                system.delete_dir(path)

        self._patiently(remove)

    def _info(self) -> fs.FileInfo:
        return self._patiently(lambda system, path: system.get_file_info(path))

    def _patiently(self, what: Callable[[fs.FileSystem, str], T]) -> T:
        until = time.monotonic() + self.patience
        pause = FIRST_PAUSE
        while True:
            try:
                system, root = opened(self.root)
                return what(system, f"{root}/{self.inner}" if self.inner else root)
            except FileNotFoundError:
                raise
            except OSError as error:
                if is_full(error):
                    raise
                if any(sign in str(error) for sign in LASTING) or time.monotonic() + pause > until:
                    raise StorageError(f"{AWAY}: {self} ({one_line(error)})") from error
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, 1.6 * pause)


Folder = Path | StoragePath
"""Where a search's checkpoints are: on a disk, or in a storage."""


def listed(folder: Folder, pattern: str) -> list[Folder]:
    """What matches a pattern below a folder, sorted by name."""
    found: list[Folder] = list(folder.glob(pattern))
    return sorted(found, key=lambda path: path.name)


@lru_cache(maxsize=8)
def opened(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URI, and the path that it means there; keys come from the environment."""
    from pyarrow import fs

    system, path = fs.FileSystem.from_uri(uri)
    if system.type_name == "s3":
        make, (options,) = system.__reduce__()
        system = make({**options, "allow_delayed_open": True})  # small objects: one request instead of three
    return system, path.rstrip("/")


def shown(uri: str) -> str:
    """A URI for people and logs: without user, password and query."""
    return re.split(r"[?#]", shown_address(uri), maxsplit=1)[0].rstrip("/")


def one_line(error: BaseException) -> str:
    """What a file system says, without the numbers of requests."""
    return " ".join(str(error).split()).partition(" (Request ID")[0][:300]


def safe_name(name: str) -> str:
    """A file's path below a folder, as a storage lists it, where it stays there.

    Raises:
        ValueError: it would lead elsewhere: somebody else has written the list.
    """
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise ValueError(f"{name!r} leads out of the folder")
    return name
