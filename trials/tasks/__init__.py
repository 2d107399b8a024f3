"""The registered tasks, by name. Importing this package loads facts only: no torch, no data.

A benchmark is a file with a tuple `TASKS` (and, where it scores in a way of its own, a mapping `METRICS` from name to
`metrics.Metric`): one of those below, or one of another package that names it as an entry point of the group
`adept_search.tasks`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from trials.errors import TaskError, did_you_mean
from trials.tasks import debian, glue, mbpp, metrics, mrqa, others, super_glue
from trials.tasks.base import Task
from trials.tasks.groups import task_groups
from yaml_reader.home import from_home

__all__ = ["Task", "get_task", "registered", "task_names"]

GROUP = "adept_search.tasks"
BENCHMARKS = (debian, glue, super_glue, mrqa, others, mbpp)


def registered() -> dict[str, Task]:
    """Task by name: this project's first, then those of other packages."""
    return _found()[0]


@cache
def _found() -> tuple[dict[str, Task], list[str]]:
    """The registered tasks, and what is wrong with those of other packages: a sentence each."""
    tasks = {task.name: task for benchmark in BENCHMARKS for task in benchmark.TASKS}
    problems = []
    for point in entry_points(group=GROUP):
        package = point.dist.name if point.dist else point.value
        where = f"the tasks of the package {package} ({GROUP}: {point.name} = {point.value})"
        try:
            brought = _brought(point.load(), package, tasks)
        except Exception as error:  # whatever another package's code raises is its own, and hides no other task
            problems.append(f"{where} cannot be used: {type(error).__name__}: {' '.join(str(error).split())}")
            continue
        tasks |= {task.name: task for task in brought}
    return tasks, problems


def _brought(benchmark: Any, package: str, known: dict[str, Task]) -> list[Task]:
    """The tasks of another package's benchmark; its metrics are entered. Raises ValueError or TypeError."""
    brought = list(benchmark.TASKS)
    own: dict[str, metrics.Metric] = dict(getattr(benchmark, "METRICS", {}))
    if wrong := [one for one in brought if not isinstance(one, Task)]:
        raise TypeError(f"TASKS holds {wrong[0]!r}, which is no trials.tasks.base.Task")
    taken = {*known, *(alias for task in known.values() for alias in task.aliases), *task_groups()}
    if twice := sorted({name for task in brought for name in (task.name, *task.aliases)} & taken):
        raise ValueError(f"{', '.join(twice)}: there is a task of that name already; choose another")
    if twice := sorted(set(own) & set(metrics.METRICS)):
        raise ValueError(f"{', '.join(twice)}: there is a metric of that name already; choose another")
    for task in brought:
        if problems := metrics.unfit(
            task.metrics, task.target.kind, task.answers, task.grouped, {**metrics.METRICS, **own}
        ):
            raise ValueError(f"task '{task.name}': {'; '.join(problems)}")
    metrics.METRICS.update(own)
    return [replace(task, package=package) for task in brought]


def task_names() -> list[str]:
    """The names of the registered tasks, in the order of registration."""
    return list(registered())


def is_registered(name: str) -> bool:
    """Whether a registered task has that name or alias, or a group of tasks that name."""
    return name in task_groups() or any(name in (task.name, *task.aliases) for task in registered().values())


def get_task(name: str | Path) -> Task:
    """The task of a name, of an alias, or of a task file (see `own.load_task_file`).

    Raises:
        TaskError: no task has the name, or the task file has problems.
        DataError: files that the task file names cannot be read.
    """
    text = str(name)
    by_name = {known: task for task in registered().values() for known in (task.name, *task.aliases)}
    if text in by_name:
        return by_name[text]
    path = from_home(text)
    if path.suffix.lower() in (".yaml", ".yml") or path.is_file():
        from trials.tasks.own import load_task_file

        return load_task_file(path)
    hint = did_you_mean(text, by_name)
    if text in task_groups():
        hint = " (it is a group of tasks, for `search --task` and the lists of a sweep file)"
    if path.is_dir():
        hint = " (it is a folder; an own task is a YAML file in it)"
    missing = (
        f"no task is called '{text}'{hint}: it is one of {', '.join(task_names())}, or the YAML file of an own task"
    )
    raise TaskError([missing, *_found()[1]])
