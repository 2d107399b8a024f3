"""The tokenised rows of a task on disk, read through the memory map."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trials.data.report import DataReport
from trials.data.tokens import Architecture
from trials.data_facts import DataIdentity
from trials.tasks.base import SplitName, Task
from trials.tasks.metrics import METRICS


class Split:
    """One tokenised split. Ids are views into the memory map: nothing is copied, and nothing can be written to.

    Attributes:
        lengths: int32 array (rows,), source tokens of each row.
    """

    def __init__(self, table: pa.Table) -> None:
        self._sources = _Lists(table.column("input_ids"))
        self._targets = _Lists(table.column("target_ids"))
        self._texts = table.column("target")
        self.lengths: np.ndarray = self._sources.lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Sequence[int]) -> tuple[list[np.ndarray], list[np.ndarray], list[str]]:
        """(source ids, target ids, target text) of each row; ids are read-only int32 arrays (length of the row,).

        Raises:
            IndexError: a row below 0 or past the end.
        """
        places = [int(row) for row in rows]
        if places and not (min(places) >= 0 and max(places) < len(self)):
            raise IndexError(f"rows are 0 to {len(self) - 1}, not {min(places)} to {max(places)}")
        sources = [self._sources.at(place) for place in places]
        targets = [self._targets.at(place) for place in places]
        return sources, targets, [self._texts[place].as_py() for place in places]


class _Lists:
    """A column of lists of int32 as NumPy views of its chunks."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._starts: list[int] = []
        self._offsets: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        total = 0
        for chunk in column.chunks:
            if not len(chunk):
                continue
            self._starts.append(total)
            self._offsets.append(chunk.offsets.to_numpy(zero_copy_only=True))
            self._values.append(chunk.values.to_numpy(zero_copy_only=True))
            total += len(chunk)
        self.lengths = np.concatenate([np.diff(offsets) for offsets in self._offsets]).astype(np.int32)

    def at(self, row: int) -> np.ndarray:
        chunk = bisect.bisect_right(self._starts, row) - 1
        offsets, place = self._offsets[chunk], row - self._starts[chunk]
        return self._values[chunk][offsets[place] : offsets[place + 1]]


@dataclass
class PreparedTask:
    """A task whose rows are tokenised for one backbone.

    Attributes:
        fingerprint: 16 hexadecimal digits that change with everything that decides the ids: rows, template, labels,
            split rule, tokenizer, length, architecture.
        folder: where the Arrow files lie, one `datasets` folder.
        origin: where the rows came from, for run records.
        sizes: split -> rows.
        max_target_length: tokens of the longest label's text, its end-of-sequence token included.
        label_token_ids: label's text -> target ids.
        label_counts: split -> label's text -> rows.
        report: what is in the rows, and what is bad about it.
        identity: of the data that the rows come from.
    """

    task: Task
    architecture: Architecture
    max_source_length: int
    fingerprint: str
    folder: Path
    origin: str
    sizes: dict[str, int]
    max_target_length: int
    label_token_ids: dict[str, list[int]]
    label_counts: dict[str, dict[str, int]]
    report: DataReport
    identity: DataIdentity = field(default_factory=DataIdentity)
    _splits: dict[str, Split] = field(default_factory=dict, init=False, repr=False, compare=False)

    def split(self, name: SplitName) -> Split:
        """The rows of train, validation or test; opened once. Raises KeyError for another name."""
        if name not in self.sizes:
            raise KeyError(f"no split '{name}': {', '.join(self.sizes)}")
        if name not in self._splits:
            import datasets

            rows = datasets.load_from_disk(str(self.folder / name), keep_in_memory=False)
            self._splits[name] = Split(rows.data.table)
        return self._splits[name]

    def majority(self) -> dict[str, float]:
        """The selection metric of the best constant answer, on validation and on test: what no reading can score.

        The constant is the best one of each split, so a score at or below it shows nothing.
        """
        metric = METRICS[self.task.selection_metric]
        scores = {}
        for split in ("validation", "test"):
            targets = [text for text, n in self.label_counts[split].items() for _ in range(n)]
            scores[split] = max(
                metric([text] * len(targets), targets, self.task.targets) for text in self.label_counts[split]
            )
        return scores

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_splits": {}}  # a process that receives it opens its own memory map
