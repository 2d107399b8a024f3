"""The paper_layouts of the paper's tables (paper_layouts.yaml), and which published number stands in which cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from orchestrator.summarizer.results.published import PublishedRow, rows, task_key
from trials.errors import UserError, did_you_mean

_MATCHED = ("backbone", "setting", "method", "task", "metric")  # of a published row


@dataclass(frozen=True)
class PaperAxis:
    """A row or a column of a layout.

    Attributes:
        heading: what stands above its neighbours too: a row's section, a column's group.
        match: fields of the published rows in it.
        where: values that every configuration of a search must share to be measured here.
        measured_as: our name of the method, where the published one holds more than that.
        mean_of: task to metric, for a measured mean.
        unmeasured: why no search fills it; empty where one can.
        shots: rows of train that a search must have been limited to, to be measured here; None: all of them.
        from_a_source: whether its trials must have started from an adapter, where the method need not.
    """

    label: str
    heading: str = ""
    match: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, Any] = field(default_factory=dict)
    measured_as: str = ""
    mean_of: Mapping[str, str] = field(default_factory=dict)
    better: Literal["higher", "lower"] = "higher"
    unmeasured: str = ""
    shots: int | None = None
    from_a_source: bool = False


@dataclass(frozen=True, kw_only=True)
class PaperLayout:
    """One table of the paper.

    Attributes:
        match: fields that all its published rows share.
        corner: heading of the column of row labels.
        parameters: the paper prints trainable parameters.
        across: methods or values stand side by side: the best of a row is highlighted, not of a column.
        ranked: the best is highlighted at all.
    """

    table: int
    name: str
    title: str
    rows: tuple[PaperAxis, ...]
    columns: tuple[PaperAxis, ...]
    match: Mapping[str, str] = field(default_factory=dict)
    corner: str = "Method"
    parameters: bool = False
    across: bool = False
    ranked: bool = True
    unmeasured: str = ""
    notes: tuple[str, ...] = ()

    def quoted(self, row: PaperAxis, column: PaperAxis) -> PublishedRow | None:
        """The published number of a cell; None where the paper leaves it empty."""
        wanted = {**self.match, **row.match, **column.match}
        found = [p for p in _of_table(self.table) if all(getattr(p, name) == value for name, value in wanted.items())]
        if len(found) > 1:
            raise ValueError(f"{self.name}: {len(found)} published rows for {wanted}; the layout must name one")
        return found[0] if found else None

    def field_of(self, name: str, *axes: PaperAxis) -> str:
        """A field that the layout or one of the axes names, such as ``backbone``; empty where none does."""
        found = (axis.match[name] for axis in axes if name in axis.match)
        return next(found, self.match.get(name, ""))

    @property
    def tasks(self) -> set[str]:
        """Keys of the tasks that a search can be measured on here."""
        if self.unmeasured:
            return set()
        names = {self.match.get("task", "")}
        for axis in (*self.rows, *self.columns):
            if not axis.unmeasured:
                names |= set(axis.mean_of) or {axis.match.get("task", "")}
        return {task_key(name) for name in names if name}


@cache
def paper_layouts() -> tuple[PaperLayout, ...]:
    """All paper_layouts, in the order of the paper's tables."""
    text = resources.files(__package__).joinpath("paper_layouts.yaml").read_text(encoding="utf-8")
    return tuple(_layout(dict(entry)) for entry in yaml.safe_load(text)["layouts"])


def chosen(names: Iterable[str]) -> list[PaperLayout]:
    """The paper_layouts of these table numbers or names; ``all`` stands for every one.

    Raises:
        UserError: there is no such table; every wrong name is listed.
    """
    known = {str(layout.table): layout for layout in paper_layouts()} | {
        layout.name: layout for layout in paper_layouts()
    }
    wanted = [name.strip() for name in names if name.strip()]
    if "all" in wanted:
        return list(paper_layouts())
    wrong = [name for name in wanted if name not in known]
    if wrong:
        numbers = ", ".join(str(layout.table) for layout in paper_layouts())
        raise UserError([f"--tables {n}: it is one of {numbers}, or all{did_you_mean(n, known)}" for n in wrong])
    return [layout for layout in paper_layouts() if any(known[name] is layout for name in wanted)]


@cache
def _of_table(table: int) -> tuple[PublishedRow, ...]:
    return tuple(row for row in rows() if row.table == table)


def _layout(entry: dict[str, Any]) -> PaperLayout:
    entry["rows"] = tuple(axis for row in entry["rows"] for axis in _axes(dict(row)))
    entry["columns"] = tuple(axis for column in entry["columns"] for axis in _axes(dict(column)))
    entry["notes"] = tuple(entry.get("notes", ()))
    return PaperLayout(**entry)


def _axes(entry: dict[str, Any]) -> list[PaperAxis]:
    """One entry of the file; a list in it stands for one axis each."""
    several = next((name for name in _MATCHED if isinstance(entry.get(name), list)), None)
    if several:
        return [axis for value in entry[several] for axis in _axes({**entry, several: value})]
    match = {name: str(entry.pop(name)) for name in _MATCHED if name in entry}
    heading = entry.pop("section", "") or entry.pop("group", "")
    label = entry.pop("label", "") or match.get("method", "") or match.get("task", "")
    known = {f.name for f in fields(PaperAxis)}
    if entry.keys() - known:
        raise ValueError(f"paper_layouts.yaml: {sorted(entry.keys() - known)} in {label}; known are {sorted(known)}")
    return [PaperAxis(label=label, heading=heading, match=match, **entry)]
