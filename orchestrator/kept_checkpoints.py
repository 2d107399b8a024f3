"""A trial's checkpoints as its actor keeps them: each with the report that belongs to it, in its place in one step."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from orchestrator.training_loop import Files, read_files, write_files
from trials.whole_checkpoints import step_of

REPORT = "report.json"
PAUSED = "paused"  # all that Tune's own checkpoint of a trial that pauses holds
_PREFIX = "checkpoint_step_"
UNFINISHED = f".{_PREFIX}"
_KEPT = 2


def keep(folder: Path, files: Files, report: dict[str, Any]) -> Path:
    """Put a checkpoint in its place below a trial's folder, and remove all but the last two.

    Raises:
        OSError: there is no room for it; the earlier ones are untouched.
    """
    place = folder / f"{_PREFIX}{report['step']:09d}"
    unfinished = folder / f"{UNFINISHED}{report['step']:09d}"
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
    for old in sorted(folder.glob(f"{_PREFIX}*"))[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def latest_kept(folder: Path) -> Path | None:
    """The latest whole checkpoint below a trial's folder."""
    found = (place for place in sorted(folder.glob(f"{_PREFIX}*"), reverse=True) if step_of(place) is not None)
    return next(found, None)


def read_kept(place: Path) -> tuple[Files, dict[str, Any] | None]:
    """A checkpoint's files, and the report that belongs to it where that was kept and is whole."""
    files = read_files(place)
    try:
        return files, json.loads(files.pop(REPORT, b""))
    except ValueError:
        return files, None
