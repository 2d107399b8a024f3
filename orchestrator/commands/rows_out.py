"""Rows with their predictions, as a file or on standard output."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trials.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

    from trials.export.predictions import Prediction
    from trials.tasks.targets import Kind

FORMS = ("csv", "jsonl", "parquet")
ENDINGS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
ADDED = ("prediction", "probability")
"""Columns that are added: the label as the user's data spell it (the text, the number), and the label's probability;
null where there is none."""


def form_of(chosen: str | None, output: Path | None, problems: list[str]) -> str | None:
    """The format to write: as chosen, else by the name of the file; None where neither names one.

    Args:
        problems: gets a sentence where the name has no known ending.
    """
    if chosen is not None or output is None:
        return chosen
    if output.suffix.lower() not in ENDINGS:
        known = ", ".join(ENDINGS)
        problems.append(f"--output {output}: its ending names no format that is written ({known}); add --format")
    if not output.absolute().parent.is_dir():
        problems.append(f"--output {output}: there is no folder {output.absolute().parent}")
    return ENDINGS.get(output.suffix.lower())


def with_predictions(table: pa.Table, predictions: Sequence[Prediction | None], where: str, kind: Kind) -> pa.Table:
    """The rows' own columns, and `ADDED`; a text or a number has no probability.

    Raises:
        UserError: the rows have such a column already.
    """
    import pyarrow as pa

    added = ADDED if kind == "labels" else ADDED[:1]
    if taken := [name for name in added if name in table.column_names]:
        raise UserError([f"{where}: has a column '{name}', which is to be added; rename it" for name in taken])
    labels: list[Any] = [None if one is None else one.label for one in predictions]
    if kind == "number":
        labels = [None if label is None else float(label) for label in labels]
    probabilities = pa.array([None if one is None else one.probability for one in predictions], pa.float64())
    answers = pa.array(labels, pa.float64() if kind == "number" else pa.string())
    for name, values in zip(added, (answers, probabilities), strict=False):
        table = table.append_column(name, values)
    return table


def written(content: bytes | pa.Table, output: Path | None, form: str = "csv") -> None:
    """Write rows (or bytes, as they are) to a file, in one step, or to standard output.

    Raises:
        UserError: the file cannot be written, or the format cannot hold a column.
    """
    made = content if isinstance(content, bytes) else as_bytes(content, form)
    if output is None:
        sys.stdout.buffer.write(made)  # UTF-8, whatever the terminal's encoding
        sys.stdout.buffer.flush()
        return
    half = output.with_name(f".{output.name}.tmp")
    try:
        half.write_bytes(made)
        half.replace(output)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise UserError([f"--output {output}: cannot be written ({error.strerror})"]) from error


def as_bytes(table: pa.Table, form: str) -> bytes:
    """A table in one of `FORMS`."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    if form == "jsonl":
        lines = (json.dumps(_in_json(row), ensure_ascii=False, default=str) for row in table.to_pylist())
        return "".join(text + "\n" for text in lines).encode()
    sink = pa.BufferOutputStream()
    try:
        if form == "parquet":
            pa.parquet.write_table(table, sink)
        else:
            pa.csv.write_csv(table, sink)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UserError([f"--format {form}: cannot hold these columns ({error}); take jsonl or parquet"]) from error
    return sink.getvalue().to_pybytes()


def _in_json(value: Any) -> Any:
    """A value with null for numbers that JSON has no word for (NaN, the infinities)."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _in_json(inner) for key, inner in value.items()}
    return [_in_json(inner) for inner in value] if isinstance(value, list) else value
