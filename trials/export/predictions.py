"""What an adapter answers: rows checked by number, the user's own labels, and how sure the backbone is of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trials.errors import UserError
from trials.tasks.targets import Kind, as_number

SHOWN = 20
"""Numbers of rows that a message names at most."""

NO_ROWS = {
    str: ("one text is given", "[TEXT]"),
    bytes: ("bytes are given", "[TEXT]"),
    Mapping: ("one row is given", "[ROW]"),
}
"""What Python would walk through by its characters or the names of its columns, and answer each of those."""

AS_ROWS = "TABLE.to_dict('records') (pandas), TABLE.to_dicts() (Polars) or TABLE.to_pylist() (pyarrow)"

Row = str | Mapping[str, str]
"""A row of a task, by columns; or its text, where the template has one column."""


@dataclass(frozen=True)
class Prediction:
    """The answer to one row.

    Attributes:
        answer: what the backbone writes, by greedy decoding, as in evaluation.
        label: the user's label of that text; of tasks without labels, the text or the number itself. None where the
            answer is none of the task's target texts, or no number.
        probability: of the label; None where there is none.
        probabilities: of the label of each target text: the backbone's probability of the text (the product over its
            tokens, the end included) divided by the sum over all of the task's. They add up to 1; how well they are
            calibrated is not known. Labels that share a target text share its probability, under the first of them.
            Empty where a text or a number is answered.
    """

    answer: str
    label: str | None
    probability: float | None
    probabilities: Mapping[str, float]


def predictions(answers: Sequence[str], likelihoods: np.ndarray, labels: Mapping[str, str]) -> list[Prediction]:
    """Answers with labels and probabilities.

    Args:
        likelihoods: logarithms of the probability of each target text, in nats, shape (rows, targets).
        labels: target text -> label, in the order of the likelihoods.
    """
    shares = np.exp(likelihoods - likelihoods.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    found = []
    for answer, row in zip(answers, shares.tolist(), strict=True):
        probabilities = dict(zip(labels.values(), row, strict=True))
        label = labels.get(answer)
        found.append(Prediction(answer, label, None if label is None else probabilities[label], probabilities))
    return found


def as_answered(answers: Sequence[str], kind: Kind) -> list[Prediction]:
    """Answers of a task that asks for a text or a number."""
    wrong = [kind == "number" and math.isnan(as_number(answer)) for answer in answers]
    return [Prediction(a, None if no else a, None, {}) for a, no in zip(answers, wrong, strict=True)]


def faults(rows: Iterable[Row], columns: Sequence[str]) -> dict[int, str]:
    """What is wrong with rows, by their numbers from 0: a column that is not there, is null or holds no text."""
    found: dict[int, str] = {}
    for number, row in enumerate(rows):
        if isinstance(row, str):
            if len(columns) != 1:
                found[number] = f"the template has the columns {', '.join(columns)}: give rows as mappings, not texts"
            continue
        if gone := [name for name in columns if name not in row]:
            found[number] = f"lacks the column(s) {', '.join(gone)} of the template; it has {', '.join(row) or 'none'}"
        elif nulls := [name for name in columns if row[name] is None]:
            found[number] = f"column '{nulls[0]}' is null; fill in the text"
        elif other := [name for name in columns if not isinstance(row[name], str)]:
            found[number] = f"column '{other[0]}' holds {row[other[0]]!r}, not text; write it as a string"
    return found


def sentences(found: Mapping[int, str]) -> list[str]:
    """What is wrong, a sentence a kind, each with its rows."""
    by_kind: dict[str, list[int]] = {}
    for number, fault in found.items():
        by_kind.setdefault(fault, []).append(number)
    return [f"{numbered(rows)}: {fault}" for fault, rows in by_kind.items()]


def numbered(rows: Sequence[int]) -> str:
    """Such as ``3 rows (4, 9, 11; the first row is 0)``."""
    shown = ", ".join(map(str, rows[:SHOWN])) + (", ..." if len(rows) > SHOWN else "")
    return f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'} ({shown}; the first row is 0)"


def by_columns(rows: Sequence[Row], columns: Sequence[str]) -> list[Mapping[str, str]]:
    """Rows as mappings from the template's columns.

    Raises:
        UserError: with every row that is wrong; or they are no rows, but one text, one row, or a table.
    """
    for kind, (what, fix) in NO_ROWS.items():
        if isinstance(rows, kind):
            raise UserError([f"{what}, and predictions are for a list of texts or rows: write {fix}"])
    if hasattr(rows, "columns"):
        raise UserError([f"a table is given, and predictions are for a list of texts or rows: write {AS_ROWS}"])
    if found := faults(rows, columns):
        raise UserError(sentences(found))
    return [{columns[0]: row} if isinstance(row, str) else row for row in rows]
