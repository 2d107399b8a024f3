"""Folders that are built once, by one process, and read by many."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trials.errors import UserError
from yaml_reader.home import from_home

FACTS = "prepared.json"


def default_cache_dir() -> Path:
    """$ADEPT_CACHE, else $XDG_CACHE_HOME/adept-search, else ~/.cache/adept-search.

    Raises:
        UserError: neither is set, and this user has no home folder.
    """
    fix = "set ADEPT_CACHE to a folder where you may write"
    own = os.environ.get("ADEPT_CACHE")
    if own:
        return from_home(own, fix)
    return from_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache", fix) / "adept-search"


def cached(cache_dir: Path, name: str, build: Callable[[Path], dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
    """(folder, facts) of the name; built where there is none, or where its files are not those that were written.

    `build` fills an empty folder and returns facts that JSON can hold. It runs in one process at a time, on a folder
    of its own that is renamed when it is whole: a process that dies leaves nothing that could be taken for a result.

    Raises:
        UserError: the cache cannot be written.
    """
    from filelock import FileLock

    folder = cache_dir / name
    facts = facts_of(folder)
    if facts is not None:
        return folder, facts
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(cache_dir / f"{name}.lock"):
            facts = facts_of(folder)  # another process may have built it meanwhile
            if facts is None:
                facts = _build(folder, build)
            return folder, facts
    except OSError as error:
        raise UserError(
            f"the cache {cache_dir} cannot be written ({error.strerror or error}): "
            "set ADEPT_CACHE to a folder on a disk with room, where you may write"
        ) from error


def _build(folder: Path, build: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    for left in folder.parent.glob(f"{folder.name}.building-*"):
        shutil.rmtree(left, ignore_errors=True)  # of a process that died: the lock says that none builds now
    work = folder.parent / f"{folder.name}.building-{os.getpid()}"
    work.mkdir()
    try:
        facts = build(work)
        files = {str(file.relative_to(work)): _digest(file) for file in sorted(work.rglob("*")) if file.is_file()}
        (work / FACTS).write_text(json.dumps({"facts": facts, "files": files}, indent=1), encoding="utf-8")
        if folder.exists():
            damaged = work / "damaged"
            folder.rename(damaged)  # in one step, for those who hold it open
            work.replace(folder)
            shutil.rmtree(folder / "damaged", ignore_errors=True)
        else:
            work.replace(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return facts


def facts_of(folder: Path) -> dict[str, Any] | None:
    """The facts of a whole folder; None where there is none or a file is missing or changed."""
    try:
        written = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        whole = all(_digest(folder / file) == digest for file, digest in written["files"].items())
        return written["facts"] if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
