"""What the winner answered on each row of the test split: kept beside the record, so that searches can be paired."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.store.parquet import write_parquet

PREDICTIONS = "predictions.parquet"
"""Its columns: ``trial`` and ``seed``, ``row`` (place in the test split, from 0), ``id``, ``gold``, ``prediction``; and
``group`` where rows belong to groups, ``passed`` (1 or 0) where answers are programs."""
_TEXTS = {"ids": "id", "gold": "gold", "given": "prediction", "groups": "group"}


@dataclass(frozen=True)
class Answers:
    """One training's answers to the test split, in its order.

    Attributes:
        ids: of each row, from the tokens of its source.
        gold: the right answers. given: the ones that the model gave.
        groups: what each row belongs to; empty where there are no groups.
        passed: 1 where an answer is a program that passed its tests, else 0; empty where answers are no programs, and
            of searches from before it was kept.
    """

    ids: tuple[str, ...]
    gold: tuple[str, ...]
    given: tuple[str, ...]
    groups: tuple[str, ...] = ()
    passed: tuple[float, ...] = ()

    def same_questions(self, other: Answers) -> bool:
        """Whether the right answers are the same, row by row."""
        return self.gold == other.gold

    def same_rows(self, other: Answers) -> bool:
        """Whether both are answers to the same rows, read alike, with the same right answers."""
        return (self.ids, self.gold) == (other.ids, other.gold)


def row_ids(sources: Iterable[Any]) -> list[str]:
    """Ids of tokenised sources: SHA-256 of their tokens as int32, cut to 16 digits."""
    import numpy as np

    tokens = (np.asarray(source, dtype="<i4").tobytes() for source in sources)
    return [hashlib.sha256(one).hexdigest()[:16] for one in tokens]


def write_predictions(
    record: SearchRecord,
    folder: str | os.PathLike[str],
    tests: Sequence[tuple[TrialRecord, Mapping[str, Sequence[Any]]]],
) -> Path | None:
    """Write the answers of each training that was tested into ``folder``, and name the file in the record.

    Args:
        tests: each trial with ``ids``, ``gold``, ``given`` and, if there are such, ``group`` and ``passed``; one
            without rows is left out.

    Returns:
        The file; None where there are no rows to write.
    """
    rows = [
        {"trial": trial.number, "seed": trial.seed, "row": place, **dict(zip(_columns(found), row, strict=True))}
        for trial, found in tests
        if found
        for place, row in enumerate(zip(*_columns(found).values(), strict=True))
    ]
    record.predictions = PREDICTIONS if rows else ""
    return write_parquet(rows, Path(folder) / PREDICTIONS) if rows else None


def _columns(found: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    columns = {"id": found["ids"], "gold": found["gold"], "prediction": found["given"]}
    return {**columns, **{name: found[name] for name in ("group", "passed") if name in found}}


def kept_predictions(record: SearchRecord, folder: str | os.PathLike[str]) -> list[Path]:
    """The file that the record names, in a list, if it is there."""
    path = Path(folder) / (record.predictions or PREDICTIONS)
    return [path] if record.predictions and path.is_file() else []


def read_predictions(path: str | os.PathLike[str]) -> dict[int, Answers]:
    """The answers of each trial, by its number; none where the file is not there or cannot be read."""
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(path).to_pylist()
        table.sort(key=lambda row: (row["trial"], row["row"]))
        numbers = dict.fromkeys(row["trial"] for row in table)
        of = {number: [row for row in table if row["trial"] == number] for number in numbers}
        return {number: _answers(rows) for number, rows in of.items()}
    except (OSError, KeyError, ArrowException):
        return {}


def _answers(rows: Sequence[Mapping[str, Any]]) -> Answers:
    """Those of one training, from its rows in their order; a file of before lacks later columns."""
    texts = {field: tuple(str(row[name]) for row in rows) for field, name in _TEXTS.items() if name in rows[0]}
    passed = tuple(float(row["passed"]) for row in rows) if "passed" in rows[0] else ()
    return Answers(**texts, passed=passed)
