"""A report on any number of searches: computed once, then written in every form that was asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.record import formats
from orchestrator.record.record import SearchRecord
from orchestrator.record.strict_json import write_atomically
from orchestrator.store.parquet import write_parquet
from orchestrator.summarizer.results.groups import make_groups
from orchestrator.summarizer.results.method_comparisons import aggregate, compare_methods
from orchestrator.summarizer.results.model import Grid, Group, Results
from orchestrator.summarizer.results.published import MAIN_TABLES, backbone_key, task_key
from orchestrator.summarizer.results.saved_searches import Found
from orchestrator.summarizer.results.winner_check import find
from orchestrator.summarizer.summary_json import SCHEMA_FILE, schema_text, summary_text
from orchestrator.summarizer.tables.paper_layouts import Layout, layouts
from orchestrator.summarizer.tables.paper_tables import paper_grid
from orchestrator.summarizer.tables.result_tables import aggregates, comparisons, methods_by_tasks, scores
from orchestrator.summarizer.tables.search_tables import compute, configurations, expected_best_grid
from orchestrator.summarizer.writers import frames, latex, markdown
from trials.errors import UserError, did_you_mean

FORMATS = ("markdown", "latex", "html", "csv", "parquet", "json")
_OTHER_NAMES = {"md": "markdown", "tex": "latex"}
_CONFIGURATIONS = 50  # searches whose trials get a table each; trials.csv has all of them


def make_results(found: Found, tables: Sequence[Layout] | None = None) -> Results:
    """Everything that a report says.

    Args:
        found: the searches, already selected.
        tables: layouts of the paper; left out, those that one of the searches is measured on.
    """
    searches = found.searches
    groups, unused = make_groups(searches)
    unfinished = [search for search in searches if search.record.test is None]
    shown = [layout for layout in layouts() if _is_measured(layout, groups)] if tables is None else tables
    compared, notes = compare_methods(groups)
    doubted = tuple(doubts(search.record for search in searches))
    means = aggregate(groups)
    titles = {group.task: group.title for group in groups}
    records = [search.record for search in searches if search.record.trials]
    grids: list[Grid] = [methods_by_tasks(groups, unfinished)] if groups else []
    grids += [paper_grid(layout, groups, unfinished) for layout in shown]
    if groups:
        table = scores(groups)
        grids.append(replace(table, notes=(*doubted, *table.notes)))
    if compared or notes:
        grids.append(comparisons(compared, notes, titles))
    if len(means) > 1:
        grids.append(aggregates(means, titles))
    if records:
        grids += [expected_best_grid(records), compute(records)]
    of_trials = _unique_names([configurations(record) for record in records[:_CONFIGURATIONS]])
    if len(records) > _CONFIGURATIONS:
        unused = (*unused, f"tables of trials of {len(records) - _CONFIGURATIONS} searches: trials.csv has them")
    left_out = (*unused, *found.unread)
    return Results(searches, groups, compared, means, tuple(grids), of_trials, (*doubted, *notes), left_out)


def write_report(results: Results, folder: str | os.PathLike[str], forms: Iterable[str] = FORMATS) -> list[Path]:
    """Write the report into ``folder``, replacing an older one; returns its files, the ones to read first."""
    folder = Path(folder)
    writers: dict[str, Callable[[Results, Path], list[Path]]] = {
        "markdown": _markdown,
        "html": _html,
        "latex": _latex,
        "json": _json,
        "csv": _csv,
        "parquet": _parquet,
    }
    wanted = set(forms)
    return [path for form, write in writers.items() if form in wanted for path in write(results, folder)]


def chosen_formats(text: str | None) -> tuple[str, ...]:
    """The forms of a list such as ``markdown,latex``; all of them where nothing is given.

    Raises:
        UserError: a form that there is not; every wrong one is told.
    """
    if text is None:
        return FORMATS
    names = [_OTHER_NAMES.get(name, name) for part in text.split(",") if (name := part.strip().lower())]
    wrong = [name for name in names if name not in FORMATS]
    if wrong or not names:
        known = ", ".join(FORMATS)
        raise UserError(
            [f"--formats {name}: it is one or more of {known}{did_you_mean(name, FORMATS)}" for name in wrong]
            or [f"--formats: name one or more of {known}"]
        )
    return tuple(form for form in FORMATS if form in names)


def headline(results: Results) -> list[str]:
    """What a reader must know first: how much there is, what is missing, and what no test can tell."""
    records = results.records
    trials = sum(len(record.trials) for record in records)
    tasks, methods = {record.task for record in records}, {record.method for record in records}
    backbones = sorted({record.backbone for record in records})
    lines = [
        f"{_count(len(records), 'search', 'searches')} with {_count(trials, 'trial')}: {_count(len(tasks), 'task')}, "
        f"{_count(len(methods), 'method')}, on {', '.join(backbones) or 'no backbone'}."
    ]
    decided = [one for one in results.comparisons if one.verdict != "not distinguishable"]
    if results.comparisons:
        lines.append(
            f"{_count(len(results.comparisons), 'comparison')} between methods: {len(decided)} with a difference, "
            f"{len(results.comparisons) - len(decided)} not distinguishable."
        )
    return [*lines, *doubts(records), *(f"Left out: {text}." for text in results.left_out)]


def doubts(records: Iterable[SearchRecord]) -> list[str]:
    """The headline of each search whose winner cannot be recommended."""
    found = [(record.name, find(record)) for record in records if record.test is not None]
    return [f"{name}: {one.headline}" for name, one in found if not one.worth_taking]


def _is_measured(layout: Layout, groups: Sequence[Group]) -> bool:
    """Whether searches belong into a table: into a main one by their task, into an analysis by its backbone, too."""
    here = [group for group in groups if task_key(group.task) in layout.tasks]
    if layout.table in MAIN_TABLES:
        return bool(here)
    backbone = backbone_key(layout.field_of("backbone"))
    found = paper_grid(layout, [group for group in here if backbone_key(group.backbone) == backbone])
    return any(cell.kind == "measured" for _, _, cell in found.cells())


def _markdown(results: Results, folder: Path) -> list[Path]:
    text = markdown.document(_title(results), results.all_grids, headline(results))
    return [write_atomically(folder / "report.md", text)]


def _latex(results: Results, folder: Path) -> list[Path]:
    paths = [write_atomically(folder / "report.tex", latex.document(_title(results), results.all_grids))]
    return paths + [write_atomically(folder / "tables" / f"{g.name}.tex", latex.table(g)) for g in results.all_grids]


def _html(results: Results, folder: Path) -> list[Path]:
    from orchestrator.summarizer.page import write_results_page  # it brings the libraries of its charts

    return [write_results_page(results.records, folder / "report.html", results)]


def _json(results: Results, folder: Path) -> list[Path]:
    return [
        write_atomically(folder / "summary.json", summary_text(results)),
        write_atomically(folder / SCHEMA_FILE, schema_text()),
    ]


def _csv(results: Results, folder: Path) -> list[Path]:
    return [frames.write_csv(rows, folder / f"{name}.csv") for name, rows in frames.frames(results).items() if rows]


def _parquet(results: Results, folder: Path) -> list[Path]:
    found: dict[str, list[dict[str, Any]]] = frames.frames(results)
    return [write_parquet(rows, folder / f"{name}.parquet") for name, rows in found.items() if rows]


def _title(results: Results) -> str:
    if len(results.records) == 1:
        return f"Report on {formats.line(results.records[0].name)}"
    return f"Report on {_count(len(results.records), 'search', 'searches')}"


def _unique_names(grids: Sequence[Grid]) -> tuple[Grid, ...]:
    """Two searches of one name must not write over each other's table."""
    taken: set[str] = set()
    unique = []
    for grid in grids:
        name, number = grid.name, 2
        while name in taken:
            name, number = f"{grid.name}-{number}", number + 1
        taken.add(name)
        unique.append(replace(grid, name=name))
    return tuple(unique)


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
