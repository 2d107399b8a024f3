"""What a record keeps of the rows behind its numbers, and whether two records were measured on the same ones."""

from __future__ import annotations

from typing import Any

from orchestrator.record.record import SearchRecord
from trials.data_facts import DataIdentity

FINGERPRINT, ROWS, FILES = "data fingerprint", "rows fingerprint", "data files"
"""Keys of a record's provenance. The first is of the rows as a backbone reads them, the second of the rows alone."""

SOURCES_KEPT = "source_fingerprints"
"""Key of a record's provenance, and tag of a search's run: the numbers that the trials of a transfer started from."""


def kept_of(data: DataIdentity) -> dict[str, Any]:
    """What a record keeps of its rows, as part of its provenance."""
    files = {split: dict(named) for split, named in data.files.items()}
    return {FINGERPRINT: data.fingerprint, ROWS: data.rows, FILES: files}


def identity(record: SearchRecord) -> DataIdentity:
    """What a record says of its rows: one of an earlier version, or read back from a store, fingerprints alone."""
    found = record.provenance
    fingerprint = found.get(FINGERPRINT, found.get("data_fingerprint", ""))
    return DataIdentity(found.get(ROWS, found.get("rows_fingerprint", "")), found.get(FILES, {}), fingerprint)


def measured_on(record: SearchRecord) -> dict[str, Any]:
    """What two searches that differ in their seed alone share: the rows as the backbone read them, and their number."""
    known = identity(record).fingerprint
    sizes = {} if known else {split: n for split, n in record.sizes.items() if split != "train"}
    return {"data": known, "sizes": sizes, "tested": record.test.n if record.test is not None else None}


def shown(record: SearchRecord) -> dict[str, Any]:
    """The rows of a record in a few words: their fingerprint and the number of test examples."""
    known = identity(record)
    rows = known.rows or known.fingerprint
    return {"rows": rows or "unknown", "test examples": record.test.n if record.test is not None else None}


def rows_differ(one: SearchRecord, other: SearchRecord) -> str:
    """How the rows of two records differ; empty where they are the same, as far as both say.

    Records of earlier versions have only a fingerprint that template, length and backbone change, too.
    """
    sizes = [{**record.sizes, **({"test": record.test.n} if record.test else {})} for record in (one, other)]
    for split in ("test", "validation"):
        counts = [size.get(split) for size in sizes]
        if None not in counts and counts[0] != counts[1]:
            return f"{split} rows: {counts[0]:,} and {counts[1]:,}"
    known = identity(one), identity(other)
    if known[0].rows and known[1].rows:
        if known[0].rows == known[1].rows:
            return ""
        files = [f"{split}: {name}" for split, name, *_ in known[0].differing(known[1])]
        where = f", in {'; '.join(files)}" if files else ""
        return f"fingerprints {known[0].rows} and {known[1].rows}{where}"
    read_alike = one.backbone == other.backbone and _length(one) == _length(other)
    prints = known[0].fingerprint, known[1].fingerprint
    if read_alike and all(prints) and prints[0] != prints[1]:
        return f"fingerprints {prints[0]} and {prints[1]}"
    return ""


def same_files(one: SearchRecord, other: SearchRecord) -> bool:
    """Whether both records say that they come of the same rows, whatever a backbone made of them."""
    rows = identity(one).rows
    return bool(rows) and rows == identity(other).rows


def _length(record: SearchRecord) -> Any:
    return record.settings.get("max_source_length")
