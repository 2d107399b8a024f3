"""What the analyses have in common: cells over seeds, columns for tasks that the paper has not, what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.analyses.bench import Bench
from orchestrator.analyses.catalogue import Analysis
from orchestrator.analyses.pools import Pool, Pools, Trained
from orchestrator.record import formats
from orchestrator.summarizer.results.groups import make_groups
from orchestrator.summarizer.results.published import backbone_key, task_key
from orchestrator.summarizer.results.seed_statistics import estimate
from orchestrator.summarizer.tables.cells import EMPTY, measured_cell
from orchestrator.summarizer.tables.missing_cells import Gap, commands
from orchestrator.summarizer.tables.model import Cell, ReportTable
from orchestrator.summarizer.tables.paper_layouts import PaperAxis, PaperLayout
from orchestrator.summarizer.tables.paper_tables import PaperLine, assembled
from trials.errors import UserError

Makes = Callable[["Work"], None]
"""Adds an analysis' lines to its work."""


@dataclass
class Work:
    """One analysis while it is made.

    Attributes:
        layout: the paper's table, with columns for other tasks once they are known.
        unusable: why an adapter could not be used, a sentence each.
    """

    analysis: Analysis
    pools: Pools
    bench: Bench
    layout: PaperLayout
    lines: list[PaperLine] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a note, once."""
        self.notes += [] if text in self.notes else [text]

    def over_seeds(self, found: Mapping[int, Trained], value: Callable[[Trained], float | None], metric: str) -> Cell:
        """The mean of a number over seeds as a cell; missing where no training has it."""
        values, examples = [], []
        for one in found.values():
            number = self.tried(value, one)
            if number is not None:
                values.append(number)
                worth = one.one_example_of(metric)
                examples += [worth] if worth is not None else []
        if not values:
            return EMPTY
        return measured_cell(estimate(values), metric, max(examples, default=None))

    def tried(self, value: Callable[[Trained], float | None], one: Trained) -> float | None:
        """The number; None, and a note, where the adapter cannot be used."""
        try:
            return value(one)
        except UserError as error:
            self.unusable += [problem for problem in error.problems if problem not in self.unusable]
            return None

    def test_score(self, metric: str, one: Trained) -> float | None:
        """A training's own test score; None where there is none by this metric."""
        return self.bench.test_scores(one).get(metric)

    def add(self, label: str, backbone: str, section: str, cells: Sequence[Cell], used: Iterable[Trained] = ()) -> None:
        """Add a line, if a number is in it."""
        if all(cell.kind == "missing" for cell in cells):
            return
        counts = sorted({count for one in used if (count := one.parameters) is not None})
        shown = "–".join(dict.fromkeys(formats.parameters(count) for count in (counts[:1] + counts[-1:])))
        self.lines.append(PaperLine(label, shown or formats.MISSING, list(cells), backbone_key(backbone), section))

    def lacks(
        self,
        row: str,
        column: str,
        method: str,
        beside: Pool,
        where: Mapping[str, object] | None = None,
        task: str = "",
    ) -> None:
        """Note a missing cell of a task and backbone that another pool has; or of another task."""
        groups, _ = make_groups([beside.newest])
        record = beside.newest.record
        self.gaps.append(
            Gap(
                label=column,
                row=f"{row} on {record.backbone}",
                task=task or record.task,
                method=method,
                backbone=record.backbone,
                seeds=(),
                like=groups[0] if groups else None,
                example=None if task else beside.newest,
                where=where or {},
                space=self.analysis.space,
            )
        )

    def extend(self, pools: Iterable[Pool], make: Callable[[Pool], Sequence[PaperAxis]]) -> None:
        """Add the columns that the layout has not yet, by task and metric."""
        for pool in pools:
            there = {self._kind(column) for column in self.layout.columns}
            more = [column for column in make(pool) if self._kind(column) not in there]
            self.layout = replace(self.layout, columns=(*self.layout.columns, *more))

    def _kind(self, column: PaperAxis) -> tuple[str, str]:
        return task_key(self.layout.field_of("task", column)), self.layout.field_of("metric", column)

    def table(self) -> ReportTable:
        """The table, with what is missing in it and what makes that."""
        notes = self.notes if self.lines else []
        notes = [*notes, *(f"Left out: {problem}." for problem in self.unusable)]
        gaps = self.gaps if self.lines or self.gaps else self._all_missing()
        return assembled(replace(self.layout, unmeasured=""), self.lines, notes, commands(gaps))

    def _all_missing(self) -> list[Gap]:
        """Where nothing is measured: what the paper has, of the tasks that this version knows."""
        found = []
        for method, where in methods_of(self.analysis, self.layout):
            for task in tasks_of(self.layout):
                backbone = self.layout.field_of("backbone")
                found.append(
                    Gap(
                        label=task,
                        row=f"{method} on {backbone}",
                        task=task,
                        method=method,
                        backbone=backbone,
                        seeds=(),
                        where=where,
                        space=self.analysis.space,
                    )
                )
        return found


def title_of(pool: Pool) -> str:
    """What tables print for a pool's task."""
    return pool.newest.record.task_title


def section_of(pool: Pool) -> str:
    """The heading of lines of one task and backbone."""
    return f"measured on {pool.newest.record.backbone}, {title_of(pool)}"


def methods_of(analysis: Analysis, layout: PaperLayout) -> list[tuple[str, Mapping[str, object]]]:
    """The methods that an analysis is of, each once, with what one space does not vary."""
    if analysis.table in (1, 2):
        return [("dept", {}), ("adept", {})]
    names = [row.measured_as or row.match["method"].lower() for row in layout.rows]
    return [(name, {}) for name in dict.fromkeys(names)]


def tasks_of(layout: PaperLayout) -> list[str]:
    """The tasks of the paper's table."""
    axes = (*layout.rows, *layout.columns)
    found = [layout.match.get("task", ""), *(axis.match.get("task", "") for axis in axes)]
    found += [task for axis in axes for task in axis.mean_of]
    return [task for task in dict.fromkeys(found) if task and not task.endswith("_mean")]
