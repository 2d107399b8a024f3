"""One night from its checks to its exit code: run the sweep, judge, crown, keep, draw, notify.

The sweep's state says what was trained, the history which nights there are. A kill between any two steps costs nothing:
the same command goes on with what is missing, and a night that was cut off for good is kept by the next one.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from orchestrator.console import INTERRUPTED
from orchestrator.nights.calibration import calibrate
from orchestrator.nights.champions import champions, configurations, crown
from orchestrator.nights.crowning import Crowning
from orchestrator.nights.gate.judge import judge
from orchestrator.nights.history import History, default_history, history_problems
from orchestrator.nights.history_tables import last_night
from orchestrator.nights.measure import measured_night
from orchestrator.nights.night import Cell, CellKey
from orchestrator.nights.night_files import KeptNight
from orchestrator.nights.notify import notify, notify_problems
from orchestrator.nights.page import write_history_page
from orchestrator.nights.verdict import Outcome, Verdict
from orchestrator.record.strict_json import write_atomically
from orchestrator.store.lock import SearchLock, running_owner
from orchestrator.summarizer.writers import terminal
from orchestrator.sweep.estimates import engines
from orchestrator.sweep.expand import PlannedSearch
from orchestrator.sweep.runner import RunOne, prepare_run, run_sweep
from orchestrator.sweep.runs import sweep_folder
from orchestrator.sweep.shown import print_sweep_plan
from orchestrator.sweep.state import (
    NIGHT,
    STATE,
    SearchState,
    SearchStatus,
    SweepState,
    earlier_runs,
    is_night,
    read_state,
)
from orchestrator.sweep.sweep_file import SweepFile, read_and_plan_what_has_rows
from trials.errors import UserError

PAGE = "history.html"  # in the sweep's folder
GOES_ON = timedelta(hours=20)
"""A night that was cut off goes on as long after its start; later the command begins another one."""

CALIBRATED = 600.0  # seconds after which the machine's speed is measured again, before the next search
UNSEEN = {Outcome.FINE, Outcome.NOT_COMPARED}
"""Outcomes that are in the night's table, and not in a sentence below it."""


@dataclass(kw_only=True)
class Nights:
    """The nights of one sweep.

    Attributes:
        place: the sweep's folder, with a folder for each night.
        tracking_uri: as given; None: the house's default.
        failed: searches that cannot be run, since their tasks' rows cannot be read.
    """

    sweep: SweepFile
    place: Path
    history: History
    tracking_uri: str | None
    console: Console
    failed: Sequence[SearchState] = ()
    _calibrated: float = field(default=float("-inf"))

    def champions(self, keys: list[CellKey]) -> dict[CellKey, Cell]:
        """The champion of each cell that has one; none where the sweep wants none."""
        return champions(keys, self.tracking_uri, self.place) if self.sweep.champions else {}

    def pinned(self, keys: Iterable[CellKey]) -> Mapping[CellKey, Mapping[str, Any]] | None:
        """The configurations that a night would pin, for its plan; None where its last winners are pinned instead."""
        return configurations(list(keys), self.tracking_uri, self.place) if self.sweep.champions else None

    def run(self, searches: list[PlannedSearch], run: str, *, quiet: bool, debug: bool, run_one: RunOne | None) -> int:
        """A night, or what is missing of it; its exit code."""
        if running_owner(self.place) is None:  # else the sweep's own lock refuses below
            self._conclude_cut_off(run)
        state = read_state(self.place / run)
        if state is None or not is_concluded(self.place / run):
            write_night(self.place / run, concluded=False)
            found = self.champions([search.key for search in searches])
            state = run_sweep(
                self.sweep,
                searches,
                self.place,
                run,
                self.console,
                quiet=quiet,
                debug=debug,
                champions={key: cell.configuration for key, cell in found.items()} if self.sweep.champions else None,
                between=lambda: self._calibrated_now(max(engines(search.plan) for search in searches)),
                failed=self.failed,
                run_one=run_one,
            )
            if state.ended is None:
                return INTERRUPTED
        return self._concluded(state).exit_code

    def _concluded(self, state: SweepState) -> Verdict:
        """What follows a night's last search; done again, it gives the same, and a night that has it keeps it."""
        sweep, folder = self.sweep, self.place / state.run
        if is_concluded(folder):
            kept = self.history.kept(sweep.name)
            this = next((one for one in kept if one.night.date == state.run), None)
            if this is not None:
                self.console.print(Text(f"night {state.run} of {sweep.name} is over; another --date runs one more"))
                self._show(kept, state.run)
                return this.verdict or Verdict(())
            lost = f"night {state.run} of {sweep.name} is over, but not in the history: it is judged again"
            self.console.print(Text(lost))
        before = self.history.nights(sweep.name, sweep.worse.window + 1)
        night = measured_night(state, before)
        keys = [cell.key for cell in night.cells]
        earlier = [one for one in before if one.date != night.date]
        # Of a night that is judged again some may be later ones.
        found = {key: cell for key, cell in self.champions(keys).items() if cell.measured_on <= night.date}
        verdict = judge(night, earlier, found, sweep.worse)
        crowned: list[Crowning] = []
        if sweep.champions:
            crowned = crown(night, verdict, tracking_uri=self.tracking_uri, folder=self.place, earlier=earlier)
        moved = [one.sentence for one in crowned if one.moved]
        self.history.append(night, verdict, list(self.champions(keys).values()), moved)
        kept = self.history.kept(sweep.name)
        page = write_history_page(kept, self.place / PAGE)
        self._show(kept, state.run)
        self.console.print(Text(f"Page: {page}"), soft_wrap=True)
        notify(sweep.notify, night, verdict, folder=self.place, page=page, champions=moved, base=sweep.path.parent)
        write_night(folder, concluded=True)
        return verdict

    def _conclude_cut_off(self, run: str) -> None:
        """Give the history what earlier nights have measured that were cut off: nothing that is finished is lost."""
        for state in reversed(list(earlier_runs(self.place, run))):
            folder = self.place / state.run
            if state.measured and state.run < run and is_night(folder) and not is_concluded(folder):
                self.console.print(Text(f"night {state.run} was cut off: what it has measured goes into the history"))
                self._concluded(state)

    def _show(self, nights: list[KeptNight], run: str) -> None:
        """Print a night beside those before it."""
        kept = [one for one in nights if one.night.date <= run]
        terminal.show(last_night(kept), self.console)
        for finding in kept[-1].verdict.findings if kept[-1].verdict else ():
            if finding.outcome not in UNSEEN:
                self.console.print(Text(finding.sentence), soft_wrap=True)
        for note in kept[-1].notes:
            self.console.print(Text(note), soft_wrap=True)

    def _calibrated_now(self, engines: int) -> float | None:
        if time.monotonic() < self._calibrated + CALIBRATED:
            return None
        self._calibrated = time.monotonic()
        return calibrate(engines)


def is_concluded(folder: Path) -> bool:
    """Whether a night is over, with all that follows its last search."""
    try:
        return bool(json.loads((folder / NIGHT).read_bytes())["concluded"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_night(folder: Path, *, concluded: bool) -> None:
    """Mark a sweep's run as a night, and whether everything that follows its last search is done."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / NIGHT, json.dumps({"concluded": concluded}) + "\n")


def chosen_date(place: Path, given: str | None) -> str:
    """The date that names a night: as given, else that of the last one if it was cut off not long ago, else today.

    Raises:
        UserError: what is given is no date, or a sweep's run has its folder.
    """
    chosen = _date(place, given)
    if (place / chosen / STATE).exists() and not is_night(place / chosen):
        holds = f"{place / chosen} holds a run of `adept-search sweep`, whose results are not the night's"
        raise UserError([f"--date {chosen}: {holds}; another --date is a night of its own"])
    return chosen


def _date(place: Path, given: str | None) -> str:
    if given is not None:
        try:
            return date.fromisoformat(given).isoformat()
        except ValueError:
            raise UserError([f"--date {given}: a night is named by its date, such as 2026-01-31"]) from None
    for state in earlier_runs(place, ""):
        folder = place / state.run
        if is_night(folder):
            goes_on = not is_concluded(folder) and datetime.now(UTC) - state.started < GOES_ON
            return state.run if goes_on else date.today().isoformat()
    return date.today().isoformat()


def run_night(
    name_or_path: str,
    console: Console,
    *,
    day: str | None = None,
    places: Mapping[str, str | None] | None = None,
    quiet: bool = False,
    debug: bool = False,
    run_one: RunOne | None = None,
) -> int:
    """Run a sweep as a night.

    Args:
        name_or_path: a shipped sweep's name, or a file.
        day: the date that names the night; None: see `chosen_date`.
        places: options of every search that the command says: ``output``, ``tracking_uri``.
        run_one: see `run_sweep`.

    Returns:
        0: nothing is worse; 1: something is; 3: that is not known (nothing could be compared, a search
        failed, only test rows show a loss); 130: Ctrl-C.

    Raises:
        UserError: before anything starts, with all that is wrong.
    """
    nights, searches = _opened(name_or_path, console, places or {})
    chosen = chosen_date(nights.place, day)
    other = "another --date is a night of its own"
    with SearchLock(nights.place / chosen, nights.sweep.name, what="night", other=other):
        return nights.run(searches, chosen, quiet=quiet, debug=debug, run_one=run_one)


def plan_night(
    name_or_path: str, console: Console, *, day: str | None = None, places: Mapping[str, str | None] | None = None
) -> int:
    """Print what a night would run, with the date, the champions and the checks of `run_night`; nothing starts.

    Raises:
        UserError: as `run_night`.
    """
    nights, searches = _opened(name_or_path, console, places or {})
    chosen = chosen_date(nights.place, day)
    if is_concluded(nights.place / chosen):
        console.print(Text(f"night {chosen} of {nights.sweep.name} is over; another --date runs one more"))
        return 0
    with tempfile.TemporaryDirectory() as spaces:
        run = prepare_run(
            nights.sweep,
            searches,
            nights.place,
            chosen,
            nights.pinned(search.key for search in searches if search.search == "pinned"),
            spaces=Path(spaces),
            failed=nights.failed,
        )
        for one in run.state.those(SearchStatus.FAILED):
            console.print(Text(f"failed: {one.key}: {one.why}"), soft_wrap=True)
        print_sweep_plan(run, float(price) if (price := (places or {}).get("price")) else None, console)
    return 0


def _opened(
    name_or_path: str, console: Console, places: Mapping[str, str | None]
) -> tuple[Nights, list[PlannedSearch]]:
    """The nights of a sweep and its searches; what is wrong is found now."""
    sweep, searches, failed = read_and_plan_what_has_rows(name_or_path, places)
    output = places.get("output")
    place = sweep_folder(sweep, Path(output) if output else None)
    where = sweep.history_place or str(default_history(place.parent))
    problems = history_problems(where, "history") + notify_problems(sweep.notify, sweep.path.parent)
    if problems:
        raise UserError(problems)
    nights = Nights(
        sweep=sweep,
        place=place,
        history=History(where),
        tracking_uri=places.get("tracking_uri"),
        console=console,
        failed=failed,
    )
    nights.history.kept(sweep.name)  # one that a later version wrote is refused now, not when the night is over
    return nights, searches
