"""The trials' checkpoints of a search, on disk or in a storage: put in their places, each in one step, and found again.

``tune/attempt-N/trial-M/checkpoint_step_K``: one attempt for each time that a search was started or resumed, whichever
run of the driver wrote it. A checkpoint holds its trial's reports up to its own: the record in a storage may be several
reports behind, and only the last checkpoints are kept. Tune's own restore trusts a snapshot that can be older than what
it has deleted since (a killed driver then fails the trial), so a resumed search looks at what is there.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.record.errors import StorageError
from orchestrator.record.record import Report, TrialRecord
from orchestrator.store.paths import Folder, StoragePath, listed
from trials.checkpoint import ADAPTER, FACTS, step_of
from trials.errors import UserError

Files = dict[str, bytes]
"""Contents by paths below a folder."""

REPORTS = "reports.json"
SCRATCH = ".adapter"  # the folder where one comes that is in a storage, until MLflow's copy is made
PAUSED = "paused"  # all that Tune's own checkpoint of a trial that pauses holds
PREFIX = "checkpoint_step_"  # Tune's own are named otherwise, and hold no trial
UNFINISHED = f".{PREFIX}"
TAKEN_OVER = "attempt-0"  # adapters of trials that an earlier search trained: no checkpoints to go on from
_KEPT = 2


def name_of_step(step: int) -> str:
    """What the folder of a checkpoint is called; in the order of the steps by name, too."""
    return f"{PREFIX}{step:09d}"


def keep(folder: Folder, files: Files, reports: Sequence[Report]) -> Folder:
    """Put a checkpoint in its place below a trial's folder, and remove all but the last two.

    Args:
        reports: the trial's, up to the one that belongs to this checkpoint.

    Raises:
        OSError: there is no room for it; the earlier ones are untouched.
        StorageError: the storage was away for too long.
    """
    if isinstance(folder, StoragePath):
        return _keep_in_storage(folder, files, reports)
    place = folder / name_of_step(reports[-1]["step"])
    unfinished = folder / f".{place.name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        (unfinished / REPORTS).write_text(json.dumps(reports))
        write_files(unfinished, files)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(place, ignore_errors=True)  # a damaged one that was trained again
    unfinished.rename(place)
    for old in sorted(folder.glob(f"{PREFIX}*"))[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def _keep_in_storage(folder: StoragePath, files: Files, reports: Sequence[Report]) -> StoragePath:
    """`keep` where nothing can be renamed: the file that says that all are there comes last, and goes first."""
    place = folder / name_of_step(reports[-1]["step"])
    contents = {REPORTS: json.dumps(reports).encode(), **files}
    for name in sorted(contents, key=lambda name: name == FACTS):
        (place / name).write_bytes(contents[name])
    with suppress(StorageError):  # one too many does no harm
        for old in folder.glob(f"{PREFIX}*")[:-_KEPT]:
            (old / FACTS).unlink(missing_ok=True)
            old.remove_tree()
    return place


def latest_kept(folder: Folder) -> Folder | None:
    """The latest whole checkpoint below a trial's folder whose reports are whole, too: some may be in no record yet."""
    whole = (place for place in reversed(listed(folder, f"{PREFIX}*")) if whole_step(place) is not None)
    return next((place for place in whole if read_kept(place)[1]), None)


def whole_step(place: Folder, part: str = "") -> int | None:
    """The step of a checkpoint; None where it, or the folder in it that alone is asked for, is not whole."""
    return step_of(place.files() if isinstance(place, StoragePath) else place, part)


def remove_tree(folder: Folder) -> None:
    """Remove a folder and all that is in it, as far as it is there."""
    if isinstance(folder, StoragePath):
        folder.remove_tree()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def read_kept(place: Folder) -> tuple[Files, list[Report]]:
    """A checkpoint's files, and its trial's reports up to the one that belongs to it; none where they are not whole."""
    files = place.files() if isinstance(place, StoragePath) else read_files(place)
    found, last = files.pop(REPORTS, b""), files.pop("report.json", b"")  # as earlier versions kept the last alone
    try:
        reports = [json.loads(last)] if last else json.loads(found)
    except ValueError:
        return files, []
    return files, reports


def read_files(folder: Path) -> Files:
    """The contents of all files below a folder by their paths in it."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def write_files(folder: Path, files: Files) -> None:
    """Write files below a folder, the one that says that a checkpoint is whole as the last."""
    for name in sorted(files, key=lambda name: name == FACTS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(files[name])


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


def checkpoints(storage: Folder, number: int, part: str = "") -> list[tuple[int, Folder]]:
    """A trial's whole checkpoints (`whole_step`) as (step, folder), the latest last; damaged ones are passed over."""
    found = ((whole_step(folder, part), folder) for folder in _folders(storage, number))
    return sorted((step, folder) for step, folder in found if step is not None)


def trained_checkpoints(storage: Folder, number: int) -> list[tuple[int, Folder]]:
    """Those of `checkpoints` that this search has trained itself."""
    return [(step, folder) for step, folder in checkpoints(storage, number) if folder.parent.parent.name != TAKEN_OVER]


def begun(storage: Folder, known: Collection[int] = ()) -> dict[int, dict[str, Any]]:
    """The config of each trial that this search has trained (`TrialConfig` as a dict), by number, from its checkpoints.

    Args:
        known: numbers of trials that need not be looked at.
    """
    folders = (folder.name for attempt in attempts(storage) for folder in listed(attempt, "trial-*"))
    numbers = {int(name.removeprefix("trial-")) for name in folders if re.fullmatch(r"trial-\d+", name)}
    latest = {n: kept[-1][1] for n in sorted(numbers - set(known)) if (kept := trained_checkpoints(storage, n))}
    return {number: json.loads((folder / FACTS).read_bytes())["config"] for number, folder in latest.items()}


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

    The latest checkpoint that is not ahead of the record, so that no report is missing from it; where there is none,
    the latest at all; None where the trial must start anew.
    """
    found = trained_checkpoints(storage, number)
    known = [folder for step, folder in found if step <= recorded]
    return known[-1] if known else found[-1][1] if found else None


def reports_after(storage: Folder, trial: TrialRecord) -> list[Report]:
    """The reports that follow a trial's last one, from its checkpoints: a kill kept them from the record.

    Up to the first that no checkpoint has; none of checkpoints of another configuration.
    """
    found: list[Report] = []
    for step, folder in trained_checkpoints(storage, trial.number):
        last = found[-1]["step"] if found else trial.step
        if step <= last:
            continue
        files, reports = read_kept(folder)
        later = [report for report in reports if report["step"] > last]
        trained = json.loads(files[FACTS])["config"]
        if (
            later
            and later[0]["step"] - trained["eval_every"] <= last
            and (trained["hyperparameters"], trained["seed"]) == (trial.configuration, trial.seed)
        ):
            found += later
    return found


def adapter_folder(storage: Folder, number: int, best_step: int = 0) -> Folder | None:
    """The folder of a trial's best adapter, in the latest checkpoint that has it whole; None where there is none.

    The rest of that checkpoint may be damaged: a trial that has ended needs no more than its adapter.

    Args:
        best_step: where the trial was best: an earlier checkpoint holds an adapter that was best before.
    """
    whole = reversed(checkpoints(storage, number, ADAPTER))
    found = (folder / ADAPTER for step, folder in whole if step >= best_step)
    return next((adapter for adapter in found if adapter.is_dir()), None)


def adapter_here(storage: Folder, scratch: Path, number: int, best_step: int = 0) -> Path | None:
    """`adapter_folder` on this machine: one in a storage is copied into a folder that may hold an earlier one."""
    folder = adapter_folder(storage, number, best_step)
    if not isinstance(folder, StoragePath):
        return folder
    shutil.rmtree(scratch, ignore_errors=True)
    write_files(scratch / ADAPTER, folder.files())
    return scratch / ADAPTER


def adapter_files(storage: Folder, number: int, best_step: int = 0) -> dict[str, bytes]:
    """The files of a trial's best adapter by their names, from the latest checkpoint that has it whole.

    Args:
        best_step: see `adapter_folder`.

    Raises:
        UserError: there is none: another's scores would be given for it.
    """
    folder = adapter_folder(storage, number, best_step)
    if folder is None:
        raise UserError(
            [
                f"trial {number} has no checkpoint with its best adapter whole below {storage}: removed, or damaged. "
                f"All scores are kept; the same command with --rerun {number} trains it again"
            ]
        )
    return {file.name: file.read_bytes() for file in listed(folder, "*")}
