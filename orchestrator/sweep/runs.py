"""The runs of a sweep: which one a command means, and what one has of each search when it begins or goes on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from orchestrator.command_lines import flag
from orchestrator.plan.former_defaults import as_begun, former_options
from orchestrator.plan.settings import default_output, default_storage
from orchestrator.record.secrecy import shown_command
from orchestrator.run.new_record import command_of
from orchestrator.sweep.cells import CellKey
from orchestrator.sweep.estimates import estimated_seconds
from orchestrator.sweep.expand import PlannedSearch, planned
from orchestrator.sweep.pinned import record_in
from orchestrator.sweep.state import SearchState, SearchStatus, SweepState, earlier_runs, is_night
from orchestrator.sweep.sweep_file import SweepFile
from trials.errors import UserError
from yaml_reader.home import from_home


@dataclass(frozen=True)
class Turn:
    """One search of a run, and what has become of it."""

    search: PlannedSearch
    state: SearchState


def sweep_folder(sweep: SweepFile, output: Path | None) -> Path:
    """Where the runs of a sweep are."""
    return from_home(output or default_output()).resolve() / sweep.name


def chosen_run(place: Path, given: str | None) -> str:
    """The run that is meant: the one that is named, else the last one if it was cut off, else today's.

    A night (`orchestrator.nights`) is none of them, and today's run is not named as the night of today: a night that
    went on from a sweep's results would call them its own, whatever has changed since.

    Args:
        place: the sweep's folder.

    Raises:
        UserError: a name that cannot be a folder's, or that a night has.
    """
    if given is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", given):
            rule = "may hold letters, digits, '.', '_' and '-' (100 at most), a letter or digit first"
            raise UserError([f"{flag('run')} {given}: {rule}"])
        if is_night(place / given):
            rule = "that is a night of this sweep, with which `adept-search nightly` goes on"
            raise UserError([f"{flag('run')} {given}: {rule}; give the run another name"])
        return given
    last = next((one for one in earlier_runs(place, "") if not is_night(place / one.run)), None)
    return last.run if last is not None and last.ended is None else f"{date.today().isoformat()}-sweep"


def moved_into(search: PlannedSearch, folder: Path) -> PlannedSearch:
    """The search with its results in a run's folder, and in a storage below a folder of the run's."""
    places: dict[str, str | None] = {"output": str(folder)}
    if storage := search.options.get("storage") or default_storage():
        place, *query = storage.partition("?")
        places["storage"] = f"{place.rstrip('/')}/{folder.parent.name}/{folder.name}{''.join(query)}"
    settings = search.plan.settings.model_copy(update={**places, "output": folder})
    return replace(search, options={**search.options, **places}, plan=as_begun(replace(search.plan, settings=settings)))


def turn_of(search: PlannedSearch, before: SweepState | None) -> Turn:
    """A search's place in a run.

    Args:
        search: in the run's folder. before: what the run has done, where it goes on: a search with other settings than
            then begins anew, and one whose results are gone is trained again. Where defaults alone are others by now,
            it has those of then, as the run's other searches. Seconds of a killed one are counted (`count_killed`).
    """
    known = before.search(search.key) if before else None
    if known is not None and (former := former_options(search.plan, known.name)):
        search = planned({**search.options, **former}, {}, search.search)
    plan = search.plan
    state = SearchState(
        key=search.key,
        search=search.search,
        name=plan.name,
        folder=str(plan.folder),
        steps=plan.steps,
        estimate=estimated_seconds(plan),
        command=shown_command(command_of(search.options)),
    )
    if known is None or known.name != plan.name:
        return Turn(search, state)
    if (measured := measured_before(search.key, before)) is not None:
        return Turn(search, measured)
    state.seconds = None if known.status is SearchStatus.TAKEN_OVER else known.seconds
    return Turn(search, state)


def count_killed(state: SweepState, folder: Path) -> None:
    """Count the seconds that a search had run when its run was killed, which only its record knows: for it and the run.

    Args:
        state: of the run that was killed. folder: the run's.
    """
    for one in state.those(SearchStatus.RUNNING):
        counted, record = one.seconds or 0.0, record_in(folder / one.name)
        if record is not None and record.wall_seconds > counted:
            one.seconds = record.wall_seconds
            state.seconds += record.wall_seconds - counted


def measured_before(key: CellKey, before: SweepState | None) -> SearchState | None:
    """What a run that goes on has of a cell, where its results are there.

    Args:
        before: what the run has done; None: it begins.
    """
    known = before.search(key) if before else None
    return known if known is not None and known.status.is_measured and is_tested(Path(known.folder)) else None


def is_tested(folder: Path) -> bool:
    """Whether a folder holds a search with a tested winner."""
    record = record_in(folder)
    return record is not None and record.test is not None


def take_over(state: SearchState, earlier: list[SweepState]) -> bool:
    """Let an earlier search with the same fingerprint stand for this one, if there is one; whether there is.

    Args:
        earlier: other runs, the newest first.
    """
    for run in earlier:
        found = run.search(state.key)
        if (
            found is not None
            and state.fingerprint
            and found.fingerprint == state.fingerprint
            and found.status.is_measured
            and is_tested(Path(found.folder))
        ):
            state.status = SearchStatus.TAKEN_OVER
            state.name, state.folder, state.seconds = found.name, found.folder, found.seconds
            state.measured_on = found.measured_on or run.run
            state.why = ""
            return True
    return False
