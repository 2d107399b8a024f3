"""The examples of `docs/own-task.md`, as files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from tests.trials.made_data import REPOSITORY, nano_tokenizer
from trials.data import PreparedTask, prepare
from trials.tasks.base import Task

_PAGE = (REPOSITORY / "docs" / "own-task.md").read_text(encoding="utf-8")
PRINTED: dict[str, str] = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```", _PAGE, re.S | re.M))


def write_printed(folder: Path, name: str) -> Path:
    """The files that the page prints for an example; its validation and test rows are those of train."""
    for file, text in PRINTED.items():
        if file.startswith(f"{name}/"):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
    for train in (folder / name).rglob("train.*"):
        for split in ("validation", "test"):
            shutil.copy(train, train.with_name(f"{split}{train.suffix}"))
    return folder / name


def prepared_of(task: Task, folder: Path, tokenizer: Any = None, architecture: Any = "encoder-decoder") -> PreparedTask:
    return prepare(task, tokenizer or nano_tokenizer(), architecture=architecture, cache_dir=folder / "cache")
