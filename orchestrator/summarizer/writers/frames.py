"""The same tables as data: CSV for a spreadsheet, Parquet for a data frame, both with numbers as they are."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator.record.selection import choose_winner
from orchestrator.record.strict_json import write_atomically
from orchestrator.summarizer.results.model import Grid, Results
from orchestrator.summarizer.results.seed_statistics import estimate
from orchestrator.summarizer.writers.spreadsheet import comma_separated

Rows = list[dict[str, Any]]


def frames(results: Results) -> dict[str, Rows]:
    """Tidy rows by name: ``tables`` (a row a cell), ``scores`` (a row a test score), ``trials``, ``comparisons``."""
    return {
        "tables": [row for grid in results.grids for row in table_rows(grid)],
        "scores": score_rows(results),
        "trials": trial_rows(results),
        "comparisons": [asdict(comparison) for comparison in results.comparisons],
    }


def table_rows(grid: Grid) -> Rows:
    """A row for each cell that is no label."""
    labels = [place for place, column in enumerate(grid.columns) if not column.numeric]
    rows: Rows = []
    for number, row in enumerate(grid.rows, 1):
        named = {grid.columns[place].label: row.cells[place].text for place in labels}
        for column, cell in zip(grid.columns, row.cells, strict=True):
            if column.numeric:
                rows.append(
                    {
                        "table": grid.name,
                        "row": number,
                        "section": row.section,
                        "label": next(iter(named.values()), ""),
                        "group": column.group,
                        "column": column.label,
                        "kind": cell.kind,
                        "text": cell.text,
                        "value": cell.value,
                        "sd": float(cell.spread) if cell.spread else None,
                        "seeds": cell.n or None,
                        "one_example": cell.one_example,
                        "mark": cell.mark,
                    }
                )
    return rows


def score_rows(results: Results) -> Rows:
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


def trial_rows(results: Results) -> Rows:
    """A row for each trial of each search, with its configuration as JSON."""
    rows: Rows = []
    for search in results.searches:
        record, choice = search.record, choose_winner(search.record)
        for rank, trial in enumerate(choice.ranking, 1):
            rows.append(
                {
                    "search": record.name,
                    "task": record.task,
                    "method": record.method,
                    "backbone": record.backbone,
                    "rank": rank,
                    "trial": trial.number,
                    "seed": trial.seed,
                    "winner": trial is choice.winner,
                    "status": trial.status,
                    "reason": trial.reason,
                    "parameters": record.parameters.get(trial.number),
                    "best_score": trial.best_score,
                    "best_step": trial.best_step,
                    "last_step": trial.step,
                    "train_seconds": trial.train_seconds,
                    "evaluation_seconds": trial.evaluation_seconds,
                    "configuration": json.dumps(trial.configuration, default=str),
                }
            )
    return rows


def write_csv(rows: Sequence[dict[str, Any]], path: str | os.PathLike[str]) -> Path:
    """A CSV file, put in place in one step; empty where there are no rows."""
    names = list(rows[0]) if rows else []
    text = comma_separated(names, ([row[name] for name in names] for row in rows)) if rows else ""
    return write_atomically(path, text)
