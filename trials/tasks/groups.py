"""Groups of tasks that are asked for by one name: the benchmarks as the paper's tables have them."""

from __future__ import annotations

from trials.tasks import glue, mrqa, others, super_glue

_BENCHMARKS = {"glue": glue, "superglue": super_glue, "mrqa": mrqa, "others": others}


def task_groups() -> dict[str, tuple[str, ...]]:
    """Group -> its tasks, in the paper's order; SQuAD, a source of transfer and in no table, is in none."""
    groups = {
        group: tuple(task.name for task in benchmark.TASKS if task.published_as)
        for group, benchmark in _BENCHMARKS.items()
    }
    return {**groups, "all": tuple(name for names in groups.values() for name in names)}


def members(name: str) -> tuple[str, ...]:
    """The tasks that a name stands for: those of a group, else itself."""
    return task_groups().get(name, (name,))
