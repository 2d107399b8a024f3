"""A night from what its sweep has left: the state of the run, and the record of each search."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from orchestrator.nights.calibration import REFERENCE
from orchestrator.nights.night import PRECISION, Cell, CellStatus, Night, SeedScore
from orchestrator.record.engines import updates_per_second
from orchestrator.record.record import RECORD, SearchRecord
from orchestrator.record.selection import choose_winner
from orchestrator.store.predictions import kept_predictions
from orchestrator.store.twin_files import load_record
from orchestrator.summarizer.results.compute import spent
from orchestrator.sweep.state import SearchState, SearchStatus, SweepState

log = logging.getLogger(__name__)

_STATUS = {
    SearchStatus.FINISHED: CellStatus.MEASURED,
    SearchStatus.TAKEN_OVER: CellStatus.TAKEN_OVER,
    SearchStatus.FAILED: CellStatus.FAILED,
}
"""The others did not have their turn."""


def measured_night(state: SweepState, earlier: Sequence[Night] = ()) -> Night:
    """What a run of a sweep measured, as the night of the run's name.

    Args:
        earlier: nights of the history, by date: where the folder of a search that was taken over is gone, they have its
            results.
    """
    facts = {**state.provenance, "calibration": f"reference {REFERENCE}"} if state.calibration else state.provenance
    return Night(
        date=state.run,
        sweep=state.sweep,
        started=state.started,
        ended=state.ended or datetime.now(UTC),
        calibration=median(state.calibration) if state.calibration else None,
        cells=tuple(_cell(search, earlier) for search in state.searches),
        provenance=dict(facts),
    )


def _cell(search: SearchState, earlier: Sequence[Night]) -> Cell:
    cell = Cell(
        key=search.key,
        status=_STATUS.get(search.status, CellStatus.NOT_RUN),
        why=search.why,
        fingerprint=search.fingerprint,
        parts=dict(search.parts),
        folder=search.folder,
        command=search.command,
        measured_on=search.measured_on,
    )
    if cell.status is CellStatus.NOT_RUN:
        return replace(cell, why=cell.why or f"the night ended before its turn was over (it was {search.status})")
    if cell.status is CellStatus.FAILED:
        return replace(cell, why=cell.why or "its search ended with an error")
    record, problem = load_record(Path(search.folder) / RECORD)
    if record is not None and record.test is not None:
        return replace(cell, **_measured(record, search))
    if cell.status is CellStatus.TAKEN_OVER and (before := _before(cell, earlier)) is not None:
        kept = ("metric", "scores", "validation", "share_of_grid", "configuration", "parts")
        return replace(cell, **{name: getattr(before, name) for name in kept})
    why = problem if record is None else "its search has no test score"
    log.warning("%s: %s", search.key, why)
    return replace(cell, status=CellStatus.FAILED, why=why)


def _measured(record: SearchRecord, search: SearchState) -> dict[str, Any]:
    """The fields of a cell that a search's record has."""
    choice = choose_winner(record)
    winner = choice.winner
    found: dict[str, Any] = {
        "metric": record.metric,
        "scores": tuple(_scores(record, Path(search.folder))),
        "validation": (choice.mean(winner) or winner.best_score) if winner else None,
        "configuration": dict(winner.configuration) if winner else {},
    }
    if precision := record.settings.get("precision"):
        found["parts"] = {**search.parts, PRECISION: str(precision)}
    work = spent(record)
    if work.grid and search.search == "full":  # of one configuration that is pinned, nothing can be stopped
        found["share_of_grid"] = (work.steps + work.reused) / work.grid
    if search.status is SearchStatus.FINISHED:
        found["updates_per_second"] = updates_per_second(record)
        found["peak_memory"] = record.engines.get("peak_memory") or None
    return found


def _scores(record: SearchRecord, folder: Path) -> Iterator[SeedScore]:
    """Of each tested training of the winner, the search's own seed first."""
    seeds = {trial.number: trial.seed for trial in record.trials}
    answers = next((str(path) for path in kept_predictions(record, folder)), "")
    for test in record.tests:
        number = test.trial_number
        yield SeedScore(
            seed=seeds[number],
            score=test.score,
            n=test.n,
            predictions=answers,
            trial=number if answers else 0,
        )


def _before(cell: Cell, earlier: Sequence[Night]) -> Cell | None:
    """The last cell of the same key that stands for the same work."""
    there = (night.cell(cell.key) for night in reversed(earlier))
    return next(
        (one for one in there if one is not None and one.status.has_scores and one.fingerprint == cell.fingerprint),
        None,
    )
