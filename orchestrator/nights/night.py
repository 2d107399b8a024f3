"""What one night measured: the rows that the history keeps and that the gate, the champions and the page read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestrator.plan.settings import FORMER_PRECISION
from orchestrator.sweep.cells import CellKey

PRECISION = "precision"
"""The part of a cell that its search has found out."""


class CellStatus(StrEnum):
    """What became of a cell in a night."""

    MEASURED = "measured"
    """Trained and tested in this night."""
    TAKEN_OVER = "taken over"
    """Nothing that decides its numbers has changed since an earlier night, whose results stand here again."""
    FAILED = "failed"
    """It was started and has no test score."""
    NOT_RUN = "not run"
    """There was no time left for it."""

    @property
    def has_scores(self) -> bool:
        """Whether the cell can be compared."""
        return self in (CellStatus.MEASURED, CellStatus.TAKEN_OVER)


@dataclass(frozen=True, kw_only=True)
class SeedScore:
    """The winner's training on one seed, tested.

    Attributes:
        seed: of training.
        score: the selection metric on the test split, in points (0 to 100).
        n: test examples, or groups where the metric counts those.
        predictions: Parquet file with its answer to each test row (`orchestrator.store.predictions`), and the number of
            its trial in it; empty and 0 where none was kept.
    """

    seed: int
    score: float
    n: int
    predictions: str = ""
    trial: int = 0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One task, method and backbone in one night.

    Attributes:
        metric: name of the selection metric.
        why: what kept it from being measured, in words; empty where nothing did.
        scores: by seed, the search's own seed first.
        validation: the winner's selection score on validation, in points; None where there is none.
        updates_per_second: updates of all trials together in a second of an engine's training; None where not measured
            in this night.
        peak_memory: bytes of the largest engine process (of its accelerator, where it has one); None likewise.
        share_of_grid: steps trained over the steps of the whole grid.
        configuration: the winner's hyperparameters.
        fingerprint: of everything that decides the numbers: code, versions, data, weights, configuration.
        parts: what `fingerprint` is made of, by its name, and `PRECISION`: what has changed is found by comparing them.
        folder: of the search, as a path or URI.
        command: that makes this cell again, as one line.
        measured_on: date of the night that trained it, where it was taken over.
    """

    key: CellKey
    status: CellStatus
    metric: str = ""
    why: str = ""
    scores: tuple[SeedScore, ...] = ()
    validation: float | None = None
    updates_per_second: float | None = None
    peak_memory: float | None = None
    share_of_grid: float | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    command: str = ""
    measured_on: str = ""

    @property
    def score(self) -> float | None:
        """Mean over seeds, in points; None where there is none."""
        return sum(one.score for one in self.scores) / len(self.scores) if self.scores else None

    @property
    def precision(self) -> str:
        """That its trials were trained in; of a night that an earlier version kept, as its command has it."""
        if known := self.parts.get(PRECISION):
            return known
        asked = re.findall(r"--precision[ =](\S+)", self.command)
        return asked[-1] if asked else FORMER_PRECISION


@dataclass(frozen=True, kw_only=True)
class Night:
    """One run of a sweep as a night.

    Attributes:
        date: names it; ISO, one entry of the history each.
        sweep: name of the sweep.
        started, ended: with time zone.
        calibration: operations a second of the calibration kernel in this night, the median of those measured between
            searches: speeds of nights are compared after division by it. None where it was not measured.
        cells: all that the sweep names, whatever became of them.
        provenance: code, versions, machine (`orchestrator.record.provenance.collect`).
    """

    date: str
    sweep: str
    started: datetime
    ended: datetime
    calibration: float | None
    cells: tuple[Cell, ...]
    provenance: Mapping[str, str] = field(default_factory=dict)

    def cell(self, key: CellKey) -> Cell | None:
        """The cell of that key; None where the night has none."""
        return next((cell for cell in self.cells if cell.key == key), None)
