"""Repositories for the stand-in: data sets as the hub lays them out."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq


def data_set(subset: str, splits: Mapping[str, pa.Table]) -> dict[str, bytes]:
    """A card that lists a subset's splits, and a file of Parquet for each."""
    listed = "".join(f"  - split: {split}\n    path: {subset}/{split}-*\n" for split in splits)
    card = f"---\nconfigs:\n- config_name: {subset}\n  data_files:\n{listed}---\n"
    return {
        "README.md": card.encode(),
        **{f"{subset}/{split}-00000-of-00001.parquet": parquet(table) for split, table in splits.items()},
    }


def parquet(table: pa.Table) -> bytes:
    """The table as a file; not compressed, so that its size is known about."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="none")
    return sink.getvalue()


def commitment_bank() -> dict[str, bytes]:
    """CB of SuperGLUE as the hub has it, with its numbers of rows and other texts."""

    def table(split: str, count: int) -> pa.Table:
        return pa.table(
            {
                "premise": [f"{split}: what number {i} says" for i in range(count)],
                "hypothesis": [f"{i} was said" for i in range(count)],
                "idx": pa.array(range(count), pa.int32()),
                "label": [i % 3 for i in range(count)],
            }
        )

    return data_set("cb", {"train": table("train", 250), "validation": table("validation", 56)})


def toy(word: str = "row", count: int = 60) -> dict[str, bytes]:
    """Rows of the task that `tests.trials.made_data.made_task` describes."""

    def table(split: str) -> pa.Table:
        texts = [f"{split} {word} {i} of a text that is long enough to lie behind a redirect" for i in range(count)]
        return pa.table({"text": texts, "label": [i % 2 for i in range(count)]})

    return data_set("toy", {split: table(split) for split in ("train", "validation")})
