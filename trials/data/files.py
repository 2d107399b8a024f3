"""Which files of rows are read, by their endings, and how they are opened: plain or compressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from trials.errors import DataError

FORMATS: dict[str, str] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": lambda path: pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"),
}
DAMAGED = (EOFError, lzma.LZMAError, OSError)
"""What a compressed file that is cut or damaged raises as it is read."""


def format_of(path: Path) -> str | None:
    """parquet, csv, tsv or jsonl, by the file's ending, that of its compression aside; None for any other file."""
    endings = [ending.lower() for ending in path.suffixes]
    if endings and endings[-1] in _OPENERS:
        form = FORMATS.get(endings[-2]) if len(endings) > 1 else None
        return form if form != "parquet" else None
    return FORMATS.get(endings[-1]) if endings else None


def is_compressed(path: Path) -> bool:
    """Whether the whole file is compressed (Parquet compresses inside)."""
    return path.suffix.lower() in _OPENERS


def unknown_format(path: Path) -> str:
    """Why a file is not read, and what would be."""
    known = f"{', '.join(FORMATS)} are read, and text files with {', '.join(_OPENERS)} after that"
    suffix = "".join(path.suffixes[-2:] if is_compressed(path) else path.suffixes[-1:])
    fix = "; unpack it first" if path.suffix.lower() in (".zip", ".tar", ".tgz", ".7z", ".lz4", *_OPENERS) else ""
    return f"{path}: unknown format '{suffix}'; {known}{fix}"


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked."""
    opener = _OPENERS.get(path.suffix.lower())
    return opener(path) if opener else path.open("rb")


def open_text(path: Path) -> IO[str]:
    """The file's lines with their ends as they are; a byte order mark is left out, bytes that are no UTF-8 replaced."""
    stream = open_bytes(path)
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")


def unpacked(path: Path) -> bytes:
    """The whole content of a compressed file.

    Raises:
        DataError: it is cut or damaged, or is not compressed in the way that its name says.
    """
    try:
        with open_bytes(path) as stream:
            return stream.read()
    except DAMAGED as error:
        raise DataError(
            f"{path}: truncated, damaged or not a {path.suffix} file ({' '.join(str(error).split())}); copy or "
            "download it again"
        ) from error
