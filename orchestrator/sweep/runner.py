"""Run a sweep: one search after the other on one Ray, what is unchanged taken over, what fails written down."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.console import INTERRUPTED
from orchestrator.plan.estimate import roughly
from orchestrator.record import provenance
from orchestrator.record.secrecy import without_secrets
from orchestrator.record.status import TrialStatus
from orchestrator.run.session import Session
from orchestrator.store.lock import SearchLock
from orchestrator.sweep.cells import CellKey
from orchestrator.sweep.expand import PlannedSearch
from orchestrator.sweep.fingerprint import fingerprint, parts_of
from orchestrator.sweep.order import expected_seconds, fair_order, not_run_before
from orchestrator.sweep.pinned import is_full_turn, last_winner, pin, record_in
from orchestrator.sweep.report import write_sweep_report
from orchestrator.sweep.runs import Turn, count_killed, is_tested, measured_before, moved_into, take_over, turn_of
from orchestrator.sweep.shown_in_mlflow import open_sweep_run, shown_of
from orchestrator.sweep.state import STATE, SearchState, SearchStatus, SweepState, earlier_runs, read_state
from orchestrator.sweep.sweep_file import SweepFile
from orchestrator.tracking.store import TrackingError
from orchestrator.tracking.sweep_run import SweepRun
from trials.errors import UserError

log = logging.getLogger(__name__)

Champions = Mapping[CellKey, Mapping[str, Any]]
RunOne = Callable[[PlannedSearch, Session], int]


def now() -> float:
    """Seconds, by a clock that only goes forward."""
    return time.monotonic()


@dataclass(kw_only=True)
class CurrentRun:
    """One run of a sweep as this process runs it.

    Attributes:
        folder: of the run, in the sweep's.
        earlier: the other runs, the newest first.
        turns: the sweep's searches, in the file's order.
        waiting: those that are to be run, in the order of running.
        tracked: its run in MLflow; None where there is none.
    """

    sweep: SweepFile
    folder: Path
    state: SweepState
    earlier: list[SweepState]
    turns: list[Turn] = field(default_factory=list)
    waiting: list[Turn] = field(default_factory=list)
    tracked: SweepRun | None = None
    _begun: float = field(default_factory=lambda: now())

    def keep(self) -> None:
        """Write the state down."""
        begun, self._begun = self._begun, now()
        self.state.seconds += self._begun - begun
        self.state.save(self.folder)
        if self.tracked is not None:
            self.tracked.put(shown_of(self.state, self.folder))

    def close(self) -> None:
        """Have MLflow show how the run has ended, or that it was cut off."""
        if self.tracked is not None:
            self.tracked.put(shown_of(self.state, self.folder, interrupted=True))
            self.tracked.close()

    @property
    def left(self) -> float | None:
        """Seconds of the time limit that are left; None: there is no limit."""
        limit = self.sweep.time_limit
        return None if limit is None else limit - self.state.seconds - (now() - self._begun)

    def expected(self, turn: Turn) -> float:
        """Seconds that a search will take."""
        return expected_seconds(turn.state, turn.state.estimate or 0.0, [self.state, *self.earlier])


def prepare_run(
    sweep: SweepFile,
    searches: Sequence[PlannedSearch],
    place: Path,
    run: str,
    champions: Champions | None = None,
    spaces: Path | None = None,
    failed: Sequence[SearchState] = (),
) -> CurrentRun:
    """What a run will do, before anything starts: what is pinned, taken over and run, in which order.

    Args:
        place: the sweep's folder. run: the run's name; one that was cut off goes on.
        champions: the configuration that stands for a pinned search; None: the winner of the sweep's last run.
        spaces: folder for the spaces of pinned searches, of a run that is only planned; None: the run's. A plan looks
            at a search's rows, which may have to come from the hub, only where it could be taken over.
        failed: searches that cannot be run now; what the run has measured of them before stays.

    Raises:
        RecordError: the run's state cannot be read.
    """
    folder = place / run
    before = read_state(folder)
    state = SweepState(sweep=sweep.name, run=run, file=str(sweep.path), started=datetime.now(UTC))
    if before is not None:
        count_killed(before, folder)
        state = before.model_copy(update={"ended": None})
        if before.ended is not None:
            state.seconds = 0.0  # it is run once more, for what it had no time for or what failed
    found = CurrentRun(sweep=sweep, folder=folder, state=state, earlier=list(earlier_runs(place, run)))
    for search in searches:
        turn = turn_of(_pinned(moved_into(search, folder), found, champions, spaces or folder), before)
        measured = any(one.key == turn.state.key for run in found.earlier for one in run.measured)
        if not turn.state.status.is_measured and (spaces is None or measured):
            turn.state.parts = parts_of(turn.search.plan)
            turn.state.fingerprint = fingerprint(turn.state.parts)
            if sweep.unchanged == "take over":
                take_over(turn.state, found.earlier)
        found.turns.append(turn)
    state.searches = [
        *(turn.state for turn in found.turns),
        *(measured_before(one.key, before) or one for one in failed),
    ]
    found.waiting = fair_order(
        [turn for turn in found.turns if not turn.state.status.is_measured],
        lambda turn: turn.state.key,
        found.expected,
        not_run_before(found.earlier),
    )
    return found


def run_sweep(
    sweep: SweepFile,
    searches: Sequence[PlannedSearch],
    place: Path,
    run: str,
    console: Console,
    *,
    quiet: bool = False,
    debug: bool = False,
    champions: Champions | None = None,
    between: Callable[[], float | None] | None = None,
    failed: Sequence[SearchState] = (),
    run_one: RunOne | None = None,
) -> SweepState:
    """Run all searches of a sweep that there is time for.

    Args:
        place, run, champions, failed: as `prepare_run`.
        quiet, debug: as of each search.
        between: called before each search; what it returns is kept in `SweepState.calibration`.
        run_one: runs a search, with its exit code; None: `orchestrator.run.run.run_search`.

    Returns:
        The state as it is in the run's folder; its `ended` is None where Ctrl-C came.

    Raises:
        LockError: the sweep is running already. RecordError: the run's state cannot be read. TrackingError: a run that
            begins has no store that answers; nothing is left of it.
    """
    place.mkdir(parents=True, exist_ok=True)
    other = "a run of its own beside it wants another --output"
    with SearchLock(place, sweep.name, what="sweep", other=other) as lock:
        running = prepare_run(sweep, searches, place, run, champions, failed=failed)
        state = running.state
        for one in state.those(SearchStatus.FAILED):
            console.print(f"failed: {one.key}: {one.why}", soft_wrap=True)
        state.provenance = provenance.collect()
        begun = read_state(running.folder) is not None
        running.keep()
        if run_one is None and searches:
            try:
                running.tracked = open_sweep_run(searches[0].plan.settings.tracking_uri, state, running.folder, begun)
            except TrackingError:
                if not begun:  # else the same command went on without a store, and each search was refused for itself
                    (running.folder / STATE).unlink()
                raise
        _say_what_is_taken_over(running, console)
        number = 0

        def headline() -> str:
            left = "" if running.left is None else f", {roughly(max(0.0, running.left))} left"
            return f"sweep {sweep.name}: search {number} of {len(running.waiting)}{left}"

        def searched(search: PlannedSearch, session: Session) -> int:
            from orchestrator.run.run import run_search

            return run_search(search.plan, search.options, console, quiet=quiet, debug=debug, session=session)

        try:
            with Session(headline=headline, sweep_run=running.tracked) as session:
                for number, turn in enumerate(running.waiting, start=1):
                    lock.check()
                    if not _has_room(running, turn, console):
                        continue
                    if between is not None and (measured := between()) is not None:
                        state.calibration.append(measured)
                    console.print(f"[{number} of {len(running.waiting)}] {turn.state.key}", soft_wrap=True)
                    if _run(running, turn, run_one or searched, session) == INTERRUPTED:
                        return state
            state.ended = datetime.now(UTC)
            running.keep()
            if state.measured:
                write_sweep_report(state, running.folder)
            return state
        finally:
            running.close()


def _pinned(search: PlannedSearch, run: CurrentRun, champions: Champions | None, spaces: Path) -> PlannedSearch:
    """The search as its turn has it: of the champion alone, where that is asked for and there is one."""
    if search.search == "full" or is_full_turn(search.key, run.sweep.full_every, run.earlier):
        return _whole(search)
    found = last_winner(search.key, run.earlier) if champions is None else champions.get(search.key)
    if found is None:
        return _whole(search)
    try:
        return pin(search, found, spaces)
    except UserError as error:
        log.info("%s: the champion cannot be run any more, so all is searched: %s", search.key, error.problems[0])
        return _whole(search)


def _whole(search: PlannedSearch) -> PlannedSearch:
    return PlannedSearch(options=search.options, plan=search.plan)


def _has_room(run: CurrentRun, turn: Turn, console: Console) -> bool:
    """Whether there is time for a search; if not, that is said and written down."""
    left, expected = run.left, run.expected(turn)
    if left is None or expected <= left:
        return True
    turn.state.status = SearchStatus.NOT_RUN
    turn.state.why = f"it would take about {roughly(expected)}, and the time limit leaves {roughly(max(0.0, left))}"
    console.print(f"not run: {turn.state.key}: {turn.state.why}; it goes first in the next run", soft_wrap=True)
    run.keep()
    return False


def _run(run: CurrentRun, turn: Turn, run_one: RunOne, session: Session) -> int:
    """Run one search; whatever becomes of it is in the state."""
    state = turn.state
    state.status, state.why = SearchStatus.RUNNING, ""
    run.keep()
    before, started, why = state.seconds or 0.0, now(), ""
    code = 1
    try:
        code = run_one(turn.search, session)
    except UserError as error:
        why = "; ".join(map(without_secrets, error.problems))
    except Exception as error:  # an unattended sweep goes on, whatever a search has come upon
        traceback.print_exc()
        why = without_secrets(f"{type(error).__name__}: {error}")
    finally:
        state.seconds = before + now() - started
        run.keep()
    if code == INTERRUPTED:
        return code
    state.status = SearchStatus.FINISHED if code == 0 and is_tested(turn.search.plan.folder) else SearchStatus.FAILED
    if state.status is SearchStatus.FAILED:
        state.why = why or _no_score(turn.search.plan.folder)
        log.warning("%s failed: %s", state.key, state.why)
    run.keep()
    return code


def _no_score(folder: Path) -> str:
    """Why a search ended without a winner, in words."""
    record = record_in(folder)
    errors = [one.error for one in record.trials if one.status is TrialStatus.FAILED] if record else []
    return "no trial got a score" + (f": {errors[0]}" if errors and errors[0] else "")


def _say_what_is_taken_over(run: CurrentRun, console: Console) -> None:
    for turn in run.turns:
        if turn.state.status is SearchStatus.TAKEN_OVER:
            console.print(f"unchanged since run {turn.state.measured_on}, taken over: {turn.state.key}", soft_wrap=True)
