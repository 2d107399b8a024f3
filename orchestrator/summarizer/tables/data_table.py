"""The data report as people read it: lines for a terminal, a table for the page, warnings for both."""

from __future__ import annotations

from orchestrator.record import formats
from orchestrator.record.data_report import COUNTS
from orchestrator.summarizer.results.facts import Table
from trials.data.report import DataReport


def data_table(report: DataReport) -> Table:
    """A column a split, a row a count."""
    splits = list(report.splits.values())
    rows = [["rows", *(formats.whole(split.rows) for split in splits)]]
    for text in splits[0].classes if splits else []:
        rows.append([f"class {report.label(text)}", *(formats.whole(split.classes.get(text, 0)) for split in splits)])
    rows.append(["tokens", *(formats.whole(split.tokens) for split in splits)])
    for key, label in COUNTS.items():
        rows.append([label, *(formats.whole(getattr(split, key)) for split in splits)])
    return Table(["", *report.splits], [False, *(True for _ in splits)], rows)
