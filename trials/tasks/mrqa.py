"""MRQA's questions, as ADePT's released code reads them (its `src/tasks.py`); sizes from the paper's Table 16.

The released code takes the first of a question's right answers and scores against it alone, as no other reader of MRQA
does; `corrected` scores against the best of all. Selection is by exact match, the paper reports the F1 of tokens.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator

from trials.tasks.base import Examples, Row, Task
from trials.tasks.targets import Text, alternatives


def padded(text: str) -> str:
    """A text with blanks around each punctuation mark, and single blanks (`pad_punctuation` of the released code)."""
    apart = (c if c == "_" or c.isspace() or unicodedata.category(c)[0] in "NLM" else f" {c} " for c in text)
    return " ".join("".join(apart).split())


def first_answer(row: Row) -> Iterator[Row]:
    """A question with the first of its right answers, against which it is scored, too."""
    yield {**_asked(row), "answer": padded(_answers(row)[0])}


def all_answers(row: Row) -> Iterator[Row]:
    """A question with its right answers: the first is learnt, and a prediction is compared with each."""
    yield {**_asked(row), "answer": alternatives(map(padded, _answers(row)))}


def answers_as_written(row: Row) -> Iterator[Row]:
    """SQuAD: a question with all that its column holds, in Python's spelling, as the released code learns it."""
    texts, places = row["answers"]["text"], row["answers"]["answer_start"]
    yield {**_asked(row), "answer": padded(str({"text": list(texts), "answer_start": list(places)}))}


def _asked(row: Row) -> dict[str, str]:
    return {name: padded(row[name]) for name in ("question", "context")}


def _answers(row: Row) -> list[str]:
    found = row["answers"]
    answers = found["text"] if isinstance(found, dict) else found
    if not answers:
        raise ValueError(f"column 'answers' holds {found!r}, and a question needs a right answer")
    return list(answers)


def _examples(make: Callable[[Row], Iterator[Row]]) -> Examples:
    return Examples(make, reads=("question", "context", "answers"), texts=("question", "context"))


_ALL_ANSWERS = (("examples", _examples(all_answers)),)
_CORRECTION = "a prediction is compared with each right answer, not with the first alone"


def _task(name: str, title: str, repository: str, revision: str, sizes: tuple[int, int, int]) -> Task:
    return Task(
        name=name,
        title=title,
        template="question: {question} context: {context}",
        target=Text(column="answer", empty=True),
        split="large",
        sizes=sizes,
        metrics=("exact_match", "token_f1"),
        max_source_length=512,
        examples=_examples(first_answer),
        hub=(f"lucadiliello/{repository}", None),
        revision=revision,
        folder=f"mrqa/{name}",
        published_as=name,
        corrections=_ALL_ANSWERS,
        correction=_CORRECTION,
    )


TASKS: tuple[Task, ...] = (
    _task(
        "nq",
        "Natural Questions",
        "naturalquestionsshortqa",
        "49435450b0abb287be45639fdaa49a9b56512f9b",
        (103_071, 1_000, 12_836),
    ),
    _task("hotpotqa", "HotpotQA", "hotpotqa", "87a889a73da456a0888ab25d6e91aaf2ff6e9976", (71_928, 1_000, 5_901)),
    _task("searchqa", "SearchQA", "searchqa", "c1a979068ba118d85467179b704031d113d689cc", (116_384, 1_000, 16_980)),
    _task("newsqa", "NewsQA", "newsqa", "728e52920b8e4ffcfaad93fa47556f26a1d82546", (73_160, 1_000, 4_212)),
    # A source of transfer, and no task of the paper's tables. The released code writes the whole column of answers,
    # which holds a dictionary, where it means the text of one.
    Task(
        name="squad",
        title="SQuAD",
        template="question: {question} context: {context}",
        target=Text(column="answer", empty=True),
        split="large",
        sizes=(86_599, 1_000, 10_570),
        metrics=("exact_match", "token_f1"),
        max_source_length=512,
        examples=_examples(answers_as_written),
        hub=("rajpurkar/squad", None),
        revision="7b6d24c440a36b6815f21b70d25016731768db1f",
        folder="squad",
        corrections=_ALL_ANSWERS,
        correction=f"what is learnt is the answer, not the spelling of the column that holds it; {_CORRECTION}",
    ),
)
