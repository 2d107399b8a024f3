"""``summary.json``: everything that a report shows, for programs. ``summary.schema.json`` describes it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from importlib import resources
from typing import Any

from orchestrator.record.binomial import interval, standard_error
from orchestrator.record.engines import updates_per_second
from orchestrator.record.record import SearchRecord
from orchestrator.record.selection import choose_winner
from orchestrator.summarizer.report_results import ReportResults
from orchestrator.summarizer.results.compute import spent
from orchestrator.summarizer.results.expected_best import expected_best_of
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.groups import SearchGroup
from orchestrator.summarizer.results.ranked_trials import RankedTrial, ranked_trials
from orchestrator.summarizer.results.seed_statistics import estimate
from orchestrator.summarizer.results.winner_check import check_winner
from orchestrator.summarizer.tables.model import Cell, ReportTable

VERSION = 1  # raised when a reader of the old form could misread the new one
SCHEMA_FILE = "summary.schema.json"
_TRIAL_FIELDS = ("seed", "parameters", "status", "best_score", "best_step", "last_step", "train_seconds",
                 "evaluation_seconds")  # fmt: skip


def summary_text(results: ReportResults) -> str:
    """The document as strict JSON: what is no finite number is null."""
    return json.dumps(_strict(summary(results)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def schema_text() -> str:
    """The JSON Schema (draft 2020-12) that every ``summary.json`` of this version fulfils."""
    return resources.files(__package__).joinpath(SCHEMA_FILE).read_text(encoding="utf-8")


def summary(results: ReportResults) -> dict[str, Any]:
    """The document as Python values."""
    return {
        "$schema": SCHEMA_FILE,
        "version": VERSION,
        "searches": [_search(search, results.records) for search in results.searches],
        "scores": [_group(group) for group in results.groups],
        "comparisons": [asdict(comparison) for comparison in results.comparisons],
        "interquartile_means": [asdict(mean) for mean in results.interquartile_means],
        "tables": [_table(table) for table in results.tables],
        "notes": list(results.notes),
        "left_out": list(results.left_out),
    }


def _search(search: FoundSearch, records: list[SearchRecord]) -> dict[str, Any]:
    record = search.record
    choice = choose_winner(record)
    curve = expected_best_of(record)
    return {
        "name": record.name,
        "task": record.task,
        "method": record.method,
        "backbone": record.backbone,
        "recipe": record.recipe,
        "metric": record.metric,
        "started": search.started.isoformat() if search.started is not None else None,
        "seed": search.seed,
        "settings": record.settings,
        "sizes": record.sizes,
        "majority": record.majority,
        "finding": asdict(check_winner(record, choice)),
        "winner": choice.winner.number if choice.winner is not None else None,
        "not_distinguishable": [trial.number for trial in choice.not_distinguishable],
        "note": choice.note,
        "test": _test(record),
        "trials": [_trial(ranked) for ranked in ranked_trials(record, choice)],
        "expected_best": {"scores": curve.values, "note": curve.note},
        "compute": {
            **asdict(spent(record, records)),
            "wall_seconds": record.wall_seconds,
            "updates_per_second": updates_per_second(record),
            "peak_memory": record.engines.get("peak_memory"),
        },
        "adapter": record.adapter,
        "provenance": record.provenance,
    }


def _trial(ranked: RankedTrial) -> dict[str, Any]:
    trial, fields = ranked.trial, ranked.fields
    return {
        "rank": ranked.rank,
        "number": trial.number,
        "configuration": trial.configuration,
        "reason": trial.reason or trial.error,
        **{name: fields[name] for name in _TRIAL_FIELDS},
    }


def _test(record: SearchRecord) -> dict[str, Any] | None:
    test = record.test
    if test is None:
        return None
    wilson = interval(test.score, test.n, record.metric)
    return {
        "trial": test.trial_number,
        "step": test.step,
        "score": test.score,
        "metrics": test.metrics,
        "n": test.n,
        "one_example": test.one_example,
        "standard_error": standard_error(test.score, test.n, record.metric),
        "interval": list(wilson) if wilson else None,
    }


def _group(group: SearchGroup) -> dict[str, Any]:
    by_seed = group.scores()
    result = estimate(list(by_seed.values()))
    return {
        "task": group.task,
        "method": group.method,
        "backbone": group.backbone,
        "recipe": group.recipe,
        "metric": group.metric,
        "fixed": group.fixed,
        "by_seed": {str(seed): score for seed, score in by_seed.items()},
        "searches": [search.record.name for search in group.by_seed.values()],
        "mean": result.mean,
        "sd": result.sd,
        "interval": [result.low, result.high] if result.low is not None else None,
        "one_example": group.one_example,
        "parameters": group.parameters,
    }


def _table(table: ReportTable) -> dict[str, Any]:
    return {
        "name": table.name,
        "title": table.title,
        "columns": [{"label": column.label, "group": column.group} for column in table.columns],
        "rows": [{"section": row.section, "cells": [_cell(cell) for cell in row.cells]} for row in table.rows],
        "notes": list(table.notes),
        "fill": [{"cells": cells, "command": command or None} for command, cells in table.missing],
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {"mark" if name == "highlight" else name: value for name, value in asdict(cell).items()}


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
