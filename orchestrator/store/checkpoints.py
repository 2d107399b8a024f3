"""Finding the trials' checkpoints again, on disk or in a storage, whichever run of the driver wrote them.

``tune/attempt-N/trial-M/checkpoint_step_K``: one attempt for each time that a search was started or resumed. Tune's own
restore trusts a snapshot that can be older than what it has deleted since (a killed driver then fails the trial), so a
resumed search looks at what is there.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from orchestrator.store.kept_checkpoints import PREFIX, UNFINISHED, read_kept, whole_step, write_files
from orchestrator.store.paths import Folder, StoragePath, listed
from trials.errors import UserError
from trials.whole_checkpoint import FACTS

ADAPTER = "adapter"
SCRATCH = ".adapter"  # the folder where one comes that is in a storage, until MLflow's copy is made


def remove_unfinished(folder: Path) -> None:
    """Remove what a kill left half-written below a search's folder: checkpoints and files before they were in place."""
    for path in folder.glob(f"tune/attempt-*/trial-*/{UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def attempts(storage: Folder) -> list[Folder]:
    """The folders of all runs so far, the first first."""
    found = (path for path in listed(storage, "attempt-*") if re.fullmatch(r"attempt-\d+", path.name))
    return sorted(found, key=_number_of)


def next_attempt(*storages: Folder) -> str:
    """The name of another run, which has no folder yet in any of several places."""
    return f"attempt-{1 + max((_number_of(path) for place in storages for path in attempts(place)), default=0)}"


def checkpoints(storage: Folder, number: int) -> list[tuple[int, Folder]]:
    """A trial's whole checkpoints as (step, folder), the latest last; damaged ones are passed over."""
    return sorted((step, folder) for folder in _folders(storage, number) if (step := whole_step(folder)) is not None)


def damaged(storage: Folder, number: int) -> list[Folder]:
    """A trial's checkpoints that are half-written or were cut; in a storage, where no kill leaves others, cut ones."""
    spoilt = (folder for folder in _folders(storage, number) if whole_step(folder) is None)
    return [folder for folder in spoilt if not isinstance(folder, StoragePath) or (folder / FACTS).exists()]


def _folders(storage: Folder, number: int) -> Iterator[Folder]:
    for attempt in attempts(storage):
        yield from listed(attempt, f"trial-{number}/{PREFIX}*")


def _number_of(attempt: Folder) -> int:
    return int(attempt.name.split("-")[1])


def to_go_on_from(storage: Folder, number: int, recorded: int) -> Folder | None:
    """Where a trial goes on whose reports are recorded up to step ``recorded``.

    The latest checkpoint that is not ahead of the record, so that no report is missing from it, or one that is ahead by
    a single report which it holds; where there is none, the latest at all; None where the trial must start anew.
    """
    found = checkpoints(storage, number)
    known = [folder for step, folder in found if step <= recorded or _next_report(folder, recorded)]
    return known[-1] if known else found[-1][1] if found else None


def _next_report(folder: Folder, recorded: int) -> bool:
    """Whether a checkpoint holds the report that follows the one of step ``recorded``."""
    files, report = read_kept(folder)
    return report is not None and report["step"] - json.loads(files[FACTS])["config"]["eval_every"] <= recorded


def adapter_folder(storage: Folder, number: int, best_step: int = 0) -> Folder | None:
    """The folder of a trial's best adapter, in its latest checkpoint; None where there is none.

    Args:
        best_step: where the trial was best: an earlier checkpoint holds an adapter that was best before.
    """
    found = (folder / ADAPTER for step, folder in reversed(checkpoints(storage, number)) if step >= best_step)
    return next((adapter for adapter in found if adapter.is_dir()), None)


def adapter_here(storage: Folder, scratch: Path, number: int) -> Path | None:
    """`adapter_folder` on this machine: one in a storage is copied into a folder that may hold an earlier one."""
    folder = adapter_folder(storage, number)
    if not isinstance(folder, StoragePath):
        return folder
    shutil.rmtree(scratch, ignore_errors=True)
    write_files(scratch / ADAPTER, folder.files())
    return scratch / ADAPTER


def adapter_files(storage: Folder, number: int, best_step: int = 0) -> dict[str, bytes]:
    """The files of a trial's best adapter by their names, from its latest checkpoint.

    Args:
        best_step: see `adapter_folder`.

    Raises:
        UserError: there is none: another's scores would be given for it.
    """
    folder = adapter_folder(storage, number, best_step)
    if folder is None:
        raise UserError(
            [
                f"trial {number} has no whole checkpoint with its best adapter below {storage}: removed, or damaged. "
                f"All scores are kept; the same command with --rerun {number} trains it again"
            ]
        )
    return {file.name: file.read_bytes() for file in listed(folder, "*")}
