"""Which data a task's rows come from, known from the files alone: nothing is parsed and nothing is tokenised."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trials.data.rows import SPLIT_SEED
from trials.data.sources import Part, Source, find_source
from trials.data_facts import DIGITS, DataIdentity
from trials.errors import DataError
from trials.tasks.base import Task


def data_identity(task: Task, data_dir: Path | None) -> DataIdentity:
    """What a task's rows are now, for a comparison with what they were; without a backbone.

    Raises:
        DataError: the rows are not there, or cannot be read.
    """
    source = find_source(task, data_dir)
    try:
        return identity_of(task, source, digests_of(source))
    except OSError as error:
        raise DataError(f"task '{task.name}': its rows cannot be read ({error})") from error


def digests_of(source: Source) -> dict[str, list[str]]:
    """SHA-256 of each part of each published split, in order. Raises OSError where a file cannot be read."""
    return {split: [part.digest() for part in parts] for split, parts in source.parts.items()}


def identity_of(
    task: Task, source: Source, digests: Mapping[str, Sequence[str]], fingerprint: str = ""
) -> DataIdentity:
    """The identity of rows whose parts' digests are known (`digests_of`)."""
    files = {
        split: {name: digest[:DIGITS] for name, digest in zip(_names(parts), digests[split], strict=True)}
        for split, parts in source.parts.items()
    }
    decides = {"rows": digests, **rules(task)}
    rows = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:DIGITS]
    return DataIdentity(rows, files, fingerprint)


def rules(task: Task) -> dict[str, Any]:
    """What, beside the files' bytes, decides which examples there are and what their right answers are."""
    return {
        **({"tsv_quoting": task.tsv_quoting} if task.tsv_quoting else {}),
        **task.target.rules,
        **({"examples": task.examples.rules} if task.examples else {}),
        **({"group": task.group} if task.group else {}),
        "split": [task.split, SPLIT_SEED, task.sizes],
        **({"published splits": task.splits} if task.splits else {}),
        **({"most_train": task.most_train} if task.most_train else {}),
    }


def _names(parts: Sequence[Part]) -> list[str]:
    """How a record names parts: files from the folder that holds all, so that a moved folder changes nothing."""
    paths = [part.path for part in parts if part.path is not None]
    if len(paths) != len(parts):
        return [part.where for part in parts]
    if len(paths) == 1:
        return [paths[0].name]
    above = Path(os.path.commonpath([path.parent for path in paths]))
    return [path.relative_to(above).as_posix() for path in paths]
