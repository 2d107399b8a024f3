"""SuperGLUE, as ADePT's released code reads it (its `src/tasks.py`); sizes from the paper's Table 16."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trials.tasks.base import Examples, Row, Task
from trials.tasks.targets import Labels, Text

_HUB = "aps/super_glue"


def answers_of_a_question(row: Row) -> Iterator[Row]:
    """MultiRC: one answer of a question; without the marks of a web page."""
    texts = {name: re.sub("</?b>", "", row[name].replace("<br>", " ")) for name in ("question", "answer", "paragraph")}
    yield {**texts, "label": row["label"], "asked": f"{row['idx']['paragraph']}-{row['idx']['question']}"}


def right_answers(row: Row) -> Iterator[Row]:
    """ReCoRD: an example for each right answer; the highlights of the passage become sentences of it."""
    passage = re.sub("([.?!\"'])\n@highlight\n", r"\1 ", row["passage"]).replace("\n@highlight\n", ". ")
    source = {"query": row["query"], "entities": ", ".join(row["entities"]), "passage": passage}
    for answer in row["answers"] or ["<unk>"]:
        yield {**source, "answer": answer}


TASKS: tuple[Task, ...] = (
    Task(
        name="superglue-boolq",
        title="BoolQ",
        template="question: {question} passage: {passage}",
        target=Labels({0: "0", 1: "1"}),
        split="small",
        sizes=(9_427, 1_635, 1_635),
        hub=(_HUB, "boolq"),
        folder="super_glue/boolq",
        published_as="boolq",
        aliases=("boolq",),
    ),
    Task(
        name="superglue-multirc",
        title="MultiRC",
        template="question: {question} answer: {answer} paragraph: {paragraph}",
        target=Labels({0: "0", 1: "1"}),
        split="small",  # by answers: those of one question fall on both sides, in the released code as well
        sizes=(27_243, 2_424, 2_424),
        metrics=("f1", "group_accuracy"),  # F1 over all answers, and all answers of a question right
        max_source_length=348,
        examples=Examples(
            answers_of_a_question,
            reads=("question", "answer", "paragraph", "label", "idx"),
            texts=("question", "answer", "paragraph"),
        ),
        group="asked",
        hub=(_HUB, "multirc"),
        folder="super_glue/multirc",
        published_as="multirc",
        aliases=("multirc",),
    ),
    Task(
        name="superglue-record",
        title="ReCoRD",
        template="record query: {query} entities: {entities} passage: {passage}",
        target=Text(column="answer"),
        split="large",
        sizes=(137_484, 1_370, 15_176),
        # The released code scores each answer as an example of its own; ReCoRD's script takes the best one of a query.
        metrics=("token_f1", "exact_match", "best_token_f1", "best_exact_match"),
        max_source_length=512,
        examples=Examples(right_answers, reads=("passage", "query", "entities", "answers"), texts=("passage", "query")),
        hub=(_HUB, "record"),
        folder="super_glue/record",
        published_as="record",
        aliases=("record",),
    ),
)
