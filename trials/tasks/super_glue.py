"""SuperGLUE, as ADePT's released code reads it (its `src/tasks.py`); sizes from the paper's Table 16."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trials.tasks.base import Examples, Row, Task
from trials.tasks.targets import Labels, Text

_HUB = "aps/super_glue"
_REVISION = "3de24cf8022e94f4ee4b9d55a6f539891524d646"


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


def marked_spans(row: Row) -> Iterator[Row]:
    """WSC: the text with `* *` around the noun (span 1) and `# #` around the pronoun (span 2), as T5 marks them.

    A span is where its index says, counted in words between single white spaces; where the text does not go on with
    the span there, it stays unmarked.
    """
    first, second = row["span1_index"], row["span2_index"]
    text = _marked(row["text"], row["span1_text"], first, "*")
    yield {"text": _marked(text, row["span2_text"], second + 2 * (first < second), "#"), "label": row["label"]}


def _marked(text: str, span: str, index: int, mark: str) -> str:
    words = re.match(rf"(?:\S+\s){{{index}}}", text)
    if words is None or not text.startswith(span, words.end()):
        return text
    return f"{text[: words.end()]}{mark} {span} {mark}{text[words.end() + len(span) :]}"


TASKS: tuple[Task, ...] = (
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
        revision=_REVISION,
        folder="super_glue/multirc",
        published_as="multirc",
        aliases=("multirc",),
    ),
    Task(
        name="superglue-boolq",
        title="BoolQ",
        template="question: {question} passage: {passage}",
        target=Labels({0: "0", 1: "1"}),
        split="small",
        sizes=(9_427, 1_635, 1_635),
        hub=(_HUB, "boolq"),
        revision=_REVISION,
        folder="super_glue/boolq",
        published_as="boolq",
        aliases=("boolq",),
    ),
    Task(
        name="superglue-wic",
        title="WiC",
        template="sentence1: {sentence1} sentence2: {sentence2} word: {word}",
        target=Labels({0: "0", 1: "1"}),
        split="small",
        sizes=(5_428, 319, 319),
        hub=(_HUB, "wic"),
        revision=_REVISION,
        folder="super_glue/wic",
        published_as="wic",
        aliases=("wic",),
    ),
    Task(
        name="superglue-wsc.fixed",
        title="WSC",
        template="text: {text}",
        target=Labels({0: "0", 1: "1"}),
        split="small",
        sizes=(554, 52, 52),
        examples=Examples(
            marked_spans,
            reads=("text", "span1_index", "span2_index", "span1_text", "span2_text", "label"),
            texts=("text", "span1_text", "span2_text"),
        ),
        hub=(_HUB, "wsc.fixed"),
        revision=_REVISION,
        folder="super_glue/wsc.fixed",
        published_as="wsc",
        aliases=("wsc", "wsc.fixed"),
    ),
    Task(
        name="superglue-cb",
        title="CB",
        template="premise: {premise} hypothesis: {hypothesis}",
        target=Labels({0: "0", 1: "1", 2: "2"}),
        split="small",
        sizes=(250, 28, 28),
        metrics=("f1_macro", "accuracy"),  # the first selects, the paper reports the second
        hub=(_HUB, "cb"),
        revision=_REVISION,
        folder="super_glue/cb",
        published_as="cb",
        aliases=("cb",),
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
        revision=_REVISION,
        folder="super_glue/record",
        published_as="record",
        aliases=("record",),
    ),
)
