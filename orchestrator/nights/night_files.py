"""A night as one Parquet file: a row a cell, and what belongs to the whole night, with its verdict, in the metadata."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter

from orchestrator.nights.night import Cell, Night
from orchestrator.nights.verdict import Finding, Verdict

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1  # raised when a reader of the old form could misread the new one
METADATA = b"adept-search night"
_IN_JSON = ("configuration", "parts")  # columns of names with values: other ones in each row


class KeptNight(NamedTuple):
    """A night as the history has it.

    Attributes:
        verdict: None where it was not judged.
        champions: after this night, each as the night that made it one measured it (`Cell.measured_on`).
        notes: what became of champions in this night, in sentences.
    """

    night: Night
    verdict: Verdict | None = None
    champions: tuple[Cell, ...] = ()
    notes: tuple[str, ...] = ()


class NewerNightError(Exception):
    """A file was written by a later version; ``schema`` is its number."""

    def __init__(self, schema: int) -> None:
        super().__init__(f"schema {schema}")
        self.schema = schema


class DamagedNightError(Exception):
    """A file is no whole night; the message says what is wrong with it."""


def night_bytes(kept: KeptNight) -> bytes:
    """The file of a night."""
    import pyarrow as pa
    from pyarrow import parquet

    header = _nights().dump_python(kept.night, mode="json")
    rows = [_row(cell) for cell in header.pop("cells")]
    findings = None if kept.verdict is None else _findings().dump_python(list(kept.verdict.findings), mode="json")
    champions = _cells().dump_python(list(kept.champions), mode="json")
    document = {
        "schema": SCHEMA,
        "night": header,
        "findings": findings,
        "champions": champions,
        "notes": list(kept.notes),
    }
    table = pa.Table.from_pylist(rows, _columns())
    document["sha256"] = _sha256(document, table)
    sink = pa.BufferOutputStream()
    parquet.write_table(table.replace_schema_metadata({METADATA: json.dumps(document)}), sink, write_statistics=False)
    return sink.getvalue().to_pybytes()


def read_night(data: bytes) -> KeptNight:
    """The night of a file.

    Raises:
        NewerNightError: a later version wrote it.
        DamagedNightError: it is cut off, changed, or another kind of file.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(pa.BufferReader(data))
        metadata = table.schema.metadata or {}
        if METADATA not in metadata:
            raise DamagedNightError("it is Parquet, but not the file of a night")
        document = json.loads(metadata[METADATA])
        if document["schema"] > SCHEMA:
            raise NewerNightError(document["schema"])
        if document.pop("sha256") != _sha256(document, table):
            raise DamagedNightError("something in it was changed after it was written")
        cells = [_cell(row) for row in table.to_pylist()]
        night = _nights().validate_python({**document["night"], "cells": cells})
        found = document["findings"]
        verdict = None if found is None else Verdict(_findings().validate_python(found))
        champions = tuple(_cells().validate_python(document["champions"]))
        return KeptNight(night, verdict, champions, tuple(document["notes"]))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DamagedNightError(" ".join(str(error).split())[:200] or type(error).__name__) from error


def _sha256(document: dict[str, Any], table: pa.Table) -> str:
    """Of all that a file says: Parquet's own checksums leave out dictionaries and metadata."""
    return hashlib.sha256(json.dumps([document, table.to_pylist()], sort_keys=True).encode()).hexdigest()


def _row(cell: dict[str, Any]) -> dict[str, Any]:
    task, method, backbone = cell.pop("key")
    scores = [one["score"] for one in cell["scores"]]
    mean = sum(scores) / len(scores) if scores else None
    texts = {name: json.dumps(cell[name], ensure_ascii=False) for name in _IN_JSON}
    return {"task": task, "method": method, "backbone": backbone, "score": mean, **cell, **texts}


def _cell(row: dict[str, Any]) -> dict[str, Any]:
    key = tuple(row.pop(name) for name in ("task", "method", "backbone"))
    del row["score"]
    return {**row, "key": key, **{name: json.loads(row[name]) for name in _IN_JSON}}


@cache
def _columns() -> pa.Schema:
    """Texts, but for these; ``score`` is the mean of ``scores``, for readers of data frames alone."""
    import pyarrow as pa

    text, number, count = pa.string(), pa.float64(), pa.int64()
    score = pa.struct(
        {"seed": count, "score": number, "n": count, "predictions": text, "trial": count},
    )
    kinds = {
        "scores": pa.list_(score),
        **dict.fromkeys(("score", "validation", "updates_per_second", "peak_memory", "share_of_grid"), number),
    }
    names = (
        "task", "method", "backbone", "status", "metric", "why", "score", "scores", "validation", "updates_per_second",
        "peak_memory", "share_of_grid", "configuration", "fingerprint", "parts", "folder", "command", "measured_on",
    )  # fmt: skip
    return pa.schema({name: kinds.get(name, text) for name in names})


@cache
def _nights() -> TypeAdapter[Night]:
    return TypeAdapter(Night)


@cache
def _cells() -> TypeAdapter[list[Cell]]:
    return TypeAdapter(list[Cell])


@cache
def _findings() -> TypeAdapter[list[Finding]]:
    return TypeAdapter(list[Finding])
