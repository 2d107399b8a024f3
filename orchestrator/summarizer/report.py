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
from orchestrator.summarizer.report_results import ReportResults
from orchestrator.summarizer.results.groups import SearchGroup, make_groups
from orchestrator.summarizer.results.interquartile_means import interquartile_means
from orchestrator.summarizer.results.method_comparisons import compare_methods
from orchestrator.summarizer.results.published import MAIN_TABLES, backbone_key, task_key
from orchestrator.summarizer.results.saved_searches import FoundSearches
from orchestrator.summarizer.results.winner_check import check_winner
from orchestrator.summarizer.summary_json import SCHEMA_FILE, schema_text, summary_text
from orchestrator.summarizer.tables.model import ReportTable
from orchestrator.summarizer.tables.paper_layouts import PaperLayout, paper_layouts
from orchestrator.summarizer.tables.paper_tables import paper_table
from orchestrator.summarizer.tables.result_tables import (
    comparison_table,
    interquartile_table,
    methods_by_tasks,
    score_table,
)
from orchestrator.summarizer.tables.search_tables import compute_table, expected_best_table
from orchestrator.summarizer.tables.trial_tables import configurations
from orchestrator.summarizer.writers import frames, latex, markdown
from trials.errors import UserError, did_you_mean

FORMATS = ("markdown", "latex", "html", "csv", "parquet", "json")
_OTHER_NAMES = {"md": "markdown", "tex": "latex"}
_CONFIGURATIONS = 50  # searches whose trials get a table each; trials.csv has all of them


def make_results(found: FoundSearches, layouts: Sequence[PaperLayout] | None = None) -> ReportResults:
    """Everything that a report shows.

    Args:
        found: the searches, already selected.
        tables: paper_layouts of the paper; left out, those that one of the searches is measured on.
    """
    searches = found.searches
    groups, unused = make_groups(searches)
    unfinished = [search for search in searches if search.record.test is None]
    shown = [layout for layout in paper_layouts() if _is_measured(layout, groups)] if layouts is None else layouts
    compared, notes = compare_methods(groups)
    doubted = tuple(doubts(search.record for search in searches))
    means = interquartile_means(groups)
    titles = {group.task: group.title for group in groups}
    records = [search.record for search in searches if search.record.trials]
    tables: list[ReportTable] = [methods_by_tasks(groups, unfinished)] if groups else []
    tables += [paper_table(layout, groups, unfinished) for layout in shown]
    if groups:
        scores = score_table(groups)
        tables.append(replace(scores, notes=(*doubted, *scores.notes)))
    if compared or notes:
        tables.append(comparison_table(compared, notes, titles))
    if len(means) > 1:
        tables.append(interquartile_table(means, titles))
    if records:
        tables += [expected_best_table(records), compute_table(records)]
    of_trials = _unique_names([configurations(record) for record in records[:_CONFIGURATIONS]])
    if len(records) > _CONFIGURATIONS:
        unused = (*unused, f"tables of trials of {len(records) - _CONFIGURATIONS} searches: trials.csv has them")
    left_out = (*unused, *found.unread)
    return ReportResults(searches, groups, compared, means, tuple(tables), of_trials, (*doubted, *notes), left_out)


def write_report(results: ReportResults, folder: str | os.PathLike[str], forms: Iterable[str] = FORMATS) -> list[Path]:
    """Write the report into ``folder``, replacing an older one; returns its files, the ones to read first."""
    folder = Path(folder)
    writers: dict[str, Callable[[ReportResults, Path], list[Path]]] = {
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
        UserError: a form that there is not; every wrong one is named.
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


def headline(results: ReportResults) -> list[str]:
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
    found = [(record.name, check_winner(record)) for record in records if record.test is not None]
    return [f"{name}: {one.headline}" for name, one in found if not one.recommended]


def _is_measured(layout: PaperLayout, groups: Sequence[SearchGroup]) -> bool:
    """Whether searches belong into a table: into a main one by their task, into an analysis by its backbone, too."""
    here = [group for group in groups if task_key(group.task) in layout.tasks]
    if layout.table in MAIN_TABLES:
        return bool(here)
    backbone = backbone_key(layout.field_of("backbone"))
    found = paper_table(layout, [group for group in here if backbone_key(group.backbone) == backbone])
    return any(cell.kind == "measured" for _, _, cell in found.cells())


def _markdown(results: ReportResults, folder: Path) -> list[Path]:
    notes = [] if results.title else headline(results)
    text = markdown.document(_title(results), results.all_tables, notes)
    return [write_atomically(folder / "report.md", text)]


def _latex(results: ReportResults, folder: Path) -> list[Path]:
    paths = [write_atomically(folder / "report.tex", latex.document(_title(results), results.all_tables))]
    return paths + [
        write_atomically(folder / "tables" / f"{table.name}.tex", latex.render(table)) for table in results.all_tables
    ]


def _html(results: ReportResults, folder: Path) -> list[Path]:
    from orchestrator.summarizer.page import write_results_page  # it brings the libraries of its charts

    return [write_results_page(results.records, folder / "report.html", results)]


def _json(results: ReportResults, folder: Path) -> list[Path]:
    return [
        write_atomically(folder / "summary.json", summary_text(results)),
        write_atomically(folder / SCHEMA_FILE, schema_text()),
    ]


def _csv(results: ReportResults, folder: Path) -> list[Path]:
    return [frames.write_csv(rows, folder / f"{name}.csv") for name, rows in frames.frames(results).items() if rows]


def _parquet(results: ReportResults, folder: Path) -> list[Path]:
    found: dict[str, list[dict[str, Any]]] = frames.frames(results)
    return [write_parquet(rows, folder / f"{name}.parquet") for name, rows in found.items() if rows]


def _title(results: ReportResults) -> str:
    if results.title:
        return results.title
    if len(results.records) == 1:
        return f"Report on {formats.line(results.records[0].name)}"
    return f"Report on {_count(len(results.records), 'search', 'searches')}"


def _unique_names(tables: Sequence[ReportTable]) -> tuple[ReportTable, ...]:
    """Two searches of one name must not write over each other's table."""
    taken: set[str] = set()
    unique = []
    for table in tables:
        name, number = table.name, 2
        while name in taken:
            name, number = f"{table.name}-{number}", number + 1
        taken.add(name)
        unique.append(replace(table, name=name))
    return tuple(unique)


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
