"""The registered tasks, by name. Importing this package loads facts only: no torch, no data."""

from __future__ import annotations

from pathlib import Path

from trials.errors import TaskError, did_you_mean
from trials.tasks import debian, glue, super_glue
from trials.tasks.base import Task

__all__ = ["TASKS", "Task", "get_task", "task_names"]

TASKS: dict[str, Task] = {task.name: task for benchmark in (debian, glue, super_glue) for task in benchmark.TASKS}
_ALIASES: dict[str, str] = {alias: task.name for task in TASKS.values() for alias in task.aliases}


def task_names() -> list[str]:
    """The names of the registered tasks, in the order of registration."""
    return list(TASKS)


def is_registered(name: str) -> bool:
    """Whether a registered task has that name or alias."""
    return name in TASKS or name in _ALIASES


def get_task(name: str | Path) -> Task:
    """The task of a name, of an alias, or of a task file (see `own.load_task_file`).

    Raises:
        TaskError: no task has the name, or the task file has problems.
        DataError: files that the task file names cannot be read.
    """
    text = str(name)
    if text in TASKS:
        return TASKS[text]
    if text in _ALIASES:
        return TASKS[_ALIASES[text]]
    path = Path(text).expanduser()
    if path.suffix.lower() in (".yaml", ".yml") or path.is_file():
        from trials.tasks.own import load_task_file

        return load_task_file(path)
    hint = did_you_mean(text, [*TASKS, *_ALIASES])
    if path.is_dir():
        hint = " (it is a folder; an own task is a YAML file in it)"
    raise TaskError(
        f"no task is called '{text}'{hint}: it is one of {', '.join(task_names())}, or the YAML file of an own task"
    )
