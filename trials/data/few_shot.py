"""The few rows of train on which a few-shot trial is trained, drawn as the released code draws them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trials.errors import DataError
from trials.tasks.base import Task
from trials.tasks.targets import Labels, Number


def few_shot_rows(task: Task, targets: Sequence[str], shots: int, seed: int) -> list[int]:
    """The rows of train that a seed draws, in the order in which they are drawn.

    The released code (`train.py`, lines 633 to 651) walks through train as `datasets` shuffles it with the training
    seed and takes a row while its class has fewer than shots // classes; once shots - 1 are taken the next row is taken
    whatever its class. So 4 rows of two classes may be 3 and 1, and 32 of three classes are 30. A number counts as one
    of two classes, up to the middle of its range or above. Texts have no classes: the first rows are taken.

    Args:
        targets: the target text of each row of train.
        shots: rows to draw, all classes together.
        seed: the training seed of a trial.

    Raises:
        DataError: train has no row to draw.
    """
    order = np.random.default_rng(seed).permutation(len(targets))
    classes = classes_of(task)
    if not classes:
        return [int(row) for row in order[:shots]]
    taken: dict[str, int] = dict.fromkeys(classes, 0)
    rows: list[int] = []
    for row in order:
        if len(rows) == shots:
            break
        kind = _class(task, targets[row])
        if taken[kind] < shots // len(classes) or len(rows) == shots - 1:
            taken[kind] += 1
            rows.append(int(row))
    if not rows:
        raise DataError(f"task '{task.name}': none of its {len(targets):,} rows of train is one of {shots} to draw")
    return rows


def classes_of(task: Task) -> tuple[str, ...]:
    """The classes among which a task's few rows are shared out; none where its targets are texts."""
    if isinstance(task.target, Labels):
        return task.target.answers
    return ("low", "high") if isinstance(task.target, Number) else ()


def shots_problem(task: Task, shots: int) -> str:
    """Why a task has no so few rows; empty where it has."""
    classes = classes_of(task)
    if shots < len(classes):
        return f"{task.title} has {len(classes)} classes, and a row of each is needed; ask for at least {len(classes)}"
    return ""


def drawn(task: Task, shots: int) -> int:
    """How many rows are drawn where train has enough of each class."""
    each = shots // max(1, len(classes := classes_of(task)))
    return shots if not classes or shots - each * len(classes) <= 1 else each * len(classes)


def _class(task: Task, target: str) -> str:
    if isinstance(task.target, Number):
        return "low" if float(target) <= (task.target.low + task.target.high) / 2 else "high"
    return target
