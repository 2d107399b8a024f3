"""Own tasks with files in a folder of a test, and what is read or refused of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trials.data.rows import load_rows
from trials.data.sources import find_source
from trials.errors import DataError, TaskError
from trials.tasks.base import Task
from trials.tasks.own import load_task_file


def task_of(folder: Path, files: str, more: str = "", template: str = "{text}") -> Task:
    path = folder / "mine.yaml"
    path.write_text(f'name: mine\nfiles: {{{files}}}\ntemplate: "{template}"\n{more}')
    return load_task_file(path)


def problems_of(folder: Path, files: str, more: str = "") -> list[str]:
    with pytest.raises((TaskError, DataError)) as caught:
        load_rows(task := task_of(folder, files, more), find_source(task, None))
    return caught.value.problems


def three(folder: Path, ending: str, content: str) -> str:
    for split in ("train", "validation", "test"):
        (folder / f"{split}.{ending}").write_text(content)
    return f"train: train.{ending}, validation: validation.{ending}, test: test.{ending}"


def rows_of(task: Task) -> list[str]:
    return list(load_rows(task, find_source(task, None))["train"].sources)
