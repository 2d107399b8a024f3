"""Finding the trials' checkpoints on disk again, whichever run of the driver wrote them.

``tune/attempt-N/trial-M/checkpoint_K``: one attempt for each time that a search was started or resumed. Tune's own
restore trusts a snapshot that can be older than what it has deleted since (a killed driver then fails the trial), so a
resumed search looks at what is there.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ADAPTER = "adapter"
FACTS = "training.json"  # written last by `trials.checkpoints.save_trial`


def attempts(storage: Path) -> list[Path]:
    """The folders of all runs so far, the first first."""
    found = (path for path in storage.glob("attempt-*") if re.fullmatch(r"attempt-\d+", path.name))
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))


def checkpoints(storage: Path, number: int) -> list[tuple[int, Path]]:
    """A trial's whole checkpoints as (step, folder), the latest last; half-written ones are passed over."""
    found = []
    for attempt in attempts(storage):
        for folder in attempt.glob(f"trial-{number}/checkpoint_*"):
            try:
                found.append((int(json.loads((folder / FACTS).read_text())["step"]), folder))
            except (OSError, ValueError, KeyError):
                continue
    return sorted(found)


def to_go_on_from(storage: Path, number: int, recorded: int) -> Path | None:
    """Where a trial goes on whose reports are recorded up to step ``recorded``.

    The latest checkpoint that is not ahead of the record, so that no report is missing from it; where there is none,
    the latest at all; None where the trial must start anew.
    """
    found = checkpoints(storage, number)
    known = [folder for step, folder in found if step <= recorded]
    return known[-1] if known else found[-1][1] if found else None


def adapter_files(storage: Path, number: int) -> dict[str, bytes]:
    """The files of a trial's best adapter by their names, from its latest checkpoint.

    Raises:
        FileNotFoundError: there is none.
    """
    for _, folder in reversed(checkpoints(storage, number)):
        if (folder / ADAPTER).is_dir():
            return {file.name: file.read_bytes() for file in sorted((folder / ADAPTER).iterdir())}
    raise FileNotFoundError(f"trial {number} has no checkpoint with an adapter below {storage}")
