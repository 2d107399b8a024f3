"""JSON files that outlive the loss of one of two copies: ``NAME.json``, and ``NAME.copy.json``, written before it.

Each is replaced in one step, so no kill leaves half of one; but a disk may lose the end of a file that was written.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.record.errors import RecordError
from orchestrator.record.record import SearchRecord
from orchestrator.record.strict_json import write_atomically
from trials.errors import UserError


def copy_of(path: Path) -> Path:
    """Where the second copy of a file is."""
    return path.with_name(f"{path.stem}.copy{path.suffix}")


def write_twice(path: Path, document: Any) -> None:
    """Write a document that does not change any more, and its copy."""
    text = json.dumps(document, indent=1)
    write_atomically(copy_of(path), text)
    write_atomically(path, text)


def read_either(path: Path) -> tuple[dict[str, Any], str]:
    """A document, and what to say where it came from the copy.

    Raises:
        UserError: both are damaged.
    """
    try:
        return _document(path), ""
    except (OSError, ValueError) as error:
        problem = f"{path} is damaged ({error})"
    try:
        return _document(copy_of(path)), f"{problem}; its copy {copy_of(path).name} is used"
    except (OSError, ValueError):
        raise UserError(
            [
                f"{problem}, and so is its copy: whether this is the same search is not known. Nothing was "
                "touched; bring the file back from a backup, or search under another --name"
            ]
        ) from None


def keep_record(record: SearchRecord, path: Path) -> None:
    """Write a search's record; the one of before stays as the copy."""
    link = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with suppress(OSError):  # no such file yet, or a file system without links: then there is no copy
        os.link(path, link)
        link.replace(copy_of(path))
        link.unlink(missing_ok=True)  # where both were the same file already, the replacement does nothing
    record.save(path)


def load_record(path: Path) -> tuple[SearchRecord | None, str]:
    """A search's record, or the one before it, and what to say where it is not the last; None where both are lost."""
    try:
        return SearchRecord.load(path), ""
    except RecordError as error:
        problem = str(error).partition(". ")[0]
    try:
        return SearchRecord.load(
            copy_of(path)
        ), f"{problem}; the record before it is used, and what it lacks is taken from the journal and the checkpoints"
    except RecordError:
        return None, f"{problem}, and so is its copy; the record is made anew from the journal and the checkpoints"


def _document(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise ValueError(f"it holds a {type(document).__name__}")
    return document
