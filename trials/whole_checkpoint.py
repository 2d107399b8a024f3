"""Whether a checkpoint on disk is whole: a kill, a full disk or a lost page can cut any file of it at any byte.

Its last file, ``training.json``, holds the length and checksum of all others. Needs no torch.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FACTS = "training.json"
MANIFEST = "files"  # its key in the facts


def manifest(folder: Path) -> dict[str, list[int]]:
    """Length in bytes and CRC-32 of each file of a checkpoint but `FACTS`, by its path in the folder."""
    files = (file for file in folder.rglob("*") if file.is_file() and file != folder / FACTS)
    return {file.relative_to(folder).as_posix(): _print_of(file) for file in sorted(files)}


def step_of(folder: Path) -> int | None:
    """The step of a checkpoint; None where it is not whole. Without a manifest its last file alone must be."""
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_bytes())
        step = int(facts["step"])
        listed = facts.get(MANIFEST, {})
        # Lengths first: they tell of nearly every cut without reading the file.
        sizes_agree = all((folder / name).stat().st_size == length for name, (length, _) in listed.items())
        if sizes_agree and all(_print_of(folder / name)[1] == checksum for name, (_, checksum) in listed.items()):
            return step
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def step_in(files: Mapping[str, bytes]) -> int | None:
    """`step_of` a checkpoint whose files' contents are at hand, by their paths in it."""
    try:
        facts: dict[str, Any] = json.loads(files[FACTS])
        listed = facts.get(MANIFEST, {})
        if all(_print(files[name]) == expected for name, expected in listed.items()):
            return int(facts["step"])
    except (ValueError, KeyError, TypeError):
        pass
    return None


def _print_of(file: Path) -> list[int]:
    return _print(file.read_bytes())


def _print(content: bytes) -> list[int]:
    return [len(content), zlib.crc32(content)]
