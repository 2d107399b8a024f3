"""The same tables as data: CSV for a spreadsheet, Parquet for a data frame, both with numbers as they are."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator.record.record import SearchRecord
from orchestrator.record.selection import Choice, choose_winner
from orchestrator.record.strict_json import write_atomically
from orchestrator.summarizer.report_results import ReportResults
from orchestrator.summarizer.results.ranked_trials import FIELDS, ranked_trials
from orchestrator.summarizer.results.seed_statistics import estimate
from orchestrator.summarizer.tables.model import ReportTable
from orchestrator.summarizer.writers.spreadsheet import comma_separated

Rows = list[dict[str, Any]]


def frames(results: ReportResults) -> dict[str, Rows]:
    """Tidy rows by name: ``tables`` (a row a cell), ``scores`` (a row a test score), ``trials``, ``comparisons``."""
    return {
        "tables": [row for table in results.tables for row in table_rows(table)],
        "scores": score_rows(results),
        "trials": trial_rows(results),
        "comparisons": [asdict(comparison) for comparison in results.comparisons],
    }


def table_rows(table: ReportTable) -> Rows:
    """A row for each cell that is no label."""
    labels = [place for place, column in enumerate(table.columns) if not column.numeric]
    rows: Rows = []
    for number, row in enumerate(table.rows, 1):
        named = {table.columns[place].label: row.cells[place].text for place in labels}
        for column, cell in zip(table.columns, row.cells, strict=True):
            if column.numeric:
                rows.append(
                    {
                        "table": table.name,
                        "row": number,
                        "section": row.section,
                        "label": next(iter(named.values()), ""),
                        "group": column.group,
                        "column": column.label,
                        "kind": cell.kind,
                        "text": cell.text,
                        "value": cell.value,
                        "sd": cell.sd,
                        "seeds": cell.n or None,
                        "one_example": cell.one_example,
                        "mark": cell.highlight,
                    }
                )
    return rows


def score_rows(results: ReportResults) -> Rows:
    """A row for each seed of each group."""
    rows: Rows = []
    for group in results.groups:
        scores = group.scores()
        mean = estimate(list(scores.values())).mean
        for seed, score in scores.items():
            record = group.by_seed[seed].record
            identity = {"task": group.task, "method": group.method, "backbone": group.backbone}
            rows.append(
                {
                    **identity,
                    "recipe": group.recipe,
                    "metric": group.metric,
                    "seed": seed,
                    "score": score,
                    "mean": mean,
                    "n": record.test.n if record.test is not None else None,
                    "one_example": group.one_example,
                    "search": record.name,
                    "settings": json.dumps(group.settings, default=str),
                }
            )
    return rows


def trial_rows(results: ReportResults) -> Rows:
    """A row for each trial of each search, with its configuration as JSON."""
    return [
        {
            "search": record.name,
            "task": record.task,
            "method": record.method,
            "backbone": record.backbone,
            **ranked.fields,
            "configuration": json.dumps(ranked.trial.configuration, default=str),
        }
        for record in results.records
        for ranked in ranked_trials(record, choose_winner(record))
    ]


def configuration_csv(record: SearchRecord, choice: Choice) -> str:
    """The trials of one search as CSV, ranked, with a column a hyperparameter."""
    names = list(dict.fromkeys(name for trial in record.trials for name in trial.configuration))
    rows = []
    for ranked in ranked_trials(record, choice):
        configuration = ranked.trial.configuration
        fields = [int(value) if isinstance(value, bool) else value for value in ranked.fields.values()]
        rows.append([*fields, *(_raw(configuration.get(name)) for name in names)])
    return comma_separated([*FIELDS, *(f"configuration/{name}" for name in names)], rows)


def write_csv(rows: Rows, path: str | os.PathLike[str]) -> Path:
    """A CSV file, put in place in one step; empty where there are no rows."""
    return write_atomically(path, comma_separated(list(rows[0]), (list(row.values()) for row in rows)) if rows else "")


def _raw(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list | tuple | bool) else value
