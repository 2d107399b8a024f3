"""SuperGLUE, as ADePT's released code reads it (its `src/tasks.py`); sizes from the paper's Table 16."""

from __future__ import annotations

from trials.tasks.base import Task

_HUB = "aps/super_glue"

TASKS: tuple[Task, ...] = (
    Task(
        name="superglue-boolq",
        title="BoolQ",
        template="question: {question} passage: {passage}",
        labels={0: "0", 1: "1"},
        split="small",
        sizes=(9_427, 1_635, 1_635),
        hub=(_HUB, "boolq"),
        folder="super_glue/boolq",
        published_as="boolq",
        aliases=("boolq",),
    ),
)
