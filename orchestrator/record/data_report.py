"""The data report as a terminal shows it: lines, and a line a warning."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.record import formats
from orchestrator.record.record import SearchRecord
from trials.data.report import DataReport

COUNTS = {
    "unknown_tokens": "unknown tokens",
    "cut_rows": "rows cut at the longest source",
    "control_rows": "rows that spell control tokens",
    "merged_rows": "rows with the tokens of another text",
    "conflicting_rows": "rows with the tokens of another class",
    "repeated_rows": "rows that repeat an earlier one",
    "in_train_rows": "rows that are in train, too",
    "in_validation_rows": "rows that are in validation, too",
    "cut_targets": "targets longer than an answer may be",
    "lost_targets": "targets that the tokenizer cannot write",
}
OF_OPEN_TARGETS = frozenset({"cut_targets", "lost_targets"})
"""Counts that say nothing of labels: all of their texts are checked before anything starts."""
_CLASSES_SHOWN = 6


def data_report(record: SearchRecord) -> DataReport | None:
    """What a record knows of its data; None where it is from before there were reports."""
    return DataReport.from_dict(record.data_report) if record.data_report else None


def data_lines(report: DataReport) -> Iterator[str]:
    """A line a split, with its classes and those counts that are not 0 and need no warning; and a line a warning."""
    warned = {rule.count for rule in report.bad}
    for name, split in report.splits.items():
        classes = [f"{report.label(text)}: {formats.whole(n)}" for text, n in split.classes.items()]
        more = f", and {len(classes) - _CLASSES_SHOWN} more" if len(classes) > _CLASSES_SHOWN else ""
        parts = [f"{formats.whole(split.rows)} rows"]
        parts += [f"classes {', '.join(classes[:_CLASSES_SHOWN])}{more}"] if classes else []
        parts += [
            f"{formats.whole(n)} {label}"
            for key, label in COUNTS.items()
            if key not in warned and (n := getattr(split, key))
        ]
        yield formats.line(f"data: {name}: {'; '.join(parts)}")
    for warning in report.warnings:
        yield formats.line(f"warning: {warning}")
