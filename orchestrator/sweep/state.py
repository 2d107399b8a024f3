"""What has become of a sweep's searches: one JSON file in the folder of its run, replaced whole at each change."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.console import INTERRUPTED
from orchestrator.record.errors import RecordError
from orchestrator.record.strict_json import write_atomically
from orchestrator.sweep.cells import CellKey

STATE = "sweep.json"
NIGHT = "night.json"  # beside it where the run is a night (`orchestrator.nights`)
SCHEMA = 1
Part = Literal["full", "pinned"]
"""What of a space is searched: all of it, or the champion's configuration alone."""


class SearchStatus(StrEnum):
    """Where one search of a sweep stands."""

    WAITING = "waiting"
    RUNNING = "running"
    """It trains, or did when its process was killed."""
    FINISHED = "finished"
    TAKEN_OVER = "taken over"
    """Nothing that decides its numbers has changed since an earlier run, whose search stands here."""
    FAILED = "failed"
    NOT_RUN = "not run"
    """There was no time left for it."""

    @property
    def is_measured(self) -> bool:
        """Whether its folder holds a tested winner."""
        return self in (SearchStatus.FINISHED, SearchStatus.TAKEN_OVER)


class SearchState(BaseModel):
    """One search of a sweep's run.

    Attributes:
        search: what is searched.
        name: the search's. folder: its own; of one that was taken over, the folder of the search that trained it.
        steps: updates of all trials, if none were stopped.
        estimate: seconds that it was expected to take. seconds: that it took, in all processes that worked at it; of
            one that was taken over, those of the search that trained it.
        why: what kept it from being measured, in words; empty where nothing did.
        fingerprint: of everything that decides the numbers, empty where that could not be found out. parts: what it is
            made of (`orchestrator.sweep.fingerprint`).
        command: that makes this search again, as one line.
        measured_on: name of the run that trained it, where it was taken over.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    key: CellKey
    status: SearchStatus = SearchStatus.WAITING
    search: Part = "full"
    name: str = ""
    folder: str = ""
    steps: int = 0
    estimate: float | None = None
    seconds: float | None = None
    why: str = ""
    fingerprint: str = ""
    parts: dict[str, str] = Field(default_factory=dict)
    command: str = ""
    measured_on: str = ""


class SweepState(BaseModel):
    """One run of a sweep.

    Attributes:
        sweep: the sweep's name. run: the run's; of a night, its date. file: the sweep file.
        uid: tells the run from all others, of the same name as well.
        started, ended: of the run, with time zone; `ended` is None until all that there was time for is done.
        seconds: that its processes have worked at it: a time limit counts them.
        searches: all that the sweep names, in the order in which they were planned.
        calibration: operations a second of the calibration kernel, as it was measured between searches.
        provenance: code, versions, machine (`orchestrator.record.provenance.collect`).
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    schema_number: Annotated[int, Field(alias="schema")] = SCHEMA
    sweep: str
    run: str
    file: str = ""
    uid: str = Field(default_factory=lambda: uuid.uuid4().hex)
    started: datetime
    ended: datetime | None = None
    seconds: float = 0.0
    searches: list[SearchState] = Field(default_factory=list)
    calibration: list[float] = Field(default_factory=list)
    provenance: dict[str, str] = Field(default_factory=dict)

    def search(self, key: CellKey) -> SearchState | None:
        """The search of that cell; None where the run has none."""
        return next((one for one in self.searches if one.key == key), None)

    def those(self, *statuses: SearchStatus) -> list[SearchState]:
        """The searches that stand so."""
        return [one for one in self.searches if one.status in statuses]

    @property
    def measured(self) -> list[SearchState]:
        """The searches with a tested winner."""
        return [one for one in self.searches if one.status.is_measured]

    @property
    def exit_code(self) -> int:
        """Of the run: 0 all fine, 1 a search failed, 3 nothing was measured, 130 it was cut off."""
        if self.ended is None:
            return INTERRUPTED
        if not self.measured:
            return 3
        return 1 if self.those(SearchStatus.FAILED) else 0

    def save(self, folder: Path) -> None:
        """Write it into the run's folder, in one step."""
        write_atomically(folder / STATE, self.model_dump_json(by_alias=True, indent=1))


def read_state(folder: Path) -> SweepState | None:
    """A run's state from its folder; None where none is.

    Raises:
        RecordError: it is damaged, or a newer version of this program wrote it.
    """
    path = folder / STATE
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(document, dict) and isinstance(number := document.get("schema"), int) and number > SCHEMA:
            raise RecordError(
                f"{path}: a newer version of this program wrote it (schema {number}; this one reads up to {SCHEMA}); "
                "install that version, or give the run another name"
            )
        return SweepState.model_validate(document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise RecordError(
            f"{path} is damaged ({first}); bring it back from a backup, or move it away: the finished searches beside "
            "it are found again by the same command"
        ) from error


def is_night(folder: Path) -> bool:
    """Whether a run's folder is a night's: what it holds is judged, so no sweep's run is mixed with it."""
    return (folder / NIGHT).exists()


def earlier_runs(folder: Path, run: str) -> Iterator[SweepState]:
    """The other runs of a sweep, the newest first; what cannot be read is passed over.

    Args:
        folder: of the sweep, with a folder for each run. run: the name of the one that is not wanted.
    """
    found = []
    for path in folder.glob(f"*/{STATE}"):
        try:
            state = read_state(path.parent)
        except RecordError:
            continue
        if state is not None and state.run != run:
            found.append(state)
    return iter(sorted(found, key=lambda state: state.started, reverse=True))
