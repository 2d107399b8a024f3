"""The page of a sweep's nights: one file without a network, with sparklines, alarms, champions, and what changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from orchestrator.nights import history_tables as tables
from orchestrator.nights.night import Cell, CellStatus, Night
from orchestrator.nights.night_files import KeptNight
from orchestrator.nights.verdict import Finding, Outcome, Quantity
from orchestrator.record import formats
from orchestrator.store.layout import PAGE
from orchestrator.summarizer.page.search_section import Tile
from orchestrator.summarizer.page.writing import write_page
from orchestrator.summarizer.tables.model import ReportTable
from orchestrator.sweep.cells import CellKey

_WIDTH, _HEIGHT, _EDGE = 220, 48, 6  # of a sparkline, in units of its own
_LOOKS = {Outcome.WORSE: "worse", Outcome.BETTER: "better"}


def write_history_page(kept: Sequence[KeptNight], path: Path) -> Path:
    """Write the page of these nights of one sweep, sorted; there is at least one."""
    page = HistoryPage(kept, path.parent)
    return write_page("history.html.jinja", path, h=page, title=page.title)


@dataclass(frozen=True)
class Mark:
    """A night in a sparkline; ``look`` is a class of the style sheet."""

    x: float
    y: float
    look: str
    title: str


@dataclass(frozen=True)
class Spark:
    """One quantity of one cell over the nights.

    Attributes:
        last: its last value. range: of all nights. description: the whole in words.
        lines: points of each run of nights that were measured without a gap.
    """

    name: str
    last: str
    range: str
    description: str
    lines: tuple[str, ...]
    marks: tuple[Mark, ...]
    width: int = _WIDTH
    height: int = _HEIGHT


@dataclass(frozen=True)
class CellNights:
    """One cell over the nights."""

    key: CellKey
    sparks: tuple[Spark, ...]


@dataclass(frozen=True)
class _Kind:
    name: str
    quantity: Quantity
    value: Callable[[Night, Cell], float | None]
    text: Callable[[float], str]


_KINDS = (
    _Kind("score", Quantity.SCORE, lambda night, cell: cell.score, formats.score),
    _Kind("speed, relative", Quantity.SPEED, tables.relative_speed, lambda value: f"{value:.3g}"),
)


class HistoryPage:
    """What the page shows.

    Args:
        folder: that the page is in: reports that lie below the same folder are linked.
    """

    def __init__(self, kept: Sequence[KeptNight], folder: Path) -> None:
        self.nights, self.last = list(kept), kept[-1]
        self._folder = folder.absolute()
        self.title = f"{self.last.night.sweep}, {len(kept)} night{'s' * (len(kept) != 1)}"

    @property
    def verdict(self) -> str:
        """Of the last night."""
        words = tables.verdict_of(self.last)
        return {"fine": "Nothing is worse", "nothing compared": "Nothing could be compared"}.get(
            words, words.capitalize()
        )

    @property
    def worse(self) -> list[Finding]:
        """The last night's alarms."""
        return self.last.verdict.worse if self.last.verdict else []

    @property
    def tiles(self) -> list[Tile]:
        """The figures of the last night, and of all."""
        night = self.last.night
        counts = {status: sum(cell.status is status for cell in night.cells) for status in CellStatus}
        measured = counts.pop(CellStatus.MEASURED)
        others = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        alarms = [len(one.verdict.worse) if one.verdict else 0 for one in self.nights]
        nights = sum(map(bool, alarms))
        pace = f"calibration {formats.number(night.calibration)} a second" if night.calibration else "not calibrated"
        return [
            Tile("Cells measured", f"{measured} of {len(night.cells)}", others),
            Tile("Time", formats.duration((night.ended - night.started).total_seconds()), pace),
            Tile("Alarms", str(sum(alarms)), f"in {nights} of {len(self.nights)} nights"),
            Tile("Nights", str(len(self.nights)), f"since {self.nights[0].night.date}"),
        ]

    @cached_property
    def cells_table(self) -> ReportTable:
        """The last night, a row a cell."""
        return tables.last_night(self.nights)

    @cached_property
    def sections(self) -> list[ReportTable]:
        """The other tables."""
        return [table for table in tables.history_tables(self.nights) if table.name != self.cells_table.name]

    @cached_property
    def cells(self) -> list[CellNights]:
        """Every cell with its sparklines."""
        keys = tables.cell_keys(self.nights)
        return [CellNights(key, tuple(filter(None, (self._spark(key, kind) for kind in _KINDS)))) for key in keys]

    @cached_property
    def reports(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """For each night, the last one first, its cells' reports that are there: names and relative addresses."""
        found = []
        for one in reversed(self.nights):
            links = [(str(cell.key), self._link(cell)) for cell in one.night.cells]
            if there := [(name, address) for name, address in links if address]:
                found.append((one.night.date, there))
        return found

    def _link(self, cell: Cell) -> str:
        file = Path(cell.folder).absolute() / PAGE
        if not cell.folder or "://" in cell.folder or not file.is_file():
            return ""
        return quote(os.path.relpath(file, self._folder).replace(os.sep, "/"))

    def _spark(self, key: CellKey, kind: _Kind) -> Spark | None:
        cells = [(one, one.night.cell(key)) for one in self.nights]
        values = [kind.value(one.night, cell) if cell is not None else None for one, cell in cells]
        there = [value for value in values if value is not None]
        if not there:
            return None
        low, high = min(there), max(there)
        step = (_WIDTH - 2 * _EDGE) / max(len(values) - 1, 1)
        places = [
            None
            if value is None
            else (
                round(_EDGE + at * step, 1),
                round(
                    _HEIGHT - _EDGE - (_HEIGHT - 2 * _EDGE) * ((value - low) / (high - low) if high > low else 0.5), 1
                ),
            )
            for at, value in enumerate(values)
        ]
        marks = [
            self._mark(one, cell, kind, value, place)
            for (one, cell), value, place in zip(cells, values, places, strict=True)
            if cell is not None and value is not None and place is not None
        ]
        alarms = [mark.title for mark in marks if mark.look == "worse"]
        described = (
            f"{kind.name} over {len(values)} nights, {kind.text(low)} to {kind.text(high)}, last {kind.text(there[-1])}"
        )
        described += f"; alarms: {'; '.join(alarms)}" if alarms else "; no alarm"
        return Spark(
            kind.name,
            kind.text(there[-1]),
            f"{kind.text(low)} to {kind.text(high)}",
            described,
            _runs(places),
            tuple(marks),
        )

    def _mark(self, one: KeptNight, cell: Cell, kind: _Kind, value: float, place: tuple[float, float]) -> Mark:
        found = tables.findings(one, cell.key, kind.quantity)
        outcome = found[0].outcome if found else Outcome.NOT_COMPARED
        taken = cell.status is CellStatus.TAKEN_OVER
        title = f"{one.night.date}: {kind.text(value)}{', taken over' if taken else ''}"
        if outcome in _LOOKS:
            title += f". {found[0].sentence or outcome.value}"
        return Mark(*place, _LOOKS.get(outcome, "taken" if taken else "night"), title)


def _runs(places: Sequence[tuple[float, float] | None]) -> tuple[str, ...]:
    """The points of each line: a night that was not measured breaks it."""
    runs: list[list[str]] = [[]]
    for place in places:
        if place is None:
            runs.append([])
        else:
            runs[-1].append(f"{place[0]},{place[1]}")
    return tuple(" ".join(run) for run in runs if len(run) > 1)
