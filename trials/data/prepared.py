"""The tokenised rows of a task on disk, read through the memory map."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trials.data.report import DataReport
from trials.data.tokens import Architecture
from trials.data_facts import DataIdentity
from trials.tasks.base import SPLITS, SplitName, Task
from trials.tasks.metrics import METRICS
from trials.tasks.targets import right_answers

ROWS = "rows.arrow"
"""The file of a split in its folder: an Arrow stream of record batches, without compression."""

CONSTANTS = 20
"""Frequent texts that are tried as constant answers."""


class Split:
    """One tokenised split. Ids are views into the memory map: nothing is copied, and nothing can be written to.

    Attributes:
        lengths: int32 array (rows,), source tokens of each row.
        groups: what each row belongs to; None where there are no groups.
    """

    def __init__(self, table: pa.Table) -> None:
        self._sources = _Lists(table.column("input_ids"))
        self._targets = _Lists(table.column("target_ids"))
        self._texts = table.column("target")
        self.lengths: np.ndarray = self._sources.lengths
        grouped = "group" in table.column_names
        self.groups: list[str] | None = table.column("group").to_pylist() if grouped else None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def targets(self) -> list[str]:
        """The target text of each row."""
        return self._texts.to_pylist()

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


@dataclass(kw_only=True)
class PreparedTask:
    """A task whose rows are tokenised for one backbone.

    Attributes:
        fingerprint: 16 hexadecimal digits that change with everything that decides the ids: rows, template, labels,
            split rule, tokenizer, length, architecture.
        folder: where the Arrow files lie, one folder a split.
        origin: where the rows came from, for run records.
        sizes: split -> rows.
        max_target_length: tokens of the longest answer, its end-of-sequence token included.
        label_token_ids: target text -> target ids, of all answers where they are a closed set; else empty.
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
    report: DataReport
    identity: DataIdentity = field(default_factory=DataIdentity)
    _splits: dict[str, Split] = field(default_factory=dict, init=False, repr=False, compare=False)

    def split(self, name: SplitName) -> Split:
        """The rows of train, validation or test; opened once. Raises KeyError for another name."""
        if name not in self.sizes:
            raise KeyError(f"no split '{name}': {', '.join(self.sizes)}")
        if name not in self._splits:
            with pa.ipc.open_stream(pa.memory_map(str(self.folder / name / ROWS))) as stream:
                self._splits[name] = Split(stream.read_all())  # views into the map, which lives as long as they do
        return self._splits[name]

    def majority(self) -> dict[str, float]:
        """The selection metric of the best constant answer, on validation and on test: what no reading can score.

        The constant is the best one of each split, so a score at or below it shows nothing. Of answers that are no
        closed set, the most frequent targets of the split are tried.
        """
        metric = METRICS[self.task.selection_metric]
        scores: dict[str, float] = {}
        for name in SPLITS[1:]:
            split = self.split(name)
            targets = split.targets
            if metric.constants:
                tried: Sequence[str] = metric.constants
                scores[name] = max(metric([text] * len(targets), targets, None, split.groups) for text in tried)
                continue
            frequent = Counter(answer for target in targets for answer in right_answers(target))
            tried = self.task.answers or [text for text, _ in frequent.most_common(CONSTANTS)]
            scores[name] = max(
                metric([text] * len(targets), targets, self.task.answers, split.groups) for text in tried
            )
        return scores

    @property
    def examples(self) -> dict[str, int]:
        """Split -> how many things its score is taken over: `sizes`, or groups where the metric counts those."""
        metric = METRICS[self.task.selection_metric]
        if metric.over is None:
            return self.sizes
        return {name: metric.units(self.split(name).groups, self.sizes[name]) for name in SPLITS}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_splits": {}}  # a process that receives it opens its own memory map
