"""Made-up nights of a sweep, with the noise and the planted changes that one asks for: what the gate is tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.nights.night import Cell, CellKey, CellStatus, Night, SeedScore
from orchestrator.store.predictions import Answers

FIRST = datetime(2026, 1, 1, 3, tzinfo=UTC)


def key(number: int = 0) -> CellKey:
    """A cell of the made-up sweep."""
    return CellKey(f"task-{number}", "adept", "t5-nano")


def made_cell(number: int = 0, scores: Sequence[float] = (85.0, 85.0), n: int = 500, **more: Any) -> Cell:
    """A cell that was measured; ``more`` are fields of `Cell`."""
    fields: dict[str, Any] = {
        "key": key(number),
        "status": CellStatus.MEASURED,
        "metric": "accuracy",
        "scores": tuple(SeedScore(seed=seed, score=score, n=n) for seed, score in enumerate(scores)),
        "updates_per_second": 100.0,
        "peak_memory": 2.0**30,
        "share_of_grid": 0.5,
        "parts": {"data": "d"},
    }
    return Cell(**{**fields, **more})


def made_night(
    number: int, cells: Sequence[Cell], calibration: float | None = 1e9, provenance: Mapping[str, str] | None = None
) -> Night:
    """The night of that number, a day after the one before."""
    started = FIRST + timedelta(days=number)
    facts = {"git_commit": f"{number:010x}{'0' * 30}", "cpu": "a processor, 2 cores", **(provenance or {})}
    return Night(
        date=started.date().isoformat(),
        sweep="made",
        started=started,
        ended=started + timedelta(hours=1),
        calibration=calibration,
        cells=tuple(cells),
        provenance=facts,
    )


def answers(right: Sequence[bool]) -> Answers:
    """Answers to a test split of two classes that are right where ``right`` is."""
    rows = tuple(f"row-{row}" for row in range(len(right)))
    return Answers(rows, ("yes",) * len(right), tuple("yes" if one else "no" for one in right))
