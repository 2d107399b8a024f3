"""MRQA's questions, as ADePT's released code reads them (its `src/tasks.py`); sizes from the paper's Table 16."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from trials.tasks.base import Examples, Row, Task
from trials.tasks.targets import Text


def padded(text: str) -> str:
    """A text with blanks around each punctuation mark, and single blanks (`pad_punctuation` of the released code)."""
    apart = (c if c == "_" or c.isspace() or unicodedata.category(c)[0] in "NLM" else f" {c} " for c in text)
    return " ".join("".join(apart).split())


def first_answer(row: Row) -> Iterator[Row]:
    """A question with the first of its right answers, against which it is scored, too."""
    yield {name: padded(text) for name, text in {**row, "answer": row["answers"][0]}.items() if name != "answers"}


TASKS: tuple[Task, ...] = (
    Task(
        name="nq",
        title="Natural Questions",
        template="question: {question} context: {context}",
        target=Text(column="answer"),
        split="large",
        sizes=(103_071, 1_000, 12_836),
        metrics=("exact_match", "token_f1"),  # the first selects, the paper reports the second
        max_source_length=512,
        examples=Examples(first_answer, reads=("question", "context", "answers"), texts=("question", "context")),
        hub=("lucadiliello/naturalquestionsshortqa", None),
        folder="mrqa/nq",
        published_as="nq",
    ),
)
