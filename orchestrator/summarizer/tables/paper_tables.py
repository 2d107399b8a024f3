"""The paper's tables with measured rows beside the published ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.record import formats
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.groups import SearchGroup, method_title, pick
from orchestrator.summarizer.results.published import (
    MAIN_SETTINGS,
    MAIN_TABLES,
    backbone_key,
    from_a_source,
    method_key,
    on_published_rows,
    printed,
    task_key,
)
from orchestrator.summarizer.results.seed_statistics import SeedEstimate, estimate
from orchestrator.summarizer.tables.cells import EMPTY, measured_cell, other_settings, worth_row
from orchestrator.summarizer.tables.highlights import LEGEND, LEGEND_ACROSS, highlighted
from orchestrator.summarizer.tables.missing_cells import Gap, commands, gaps_of
from orchestrator.summarizer.tables.model import Cell, Column, MissingCells, ReportTable, Row
from orchestrator.summarizer.tables.paper_layouts import PaperAxis, PaperLayout
from trials.methods import standard_method

QUOTED = (
    "Rows marked 'quoted' are numbers printed in the ADePT paper (arXiv 2501.03291, Table {table}), not run here; its "
    "baselines follow several protocols."
)
MEASURED = (
    "Measured: mean ± standard deviation over seeds, with their number in parentheses where there are several; "
    "trainable parameters are the winners'."
)


def paper_table(
    layout: PaperLayout, groups: Sequence[SearchGroup], unfinished: Sequence[FoundSearch] = ()
) -> ReportTable:
    """One table of the paper: its printed numbers, and a row for each method and backbone that was measured on it."""
    builder = _Measured(layout, groups)
    lines = list(builder.lines())
    gaps = builder.gaps if lines else list(_first_gaps(layout))
    return assembled(layout, lines, builder.notes, commands(gaps, unfinished))


def assembled(
    layout: PaperLayout, measured: Sequence[PaperLine], more: Iterable[str], missing: tuple[MissingCells, ...]
) -> ReportTable:
    """A table of the paper from its printed numbers and measured lines.

    Args:
        more: further notes.
    """
    lines = [*_quoted_lines(layout), *measured]
    rows = _marked(layout, lines)
    corner = [Column(layout.corner, numeric=False)]
    if layout.parameters and not layout.across:
        corner.append(Column("Parameters"))
    columns = [*corner, *(Column(axis.label, axis.heading) for axis in layout.columns)]
    notes = [QUOTED.format(table=layout.table), *layout.notes]
    if layout.ranked:
        notes.append(LEGEND_ACROSS if layout.across else LEGEND)
    if measured:
        notes += [MEASURED, _other_backbones(layout, measured)]
        examples = [[line.cells[place].one_example for line in measured] for place in range(len(layout.columns))]
        if any(one is not None for column in examples for one in column):
            rows.append(worth_row(examples, blanks=len(corner) - 1))
    elif layout.unmeasured:
        notes.append(f"Nothing is measured here: {layout.unmeasured}.")
    notes += more
    return ReportTable(
        layout.name,
        f"{layout.title} (Table {layout.table} of the ADePT paper)",
        tuple(columns),
        tuple(rows),
        tuple(note for note in notes if note),
        missing,
    )


@dataclass
class PaperLine:
    """A row before its best cells are known; rows of one ``backbone`` (its key) are compared.

    Attributes:
        parameters: trainable ones, as printed.
        cells: one for each column of the layout.
    """

    label: str
    parameters: str
    cells: list[Cell]
    backbone: str
    section: str


def _quoted_lines(layout: PaperLayout) -> Iterator[PaperLine]:
    if layout.across and layout.parameters:
        sizes = [
            next((p for row in layout.rows if (p := layout.quoted(row, column))), None) for column in layout.columns
        ]
        counts = [Cell(size.parameters if size else "", "label") for size in sizes]
        yield PaperLine("Parameters", "", counts, "", layout.rows[0].heading)
    for row in layout.rows:
        published = [layout.quoted(row, column) for column in layout.columns]
        cells = [
            EMPTY
            if p is None
            else Cell(
                printed(p.value, p.metric),
                "quoted",
                p.value,
                printed(p.std, p.metric) if p.std is not None else "",
                sd=p.std,
            )
            for p in published
        ]
        first = next((p for p in published if p is not None), None)
        parameters = first.parameters if first else ""
        section = ", ".join(part for part in (row.heading, "quoted") if part)
        backbone = backbone_key(layout.field_of("backbone", row))
        yield PaperLine(row.label, parameters or formats.MISSING, cells, backbone, section)


class _Measured:
    """Rows of a layout that come from searches, with the gaps in them."""

    def __init__(self, layout: PaperLayout, groups: Sequence[SearchGroup]) -> None:
        self.layout = layout
        shots = {row.shots for row in layout.rows}
        starts = {column.from_a_source for column in layout.columns}
        self.groups = [
            group
            for group in groups
            if task_key(group.task) in layout.tasks
            and group.settings.get("shots") in shots
            and on_published_rows({**group.settings, "shots": None})
            and from_a_source(group.method, group.settings) in starts
        ]
        self.by_column = all("method" in column.match for column in layout.columns)
        self.gaps: list[Gap] = []
        self.notes: list[str] = []

    def lines(self) -> Iterator[PaperLine]:
        own = backbone_key(self.layout.field_of("backbone"))
        backbones = list(dict.fromkeys(group.backbone for group in self.groups))
        for backbone in sorted(backbones, key=lambda name: backbone_key(name) != own):
            for row in self._rows():
                line = self._line(row, backbone)
                if line is not None:
                    yield line

    def _rows(self) -> list[PaperAxis]:
        """The layout's methods, each once; in a main table, then methods that the paper does not have.

        Where methods stand side by side, all its rows.
        """
        if self.by_column:
            return list(self.layout.rows)
        rows: dict[tuple[str, str], PaperAxis] = {}
        for row in self.layout.rows:
            method = row.measured_as or row.match.get("method", "")
            if method and not row.unmeasured and row.match.get("setting", MAIN_SETTINGS[0]) != "transfer_or_multitask":
                rows.setdefault((method_key(method), str(sorted(row.where.items()))), row)
        if self.layout.table in MAIN_TABLES:
            for group in self.groups:
                title = method_title(group.method)
                rows.setdefault((method_key(group.method), "[]"), PaperAxis(title, match={"method": group.method}))
        return list(rows.values())

    def _line(self, row: PaperAxis, backbone: str) -> PaperLine | None:
        found = [self._of(row, column, backbone) for column in self.layout.columns]
        used = [group for groups in found for group in groups]
        if not used:
            return None
        seeds = sorted({seed for group in used for seed in group.by_seed})
        cells = []
        for column, groups in zip(self.layout.columns, found, strict=True):
            cells.append(self._cell(column, groups))
            if not (column.mean_of or column.unmeasured or self.layout.unmeasured or self.by_column):
                task, where = self.layout.field_of("task", row, column), {**row.where, **column.where}
                group = groups[0] if groups else None
                self.gaps += gaps_of(column.label, row.label, task, group, used[0], seeds, where=where)
        counts = sorted({count for group in used for count in group.parameters})
        shown = "–".join(dict.fromkeys(formats.parameters(count) for count in (counts[:1] + counts[-1:])))
        section = ", ".join([*([row.heading] if self.by_column else []), f"measured on {used[0].backbone}"])
        return PaperLine(row.label, shown or formats.MISSING, cells, backbone_key(backbone), section)

    def _of(self, row: PaperAxis, column: PaperAxis, backbone: str) -> list[SearchGroup]:
        """The groups behind a cell: one, or one for each task of a mean; none where any is missing."""
        if column.unmeasured:
            return []
        wanted = column.mean_of or {
            self.layout.field_of("task", row, column): self.layout.field_of("metric", row, column)
        }
        picked = [self._pick(row, column, task, metric, backbone) for task, metric in wanted.items()]
        return [group for group in picked if group is not None] if all(picked) else []

    def _pick(self, row: PaperAxis, column: PaperAxis, task: str, metric: str, backbone: str) -> SearchGroup | None:
        axis, where = column if self.by_column else row, {**row.where, **column.where}
        method = axis.measured_as or axis.match["method"]
        groups = [
            group
            for group in self.groups
            if group.settings.get("shots") == row.shots
            and from_a_source(group.method, group.settings) == column.from_a_source
        ]
        group, others = pick(groups, task, method, backbone, None if metric == "hours" else metric, where)
        if group is not None and others:
            note = other_settings(task, group, others)
            self.notes += [note] if note not in self.notes else []
        return group

    def _cell(self, column: PaperAxis, groups: list[SearchGroup]) -> Cell:
        if not groups:
            return EMPTY
        if column.mean_of:
            metrics = [column.mean_of.get(group.task) or _metric_of(column.mean_of, group.task) for group in groups]
            by_seed = [group.scores(metric) for group, metric in zip(groups, metrics, strict=True)]
            shared = set.intersection(*(set(scores) for scores in by_seed))
            if shared == set.union(*(set(scores) for scores in by_seed)):
                values = [sum(scores[seed] for scores in by_seed) / len(by_seed) for seed in sorted(shared)]
                result = estimate(values)
            else:  # other seeds for other tasks: the mean of means has no deviation over seeds
                means = [estimate(list(scores.values())).mean for scores in by_seed]
                result = SeedEstimate(sum(means) / len(means), min(len(scores) for scores in by_seed))
            examples = [one.one_example_of(metric) or 0.0 for one, metric in zip(groups, metrics, strict=True)]
            return measured_cell(result, "mean", sum(examples) / len(examples) / len(examples))
        metric = self.layout.field_of("metric", column)
        scores = hours(groups[0]) if metric == "hours" else groups[0].scores(metric)
        return measured_cell(estimate(list(scores.values())), metric, groups[0].one_example_of(metric))


def hours(group: SearchGroup) -> dict[int, float]:
    """Hours that the winning trial of each seed trained, with its evaluations."""
    found = {}
    for seed, search in group.by_seed.items():
        test = search.record.test
        for trial in search.record.trials:
            if test is not None and trial.number == test.trial_number:
                found[seed] = (trial.train_seconds + trial.evaluation_seconds) / 3600.0
    return found


def _metric_of(mean_of: Mapping[str, str], task: str) -> str:
    return next(metric for name, metric in mean_of.items() if task_key(name) == task_key(task))


def _marked(layout: PaperLayout, lines: Sequence[PaperLine]) -> list[Row]:
    table = [list(line.cells) for line in lines]
    if layout.ranked and layout.across:
        table = [highlighted(cells) for cells in table]
    elif layout.ranked:
        for place, column in enumerate(layout.columns):
            for backbone in dict.fromkeys(line.backbone for line in lines):
                rows = [index for index, line in enumerate(lines) if line.backbone == backbone]
                for index, cell in zip(rows, highlighted([table[i][place] for i in rows], column.better), strict=True):
                    table[index][place] = cell
    with_parameters = layout.parameters and not layout.across
    return [
        Row((Cell(line.label), *([Cell(line.parameters)] if with_parameters else []), *cells), line.section)
        for line, cells in zip(lines, table, strict=True)
    ]


def _other_backbones(layout: PaperLayout, lines: Sequence[PaperLine]) -> str:
    own = backbone_key(layout.field_of("backbone"))
    if own and any(line.backbone != own for line in lines):
        return "A number on another backbone than the quoted ones is no comparison with them."
    return ""


def _first_gaps(layout: PaperLayout) -> Iterable[Gap]:
    """What a table without any measured row lacks: ADePT on the paper's backbone."""
    if layout.unmeasured:
        return
    method = standard_method()
    rows = [row for row in layout.rows if method_key(row.measured_as or row.match.get("method", "")) == method]
    for row in rows:
        for column in layout.columns:
            if column.mean_of or column.unmeasured:
                continue
            backbone = layout.field_of("backbone", row, column)
            where = {**row.where, **column.where}
            yield Gap(
                label=column.label,
                row=f"{method_title(method)} on {backbone}",
                task=layout.field_of("task", row, column),
                method=method,
                backbone=backbone,
                seeds=(),
                where=where,
            )
