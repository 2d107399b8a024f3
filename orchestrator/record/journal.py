"""An append-only file of JSON lines that survives a kill, a full disk and a cut at any byte.

Each line is ``["CHECKSUM", {...}]``. The checksum (CRC-32) covers the entry and the checksum of the line before, so a
line that was changed, lost or swapped ends what is believed. An entry is on the disk when `Journal.append` returns.

A file that was cut exactly between two lines looks whole; a second file, ``NAME.length``, which follows the first one
and is never ahead of the disk, tells how long it had been.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.record.errors import JournalError
from orchestrator.record.strict_json import decode, encode

Entry = dict[str, Any]


class Journal:
    """The journal at ``path``; made if it is not there, taken up where its last whole line ends if it is.

    Attributes:
        found: the entries that were there when it was opened, the oldest first.
        damage: what was wrong with the file, in words; empty where nothing was. The bytes that could not be used are
            kept beside it, under a name that ends in ``.damaged``.

    Raises:
        JournalError: another process has it open, or its folder cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.found: list[Entry] = []
        self.damage = ""
        self._last = 0  # checksum of the last whole line
        self._end = 0  # bytes of whole lines
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise JournalError(self._cannot(error)) from error
        try:
            self._lock()
            self._read()
        except BaseException:
            os.close(self._file)
            raise

    def append(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Write entries and wait until the disk has them: all of them, or none where this raises.

        Raises:
            JournalError: the disk is full or gone. The file is as it was.
        """
        lines, last = [], self._last
        for entry in entries:
            text = _as_text(entry)
            last = _checksum(text, last)
            lines.append(f'["{last:08x}",{text}]\n')
        if not lines:
            return
        data = "".join(lines).encode()
        try:
            _write(self._file, data, self._end)
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):  # half a line would be taken for damage
                os.ftruncate(self._file, self._end)
            raise JournalError(self._cannot(error)) from error
        self._last, self._end = last, self._end + len(data)
        with suppress(OSError):  # the entries are safe: without this file only a later cut would go unseen
            self._note_length()

    def entries(self) -> list[Entry]:
        """All that is in it now, the oldest first, read from the disk."""
        entries, last = [], 0
        for line in self.path.read_bytes()[: self._end].splitlines(keepends=True):
            entry, last = _parse(line, last)
            if entry is None:  # changed under our hands
                break
            entries.append(entry)
        return entries

    def close(self) -> None:
        """Let another process open it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalError(
                f"{self.path} is in use: this search is running in another process. Wait for it or end it, then "
                "give the command again"
            ) from None
        except OSError:  # some network file systems have no locks: nothing is lost but the warning
            pass

    def _read(self) -> None:
        data = self.path.read_bytes()
        fault = ""
        for number, line in enumerate(data.splitlines(keepends=True), start=1):
            entry, checksum = _parse(line, self._last)
            if entry is None:
                cut = not line.endswith(b"\n")
                fault = f"is {'cut off' if cut else 'damaged'} in line {number} (byte {self._end:,} of {len(data):,})"
                break
            self.found.append(entry)
            self._last, self._end = checksum, self._end + len(line)
        had = self._noted_length()
        if not fault and had > len(data):
            fault = f"has lost its end ({len(data):,} of {had:,} bytes are left)"
        if not fault:
            return
        spoilt = data[self._end :]
        kept = ""
        if spoilt:
            aside = self.path.with_name(f"{self.path.name}.damaged")
            with aside.open("ab") as stream:
                stream.write(spoilt)
            kept = f"; the {len(spoilt):,} bytes after them are kept in {aside.name}"
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
        self.damage = f"{self.path} {fault}: its first {len(self.found)} entries are whole and are used{kept}"
        self._note_length()

    @property
    def _length_file(self) -> Path:
        return self.path.with_name(f"{self.path.name}.length")

    def _noted_length(self) -> int:
        try:
            return int(self._length_file.read_text())
        except (OSError, ValueError):
            return 0

    def _note_length(self) -> None:
        # In place and of fixed width: a kill leaves the old number or the new one.
        descriptor = os.open(self._length_file, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(descriptor, f"{self._end:019d}\n".encode(), 0)
        finally:
            os.close(descriptor)

    def _cannot(self, error: OSError) -> str:
        fix = {
            errno.ENOSPC: "free some space",
            errno.EDQUOT: "free some of your quota",
            errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
            errno.EACCES: "make the folder writable",
            errno.EROFS: "make the file system writable",
        }.get(error.errno or 0, "see to the disk")
        return (
            f"{self.path} cannot be written ({error.strerror}). What was decided before is kept, and nothing was done "
            f"that is not written there: {fix}, then give the same command again"
        )


def _as_text(entry: Mapping[str, Any]) -> str:
    problems: list[str] = []
    text = json.dumps(encode(dict(entry), "", problems), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    if problems:
        raise ValueError("an entry has no JSON form: " + "; ".join(problems))
    return text


def _write(file: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(file, data, at)
        data, at = data[written:], at + written


def _checksum(text: str, before: int) -> int:
    return zlib.crc32(text.encode(), before)


def _parse(line: bytes, before: int) -> tuple[Entry | None, int]:
    """The entry of a line and its checksum; None where the line is not what was written after ``before``."""
    with suppress(ValueError):
        text = line.decode()
        if text.startswith('["') and text[10:12] == '",' and text.endswith("]\n"):
            checksum = int(text[2:10], 16)
            if checksum == _checksum(text[12:-2], before):
                return decode(json.loads(text[12:-2])), checksum
    return None, before
