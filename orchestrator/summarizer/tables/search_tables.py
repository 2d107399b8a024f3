"""Tables of searches: configurations with scores by budget, the compute they took, the expected best of k trials."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.record import formats
from orchestrator.record.record import SearchRecord, TrialRecord, is_finite
from orchestrator.record.selection import choose_winner
from orchestrator.record.status import TrialStatus
from orchestrator.summarizer.results.facts import split_configuration
from orchestrator.summarizer.results.groups import method_title
from orchestrator.summarizer.results.model import Cell, Column, Grid, Row
from orchestrator.summarizer.results.seed_statistics import expected_best
from orchestrator.summarizer.results.winner_check import find

_TAKEN_OVER = "reused-"  # how the ids of trials begin that `orchestrator.run.reuse` takes over from earlier searches
_BUDGETS = 6  # columns of scores by budget: more do not fit on a page
_SHOWN = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024)
_TEXTS = {"rank", "status", "why stopped", "search", "task", "method", "backbone", "note"}


def configurations(record: SearchRecord) -> Grid:
    """The trials of a search, ranked: rank, values, scores by budget, status, why stopped."""
    choice = choose_winner(record)
    names, fixed = split_configuration(record.trials)
    budgets = _budgets(record.trials)
    seeds = len({trial.seed for trial in record.trials}) > 1
    near = {trial.trial_id for trial in choice.not_distinguishable}
    headings = ["rank", "trial", *names, *(["seed"] if seeds else [])]
    columns = [Column(name, numeric=name not in _TEXTS) for name in headings]
    columns += [Column(f"{budget:,}", "best up to step") for budget in budgets]
    columns += [Column(name, numeric=name not in _TEXTS) for name in ("best", "at step", "status", "why stopped")]
    rows = []
    for rank, trial in enumerate(choice.ranking, 1):
        mark = " *" if choice.wins(trial) else " =" if trial.trial_id in near else ""
        cells = [Cell(f"{rank}{mark}"), Cell(str(trial.number))]
        cells += [Cell(formats.value(trial.configuration.get(name))) for name in names]
        cells += [Cell(str(trial.seed))] if seeds else []
        cells += [_score(_best_up_to(trial, budget)) for budget in budgets]
        cells += [_score(trial.best_score), Cell(formats.whole(trial.best_step))]
        cells += [Cell(trial.status), Cell(formats.shortened(trial.reason or trial.error, 120))]
        rows.append(Row(tuple(cells)))
    headline = find(record, choice).headline
    notes = [headline] if headline != choice.note else []
    notes += [f"{record.metric} on validation. * winner; = not distinguishable from it on validation."]
    notes += [f"In every trial: {formats.pairs(fixed)}."] if fixed else []
    notes += [choice.note] if choice.note else []
    return Grid(
        f"configurations-{slug(record.name)}",
        f"Configurations of {record.name}: {method_title(record.method)}, {record.task_title}, {record.backbone}",
        tuple(columns),
        tuple(rows),
        tuple(notes),
    )


@dataclass(frozen=True)
class Spent:
    """What a search took, and what it did not have to take.

    Attributes:
        steps, grid: updates trained here, and of all these trials at the full budget.
        early: updates saved by early stopping.
        other: updates not trained because a trial waits, broke or was interrupted.
        reused: updates taken over from an earlier search.
        device_seconds: training and evaluation; trials that share a device count their shares of its time.
        stacking: device seconds saved by sharing a device, against a search of the same report whose trials had one for
            themselves; None where there is no such search.
    """

    steps: int
    grid: int
    early: int
    other: int
    reused: int
    device_seconds: float
    stacking: float | None


def spent(record: SearchRecord, others: Sequence[SearchRecord] = ()) -> Spent:
    """Count a search's steps and device time; ``others`` are where a search without a stack is looked for."""
    budget = int(record.settings.get("steps") or 0)
    reused = {trial.trial_id: _reused(trial) for trial in record.trials}
    steps = sum(trial.step - reused[trial.trial_id] for trial in record.trials)
    here = [trial for trial in record.trials if not reused[trial.trial_id]]
    unspent = {trial.trial_id: max(budget - trial.step, 0) for trial in record.trials}
    early = sum(unspent[trial.trial_id] for trial in record.trials if trial.status is TrialStatus.STOPPED_EARLY)
    alone = [_pace(other) for other in others if other is not record and _alone(other) and _alike(other, record)]
    stacking = None
    if alone and _stacked(record):
        stacking = (sum(alone) / len(alone) - _pace(record)) * steps
    return Spent(
        steps=steps,
        grid=budget * len(record.trials),
        early=early,
        other=sum(unspent.values()) - early,
        reused=sum(reused.values()),
        device_seconds=sum(trial.train_seconds + trial.evaluation_seconds for trial in here),
        stacking=stacking,
    )


def compute(records: Sequence[SearchRecord]) -> Grid:
    """One row a search: steps and device-hours against all trials trained whole, and what saved how much."""
    names = ["search", "trials", "steps", "all whole", "share", "early stopping", "reuse", "not trained"]
    names += ["device-hours", "stacking", "wall time"]
    rows = []
    for record in records:
        took = spent(record, records)
        cells = [record.name, formats.whole(len(record.trials)), formats.whole(took.steps), formats.whole(took.grid)]
        cells += [_share(part, took.grid) for part in (took.steps, took.early, took.reused, took.other)]
        hours = took.device_seconds / 3600
        cells += [f"{hours:,.2f}", formats.duration(took.stacking), formats.duration(record.wall_seconds)]
        rows.append(Row(tuple(Cell(cell) for cell in cells)))
    notes = (
        "All whole: steps of these trials if each trained its full budget. Early stopping, reuse, not trained: shares "
        "of them that were saved by stopping poor trials, taken over from earlier searches, or "
        "lost because a trial broke, was interrupted or waits.",
        "Device-hours: training and evaluation; trials that share a device count their shares. Stacking: device time "
        "saved by sharing, known where the report has the same search with one trial a device.",
    )
    columns = tuple(
        Column(name, "saved, share of all whole" if name in ("early stopping", "reuse") else "", name not in _TEXTS)
        for name in names
    )
    return Grid("compute", "Compute", columns, tuple(rows), notes)


@dataclass(frozen=True)
class Curve:
    """The expected best validation score of k trials out of a search's.

    Attributes:
        values: in points, for k from 1.
        note: what the estimate does not know; empty where all trials trained the full budget.
    """

    values: list[float]
    note: str


def expected_best_of(record: SearchRecord) -> Curve:
    """The expected best validation score against the number of trials.

    A trial that diverged or failed counts as the lowest score of the others: it is no better than that to whoever draws
    it. One that was stopped early counts with the best score up to its stop.
    """
    done = [trial for trial in record.trials if trial.status.is_over]
    usable = {t.trial_id: t.best_score for t in done if t.status.may_win}
    scores = [score for score in usable.values() if score is not None]
    if not scores:
        return Curve([], "no trial has a score")
    broken = len(done) - len(scores)
    early = sum(trial.status is TrialStatus.STOPPED_EARLY for trial in done)
    notes = []
    if early:
        notes.append(
            f"{early} of {len(done)} trials were stopped early and count with the score up to their stop, so "
            "the values are at most what full trainings would give"
        )
    if broken:
        notes.append(f"{broken} broken trials count as the lowest score of the others")
    if len(done) < len(record.trials):
        notes.append(f"{len(record.trials) - len(done)} trials are not done")
    return Curve(expected_best(scores + [min(scores)] * broken), "; ".join(notes))


def expected_best_grid(records: Sequence[SearchRecord]) -> Grid:
    """One row a search, at round numbers of trials and at all of them."""
    curves = {id(record): expected_best_of(record) for record in records}
    longest = max((len(curve.values) for curve in curves.values()), default=0)
    counts = [count for count in _SHOWN if count < longest] + ([longest] if longest else [])
    rows = []
    for record in records:
        values = curves[id(record)].values
        cells = [_score(values[count - 1] if count <= len(values) else None) for count in counts]
        rows.append(Row((Cell(record.name), *cells, Cell(curves[id(record)].note))))
    columns = [Column("search", numeric=False), *(Column(str(count), "trials") for count in counts)]
    note = (
        "Expected best validation score of that many of a search's trials, drawn at random without replacement "
        "(unbiased; Tang et al., ACL 2020)."
    )
    columns.append(Column("note", numeric=False))
    return Grid(
        "expected-best", "Expected best score against the number of trials", tuple(columns), tuple(rows), (note,)
    )


def slug(name: str) -> str:
    """A search's name as part of a file's name and of a LaTeX label."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "search"


def _score(value: float | None) -> Cell:
    return Cell(formats.score(value), "label" if value is not None else "missing", value)


def _best_up_to(trial: TrialRecord, step: int) -> float | None:
    """What a rung at this step compares: the best score so far; None where the trial ended before."""
    seen = [report.get("score") for report in trial.reports if report["step"] <= step]
    seen += [report.get("best_score") for report in trial.reports if (report.get("best_step") or step + 1) <= step]
    finite = [float(score) for score in seen if score is not None and is_finite(score)]
    return max(finite, default=None) if trial.step >= step else None


def _budgets(trials: Sequence[TrialRecord]) -> list[int]:
    """Steps at which trials reported, thinned out evenly to a few with the last one among them."""
    steps = sorted({int(report["step"]) for trial in trials for report in trial.reports})
    if len(steps) <= _BUDGETS:
        return steps
    places = {round(place * (len(steps) - 1) / (_BUDGETS - 1)) for place in range(_BUDGETS)}
    return [step for place, step in enumerate(steps) if place in places]


def _share(part: float, whole: float) -> str:
    return f"{100.0 * part / whole:.1f} %" if whole else formats.MISSING


def _reused(trial: TrialRecord) -> int:
    return trial.step if trial.trial_id.startswith(_TAKEN_OVER) else 0


def _alone(record: SearchRecord) -> bool:
    return str(record.provenance.get("slots")) == "1"


def _stacked(record: SearchRecord) -> bool:
    return str(record.provenance.get("slots", "1")) != "1"


def _alike(one: SearchRecord, other: SearchRecord) -> bool:
    settings = ("batch_size", "max_source_length", "precision")
    same = all(one.settings.get(name) == other.settings.get(name) for name in settings)
    hardware = all(one.provenance.get(name) == other.provenance.get(name) for name in ("cpu", "gpu"))
    return same and hardware and (one.task, one.method, one.backbone) == (other.task, other.method, other.backbone)


def _pace(record: SearchRecord) -> float:
    """Device seconds a training step, without evaluation."""
    trials = [trial for trial in record.trials if not _reused(trial)]
    steps = sum(trial.step for trial in trials)
    return sum(trial.train_seconds for trial in trials) / steps if steps else 0.0
