"""The trials of a search as one table: for the summary and its page, and for a report with scores by budget."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from orchestrator.record import formats
from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.selection import Choice, choose_winner
from orchestrator.summarizer.results.groups import method_title
from orchestrator.summarizer.results.ranked_trials import RankedTrial, best_up_to, ranked_trials, split_configuration
from orchestrator.summarizer.results.winner_check import check_winner
from orchestrator.summarizer.tables.model import Cell, Column, ReportTable, Row

_BUDGETS = 6  # columns of scores by budget: more do not fit on a page
_SUMMARY_ONLY = ("parameters", "mean", "last step", "train s")  # where scores by budget need the room

TrialColumn = tuple[Column, Callable[[RankedTrial], Cell]]


def trial_table(record: SearchRecord, choice: Choice, notes: Sequence[str] = ()) -> ReportTable:
    """All trials, ranked: configuration, parameters, scores, steps, time, status and the reason for it."""
    return _table(record, choice, [*_columns(record, choice, reason=200)], "trials", notes)


def configurations(record: SearchRecord) -> ReportTable:
    """The trials of a search, ranked, with their best scores at several budgets."""
    choice = choose_winner(record)
    _, fixed = split_configuration(record.trials)
    columns = [column for column in _columns(record, choice, reason=120) if column[0].label not in _SUMMARY_ONLY]
    at = next(place for place, (column, _) in enumerate(columns) if column.label == "best")
    columns[at:at] = [
        (Column(f"{budget:,}", "best up to step"), partial(_score_up_to, budget)) for budget in _budgets(record.trials)
    ]
    headline = check_winner(record, choice).headline
    notes = [headline] if headline != choice.note else []
    notes += [f"{record.metric} on validation. * winner; = not distinguishable from it on validation."]
    notes += [f"In every trial: {formats.pairs(fixed)}."] if fixed else []
    notes += [choice.note] if choice.note else []
    return _table(record, choice, columns, f"configurations-{slug(record.name)}", notes)


def slug(name: str) -> str:
    """A search's name as part of a file's name and of a LaTeX label."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "search"


def _table(
    record: SearchRecord, choice: Choice, columns: Sequence[TrialColumn], name: str, notes: Sequence[str]
) -> ReportTable:
    title = f"Configurations of {record.name}: {method_title(record.method)}, {record.task_title}, {record.backbone}"
    rows = [Row(tuple(cell(one) for _, cell in columns)) for one in ranked_trials(record, choice)]
    return ReportTable(name, title, tuple(column for column, _ in columns), tuple(rows), tuple(notes))


def _columns(record: SearchRecord, choice: Choice, reason: int) -> Iterator[TrialColumn]:
    """Each column with what its cells hold; the reason in at most so many characters."""
    yield Column("rank", numeric=False), lambda one: _number(one.rank, one.label)
    yield Column("trial"), lambda one: _number(one.trial.number)
    for name in split_configuration(record.trials)[0]:
        values = [trial.configuration.get(name) for trial in record.trials]
        is_text = any(value is not None and not isinstance(value, int | float) for value in values)
        yield Column(name, numeric=not is_text), partial(_configured, name)
    if len({trial.seed for trial in record.trials}) > 1:
        yield Column("seed"), lambda one: _number(one.trial.seed)
    yield Column("parameters"), lambda one: _whole(one.parameters)
    yield Column("best"), lambda one: _score(one.trial.best_score)
    if choice.candidates:
        yield Column("mean"), lambda one: _score(one.mean)
    yield Column("at step"), lambda one: _whole(one.trial.best_step)
    yield Column("last step"), lambda one: _whole(one.trial.step)
    yield Column("train s"), lambda one: _seconds(one.trial.train_seconds)
    yield Column("status", numeric=False), lambda one: Cell(one.trial.status)
    why = "why"
    yield Column(why, numeric=False), lambda one: Cell(formats.shortened(one.trial.reason or one.trial.error, reason))


def _number(value: Any, text: str = "") -> Cell:
    finite = isinstance(value, int | float) and math.isfinite(value)
    return Cell(text or str(value), value=float(value) if finite else None)


def _configured(name: str, one: RankedTrial) -> Cell:
    value = one.trial.configuration.get(name)
    return _number(value, formats.value(value))


def _whole(value: int | None) -> Cell:
    return _number(value, formats.whole(value))


def _score(value: float | None) -> Cell:
    return Cell(formats.score(value), "label" if value is not None else "missing", value)


def _score_up_to(budget: int, one: RankedTrial) -> Cell:
    return _score(best_up_to(one.trial, budget))


def _seconds(value: float) -> Cell:
    return _number(value, f"{value:,.1f}" if value < 100 else formats.whole(value))


def _budgets(trials: Sequence[TrialRecord]) -> list[int]:
    """Steps at which trials reported, thinned out evenly to a few with the last one among them."""
    steps = sorted({int(report["step"]) for trial in trials for report in trial.reports})
    if len(steps) <= _BUDGETS:
        return steps
    places = {round(place * (len(steps) - 1) / (_BUDGETS - 1)) for place in range(_BUDGETS)}
    return [step for place, step in enumerate(steps) if place in places]
