"""A trial's checkpoints as its actor keeps them: each with the report that belongs to it, in its place in one step."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.record.errors import StorageError
from orchestrator.store.paths import Folder, StoragePath, listed
from trials.whole_checkpoint import step_in, step_of

Files = dict[str, bytes]
LAST_FILE = "training.json"  # of a checkpoint: where it is, the rest is whole

REPORT = "report.json"
PAUSED = "paused"  # all that Tune's own checkpoint of a trial that pauses holds
PREFIX = "checkpoint_step_"  # Tune's own are named otherwise, and hold no trial
UNFINISHED = f".{PREFIX}"
_KEPT = 2


def name_of_step(step: int) -> str:
    """What the folder of a checkpoint is called; in the order of the steps by name, too."""
    return f"{PREFIX}{step:09d}"


def keep(folder: Folder, files: Files, report: dict[str, Any]) -> Folder:
    """Put a checkpoint in its place below a trial's folder, and remove all but the last two.

    Raises:
        OSError: there is no room for it; the earlier ones are untouched.
        StorageError: the storage was away for too long.
    """
    if isinstance(folder, StoragePath):
        return _keep_in_storage(folder, files, report)
    place = folder / name_of_step(report["step"])
    unfinished = folder / f".{place.name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        (unfinished / REPORT).write_text(json.dumps(report))
        write_files(unfinished, files)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(place, ignore_errors=True)  # a damaged one that was trained again
    unfinished.rename(place)
    for old in sorted(folder.glob(f"{PREFIX}*"))[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def _keep_in_storage(folder: StoragePath, files: Files, report: dict[str, Any]) -> StoragePath:
    """`keep` where nothing can be renamed: the file that says that all are there comes last, and goes first."""
    place = folder / name_of_step(report["step"])
    contents = {REPORT: json.dumps(report).encode(), **files}
    for name in sorted(contents, key=lambda name: name == LAST_FILE):
        (place / name).write_bytes(contents[name])
    with suppress(StorageError):  # one too many does no harm
        for old in folder.glob(f"{PREFIX}*")[:-_KEPT]:
            (old / LAST_FILE).unlink(missing_ok=True)
            old.remove_tree()
    return place


def latest_kept(folder: Folder) -> Folder | None:
    """The latest whole checkpoint below a trial's folder whose report is whole, too: nobody may have heard that yet."""
    whole = (place for place in reversed(listed(folder, f"{PREFIX}*")) if whole_step(place) is not None)
    return next((place for place in whole if read_kept(place)[1] is not None), None)


def whole_step(place: Folder) -> int | None:
    """The step of a checkpoint; None where it is not whole."""
    return step_in(place.files()) if isinstance(place, StoragePath) else step_of(place)


def remove_tree(folder: Folder) -> None:
    """Remove a folder and all that is in it, as far as it is there."""
    if isinstance(folder, StoragePath):
        folder.remove_tree()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def read_kept(place: Folder) -> tuple[Files, dict[str, Any] | None]:
    """A checkpoint's files, and the report that belongs to it where that was kept and is whole."""
    files = place.files() if isinstance(place, StoragePath) else read_files(place)
    try:
        return files, json.loads(files.pop(REPORT, b""))
    except ValueError:
        return files, None


def read_files(folder: Path) -> Files:
    """The contents of all files below a folder by their paths in it."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def write_files(folder: Path, files: Files) -> None:
    """Write files below a folder, the one that says that a checkpoint is whole as the last."""
    for name in sorted(files, key=lambda name: name == LAST_FILE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(files[name])
