"""Lists that wait in a file of a sweep's folder for the next night; a list without an item has no file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from orchestrator.record.strict_json import write_atomically

log = logging.getLogger(__name__)


def read_list(file: Path, kind: Any, lost: str) -> list[Any]:
    """The list in a file; empty where there is none, and, with a warning, where it cannot be read.

    Args:
        kind: the list's type. lost: what follows from not reading it, for the warning.
    """
    try:
        found: list[Any] = TypeAdapter(kind).validate_json(file.read_bytes())
        return found
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s): %s", file, " ".join(str(error).split())[:200], lost)
        return []


def write_list(file: Path, kind: Any, content: list[Any]) -> None:
    """Put the list in its file, in one step."""
    if content:
        write_atomically(file, TypeAdapter(kind).dump_json(content, indent=1).decode())
    else:
        file.unlink(missing_ok=True)
