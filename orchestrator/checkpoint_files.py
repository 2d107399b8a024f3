"""Finding the trials' checkpoints on disk again, whichever run of the driver wrote them.

``tune/attempt-N/trial-M/checkpoint_step_K``: one attempt for each time that a search was started or resumed. Tune's own
restore trusts a snapshot that can be older than what it has deleted since (a killed driver then fails the trial), so a
resumed search looks at what is there.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from orchestrator.kept_checkpoints import UNFINISHED, read_kept
from trials.errors import UserError
from trials.whole_checkpoints import FACTS, step_of

ADAPTER = "adapter"


def remove_unfinished(folder: Path) -> None:
    """Remove what a kill left half-written below a search's folder: checkpoints and files before they were in place."""
    for path in folder.glob(f"tune/attempt-*/trial-*/{UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def attempts(storage: Path) -> list[Path]:
    """The folders of all runs so far, the first first."""
    found = (path for path in storage.glob("attempt-*") if re.fullmatch(r"attempt-\d+", path.name))
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))


def checkpoints(storage: Path, number: int) -> list[tuple[int, Path]]:
    """A trial's whole checkpoints as (step, folder), the latest last; damaged ones are passed over."""
    return sorted((step, folder) for folder in _folders(storage, number) if (step := step_of(folder)) is not None)


def damaged(storage: Path, number: int) -> list[Path]:
    """A trial's checkpoints that are half-written or were cut."""
    return [folder for folder in _folders(storage, number) if step_of(folder) is None]


def _folders(storage: Path, number: int) -> list[Path]:
    return [folder for attempt in attempts(storage) for folder in sorted(attempt.glob(f"trial-{number}/checkpoint_*"))]


def to_go_on_from(storage: Path, number: int, recorded: int) -> Path | None:
    """Where a trial goes on whose reports are recorded up to step ``recorded``.

    The latest checkpoint that is not ahead of the record, so that no report is missing from it, or one that is ahead by
    a single report which it holds; where there is none, the latest at all; None where the trial must start anew.
    """
    found = checkpoints(storage, number)
    known = [folder for step, folder in found if step <= recorded or _next_report(folder, recorded)]
    return known[-1] if known else found[-1][1] if found else None


def _next_report(folder: Path, recorded: int) -> bool:
    """Whether a checkpoint holds the report that follows the one of step ``recorded``."""
    facts = json.loads((folder / FACTS).read_bytes())
    _, report = read_kept(folder)
    return report is not None and report["step"] - facts["config"]["eval_every"] <= recorded


def adapter_folder(storage: Path, number: int) -> Path | None:
    """The folder of a trial's best adapter, in its latest checkpoint; None where there is none."""
    found = (folder / ADAPTER for _, folder in reversed(checkpoints(storage, number)))
    return next((adapter for adapter in found if adapter.is_dir()), None)


def adapter_files(storage: Path, number: int) -> dict[str, bytes]:
    """The files of a trial's best adapter by their names, from its latest checkpoint.

    Raises:
        UserError: there is none.
    """
    folder = adapter_folder(storage, number)
    if folder is None:
        raise UserError(
            [
                f"trial {number} has no whole checkpoint with an adapter below {storage}: removed, or damaged. All "
                f"scores are kept; the same command with --rerun {number} trains it again"
            ]
        )
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
