"""Tables of searches: compute, expected best of k trials, the paper's numbers for a task, what is in the data."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.record import formats
from orchestrator.record.data_report import COUNTS, OF_OPEN_TARGETS
from orchestrator.record.record import SearchRecord
from orchestrator.summarizer.results.compute import spent
from orchestrator.summarizer.results.expected_best import expected_best_of
from orchestrator.summarizer.results.published import printed, published_of
from orchestrator.summarizer.tables.model import Cell, Column, ReportTable, Row, table_of
from trials.data.report import DataReport

_TRIALS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024)  # numbers of trials that have a column


def compute_table(records: Sequence[SearchRecord]) -> ReportTable:
    """One row a search: steps and device-hours against all trials trained whole, and what saved how much."""
    names = ["search", "trials", "steps", "all whole", "share", "early stopping", "reuse", "not trained"]
    names += ["device-hours", "stacking", "wall time"]
    rows = []
    for record in records:
        took = spent(record, records)
        cells = [record.name, formats.whole(len(record.trials)), formats.whole(took.steps), formats.whole(took.grid)]
        cells += [formats.share(part, took.grid) for part in (took.steps, took.early, took.reused, took.other)]
        hours = took.device_seconds / 3600
        cells += [f"{hours:,.2f}", formats.duration(took.stacking), formats.duration(record.wall_seconds)]
        rows.append(Row(tuple(map(Cell, cells))))
    notes = (
        "All whole: steps of these trials if each trained its full budget. Early stopping, reuse, not trained: shares "
        "of them that were saved by stopping poor trials, copied from earlier searches, or lost "
        "because a trial broke, was interrupted or waits.",
        "Device-hours: training and evaluation; trials that share a device count their shares. Stacking: device time "
        "saved by sharing, known where the report has the same search with one trial a device.",
    )
    saved = ("early stopping", "reuse")
    headings = tuple(
        Column(name, "saved, share of all whole" if name in saved else "", name != "search") for name in names
    )
    return ReportTable("compute", "Compute", headings, tuple(rows), notes)


def expected_best_table(records: Sequence[SearchRecord]) -> ReportTable:
    """One row a search, at round numbers of trials and at all of them."""
    curves = {id(record): expected_best_of(record) for record in records}
    longest = max((len(curve.values) for curve in curves.values()), default=0)
    counts = [count for count in _TRIALS if count < longest] + ([longest] if longest else [])
    rows = []
    for record in records:
        values = curves[id(record)].values
        cells = [_score(values[count - 1] if count <= len(values) else None) for count in counts]
        rows.append(Row((Cell(record.name), *cells, Cell(curves[id(record)].note))))
    headings = [Column("search", numeric=False), *(Column(str(count), "trials") for count in counts)]
    note = (
        "Expected best validation score of that many of a search's trials, drawn at random without replacement "
        "(unbiased; Tang et al., ACL 2020)."
    )
    headings.append(Column("note", numeric=False))
    title = "Expected best score against the number of trials"
    return ReportTable("expected-best", title, tuple(headings), tuple(rows), (note,))


def published_table(record: SearchRecord) -> ReportTable:
    """What the paper prints for this task, all methods."""
    rows = [
        {
            "method": row.method,
            "setting": row.setting.replace("_", " "),
            "backbone": row.backbone,
            "parameters": row.parameters or formats.MISSING,
            "metric": row.metric,
            "score": printed(row.value, row.metric),
            "± (3 runs)": formats.score(row.std),
            "paper's table": str(row.table),
        }
        for row in published_of(record)
    ]
    title = "Quoted from the ADePT paper (arXiv 2501.03291), not run here"
    return table_of("published", title, rows, texts=("method", "setting", "backbone", "metric"))


def data_table(report: DataReport) -> ReportTable:
    """A column a split, a row a count."""
    splits = list(report.splits.values())
    counts = {"rows": [split.rows for split in splits]}
    for text in splits[0].classes if splits else []:
        counts[f"class {report.label(text)}"] = [split.classes.get(text, 0) for split in splits]
    counts["tokens"] = [split.tokens for split in splits]
    labelled = bool(splits and splits[0].classes)
    shown = {key: label for key, label in COUNTS.items() if not (labelled and key in OF_OPEN_TARGETS)}
    counts |= {label: [getattr(split, key) for split in splits] for key, label in shown.items()}
    rows = [{"": label, **dict(zip(report.splits, map(formats.whole, n), strict=True))} for label, n in counts.items()]
    title = "Rows as they were trained on and scored, counted before the first trial"
    return table_of("data", title, rows, texts=("",))


def _score(value: float | None) -> Cell:
    return Cell(formats.score(value), "label" if value is not None else "missing", value)
