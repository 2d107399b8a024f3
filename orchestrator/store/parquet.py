"""Rows as a Parquet file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_parquet(rows: Sequence[dict[str, Any]], path: str | os.PathLike[str]) -> Path:
    """A Parquet file, put in place in one step."""
    import pyarrow as pa
    from pyarrow import parquet

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    parquet.write_table(pa.Table.from_pylist(list(rows)), temporary)
    temporary.replace(path)
    return path
