"""The tasks of the paper against its released code: the lines are those of `src/tasks.py` at HungerPWAY/ADePT@c5e3629.

Rows are made up in the schema of the data sets on the hub, with what is odd in the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import regex  # what the released code imports as `re`
import torch

from tests.trials.made_data import write_rows
from trials.data.rows import Rows, load_rows, split_places
from trials.data.sources import find_source
from trials.errors import DataError
from trials.tasks import get_task
from trials.tasks.base import Task

ODD = "Zoë’s — 北京 naïve; {a} _b_ </s> 50%"


@dataclass(frozen=True)
class Published:
    """What the released code says of one task.

    Attributes:
        line: of its class in `src/tasks.py`.
        row: of its data set; `text` and `target` are what `preprocessor` makes of it.
        metrics: ours, the first selects: the first of `TASK_TO_METRICS` (`src/metrics.py`, lines 17 to 49).
        split: the list of `AbstractTask` (lines 33 to 40) that it is in.
        sizes: the paper's Table 16.
        length: appendix C and Tables 17 to 19.
    """

    line: int
    row: dict[str, Any]
    text: str
    target: str
    metrics: tuple[str, ...]
    split: str
    sizes: tuple[int, int, int]
    length: int = 256
    read: tuple[str, ...] = ("train", "validation")
    more: list[tuple[str, str]] = field(default_factory=list)


PAIR = {"sentence1": ODD, "sentence2": "", "idx": 0}
SHORT = {"context": "Ann's cat (the 2nd) sat.", "question": "who_is  it?", "key": "k", "labels": []}
ASKED = "question: who_is it ? context: Ann ' s cat ( the 2nd ) sat ."

PAPER: dict[str, Published] = {
    "mnli": Published(
        473, {"premise": ODD, "hypothesis": "No.", "label": 2, "idx": 5}, f"premise: {ODD} hypothesis: No.", "2",
        ("accuracy",), "as_given", (392_702, 9_832, 9_815),
        read=("train", "validation_mismatched", "validation_matched"),
    ),
    "qqp": Published(
        453, {"question1": ODD, "question2": "Why?", "label": 1, "idx": 0}, f"question1: {ODD} question2: Why?", "1",
        ("accuracy", "f1"), "large", (362_846, 1_000, 40_431),
    ),
    "qnli": Published(
        530, {"question": ODD, "sentence": "It is.", "label": 0, "idx": 0}, f"question: {ODD} sentence: It is.", "0",
        ("accuracy",), "large", (103_743, 1_000, 5_463),
    ),
    "sst2": Published(
        379, {"sentence": f"{ODD} ", "label": 1, "idx": 0}, f"sentence: {ODD} ", "1", ("accuracy",), "large",
        (66_349, 1_000, 872),
    ),
    "stsb": Published(
        432, {**PAIR, "label": 4.909}, f"sentence1: {ODD} sentence2: ", "4.9", ("pearson", "spearman"), "small",
        (5_749, 750, 750),
    ),
    "mrpc": Published(
        342, {**PAIR, "label": 1}, f"sentence1: {ODD} sentence2: ", "1", ("accuracy", "f1"), "small", (3_668, 204, 204)
    ),
    "rte": Published(
        549, {**PAIR, "label": 0}, f"sentence1: {ODD} sentence2: ", "0", ("accuracy",), "small", (2_490, 138, 139)
    ),
    "cola": Published(
        361, {"sentence": ODD, "label": 0, "idx": 0}, f"sentence: {ODD}", "0", ("matthews_correlation",), "small",
        (8_551, 521, 522),
    ),
    "superglue-multirc": Published(
        665,
        {"paragraph": "<b>Sent 1: </b>One.<br><b>Sent 2: </b>Two <i>x</i>.<br/>", "question": "Who<br>?",
         "answer": "<b>me", "idx": {"paragraph": 4, "question": 7, "answer": 0}, "label": 1},
        "question: Who ? answer: me paragraph: Sent 1: One. Sent 2: Two <i>x</i>.<br/>", "1",
        ("f1", "group_accuracy"), "small", (27_243, 2_424, 2_424), 348,
    ),
    "superglue-boolq": Published(
        588, {"question": ODD, "passage": "So it is.", "idx": 0, "label": 1}, f"question: {ODD} passage: So it is.",
        "1", ("accuracy",), "small", (9_427, 1_635, 1_635),
    ),
    "superglue-wic": Published(
        698,
        {"word": "place", "sentence1": "A place.", "sentence2": ODD, "start1": 2, "start2": 0, "end1": 7, "end2": 1,
         "idx": 0, "label": 0},
        f"sentence1: A place. sentence2: {ODD} word: place", "0", ("accuracy",), "small", (5_428, 319, 319),
    ),
    "superglue-wsc.fixed": Published(
        718,
        {"text": "Mark told Pete many lies about himself .", "span1_index": 0, "span2_index": 6, "span1_text": "Mark",
         "span2_text": "himself", "idx": 0, "label": 1},
        "text: * Mark * told Pete many lies about # himself # .", "1", ("accuracy",), "small", (554, 52, 52),
    ),
    "superglue-cb": Published(
        626, {"premise": ODD, "hypothesis": "No.", "idx": 0, "label": 2}, f"premise: {ODD} hypothesis: No.", "2",
        ("f1_macro", "accuracy"), "small", (250, 28, 28),
    ),
    "superglue-record": Published(
        771,
        {"passage": 'It was "so"\n@highlight\nHe came\n@highlight\nWhy?\n@highlight\n', "query": "@placeholder came",
         "entities": ["Bob", "Ann"], "entity_spans": {"text": ["Bob"], "start": [0], "end": [3]},
         "answers": ["Bob", "Ann"], "idx": {"passage": 0, "query": 0}},
        'record query: @placeholder came entities: Bob, Ann passage: It was "so" He came. Why? ', "Bob",
        ("token_f1", "exact_match", "best_token_f1", "best_exact_match"), "large", (137_484, 1_370, 15_176), 512,
    ),
    "nq": Published(
        170, {**SHORT, "answers": ["Ann's", "Ann"]}, ASKED, "Ann ' s", ("exact_match", "token_f1"), "large",
        (103_071, 1_000, 12_836), 512,
    ),
    "hotpotqa": Published(
        190, {**SHORT, "answers": [""]}, ASKED, "", ("exact_match", "token_f1"), "large", (71_928, 1_000, 5_901), 512
    ),
    "searchqa": Published(
        210, {**SHORT, "answers": ["naïve 北京"]}, ASKED, "naïve 北京", ("exact_match", "token_f1"), "large",
        (116_384, 1_000, 16_980), 512,
    ),
    "newsqa": Published(
        230, {**SHORT, "answers": ["$5", "5"]}, ASKED, "$ 5", ("exact_match", "token_f1"), "large",
        (73_160, 1_000, 4_212), 512,
    ),
    "squad": Published(
        150,
        {"id": "1", "title": "T", "context": SHORT["context"], "question": SHORT["question"],
         "answers": {"text": ["cat", "Ann's cat"], "answer_start": [6, 0]}},
        ASKED,
        "{ ' text ' : [ ' cat ' , \" Ann ' s cat \" ] , ' answer _ start ' : [ 6 , 0 ] }".replace(" _ ", "_"),
        ("exact_match", "token_f1"), "large", (86_599, 1_000, 10_570), 512,
    ),
    "winogrande": Published(
        836, {"sentence": "Ann met Bob as _ came.", "option1": "Ann", "option2": "Bob", "answer": "2"},
        "sentence: Ann met Bob as _ came. option0: Ann option1: Ann", "1", ("accuracy",), "large",
        (39_398, 1_000, 1_267),
    ),
    "yelp_polarity": Published(
        398, {"text": "Bad\\n" * 3, "label": 0}, "sentence: " + "Bad\\n" * 3, "0", ("accuracy",), "large",
        (100_000, 1_000, 38_000), read=("train", "test"),
    ),
    "scitail": Published(
        322,
        {"sentence1_binary_parse": "", "sentence1_parse": "", "sentence1": ODD, "sentence2_parse": "",
         "sentence2": "No.", "annotator_labels": ["neutral"], "gold_label": "neutral"},
        f"premise: {ODD} hypothesis: No.", "1", ("accuracy",), "small", (23_596, 652, 652),
    ),
    "paws": Published(
        856, {"id": 1, "sentence1": ODD, "sentence2": "No.", "label": 1}, f"sentence1: {ODD} sentence2: No.", "1",
        ("accuracy",), "as_given", (49_401, 8_000, 8_000), read=("train", "validation", "test"),
    ),
}  # fmt: skip


def read_one(task: Task, folder: Path, rows: list[dict[str, Any]]) -> Rows:
    """The train examples of rows that stand in every published split, whatever the split rule."""
    given = replace(task, split="as_given", sizes=None, splits=None)
    for split in given.raw_splits:
        write_rows(folder / str(given.folder) / f"{split}.parquet", rows)
    return load_rows(given, find_source(given, folder))["train"]


@pytest.mark.parametrize("name", PAPER)
def test_each_task_is_as_published(name: str, tmp_path: Path) -> None:
    task, published = get_task(name), PAPER[name]
    assert task.metrics == published.metrics
    assert (task.split, task.sizes, task.raw_splits) == (published.split, published.sizes, published.read)
    assert task.max_source_length == published.length
    rows = read_one(task, tmp_path, [published.row])
    assert (rows.sources[0], rows.targets[0]) == (published.text, published.target)
    assert task.hub is not None and task.revision is not None and len(task.revision) == 40


def test_the_tasks_of_every_table_are_there() -> None:
    from orchestrator.summarizer.results.published import rows, task_key

    known = {task_key(get_task(name).published_as or "") for name in PAPER}
    wanted = {task_key(row.task) for row in rows() if row.table in (3, 4, 15) and not row.task.endswith("mean")}
    assert wanted <= known


def counts_of(task: Task, published: dict[str, int]) -> tuple[int, ...]:
    return tuple(len(places) for _, places in split_places(task, published).values())


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("mnli", {"train": 392_702, "validation_mismatched": 9_832, "validation_matched": 9_815}),
        ("qqp", {"train": 363_846, "validation": 40_430 + 1}),
        ("yelp_polarity", {"train": 560_000, "test": 38_000}),
        ("scitail", {"train": 23_596, "validation": 1_304}),
        ("superglue-wsc.fixed", {"train": 554, "validation": 104}),
        ("winogrande", {"train": 40_398, "validation": 1_267}),
        ("paws", {"train": 49_401, "validation": 8_000, "test": 8_000}),
        ("newsqa", {"train": 74_160, "validation": 4_212}),
    ],
)
def test_the_published_rows_give_the_sizes_of_table_16(name: str, rows: dict[str, int]) -> None:
    task = get_task(name)
    assert counts_of(task, rows) == task.sizes
    places = split_places(task, rows)
    assert [split for split, _ in places.values()][-1] == task.raw_splits[-1]


def test_yelp_trains_on_the_first_hundred_thousand_of_the_permuted_rest() -> None:
    """`train.py`, line 631, after `get_split_indices` (lines 93 to 98)."""
    order = torch.randperm(560_000, generator=torch.Generator().manual_seed(42)).tolist()
    places = split_places(get_task("yelp"), {"train": 560_000, "test": 38_000})
    assert places["train"] == ("train", order[1_000:101_000])
    assert places["validation"] == ("train", order[:1_000])


def test_validation_and_test_of_mnli_are_the_two_halves_that_it_publishes(tmp_path: Path) -> None:
    task = replace(get_task("mnli"), sizes=None)
    for place, split in enumerate(task.raw_splits):
        write_rows(tmp_path / "glue/mnli" / f"{split}.parquet", [{"premise": split, "hypothesis": "", "label": place}])
    rows = load_rows(task, find_source(task, tmp_path))
    assert {split: found.sources for split, found in rows.items()} == {
        split: [f"premise: {read} hypothesis: "]
        for split, read in zip(("train", "validation", "test"), task.raw_splits, strict=True)
    }


def marked_as_published(row: dict[str, Any]) -> str:
    """`_mark_span` and its caller (lines 751 to 765) as one regular expression."""

    def mark(text: str, span: str, index: int, sign: str) -> str:
        return regex.sub(rf"^((?:\S+\s){{{index}}})({span})", rf"\1{sign} \2 {sign}", text)

    text = mark(row["text"], row["span1_text"], row["span1_index"], "*")
    second = row["span2_index"] + 2 * int(row["span1_index"] < row["span2_index"])
    return mark(text, row["span2_text"], second, "#")


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("Mark told Pete a lie which he believed", ("Pete", 2), ("he", 6)),
        ("Although she was late Ann stayed", ("Ann", 4), ("she", 1)),  # the pronoun stands first
        ("The city councilmen refused them as they feared it", ("The city councilmen", 0), ("they", 6)),
        ("It was Ann's idea", ("Ann", 2), ("It", 0)),  # a span is the beginning of a word
        ("Two  blanks in it", ("in", 2), ("it", 3)),  # words between single blanks only: nothing is marked
        ("He saw Ann", ("Bob", 2), ("He", 0)),  # another span than its index says
        ("Ann ( who came ) saw it", ("Ann ( who came )", 0), ("it", 6)),
        ("Zoë und 北京 sie", ("北京", 2), ("sie", 3)),
        ("Ann saw\nher", ("Ann", 0), ("her", 2)),
    ],
)
def test_spans_of_wsc_are_marked_where_their_index_says(
    text: str, first: tuple[str, int], second: tuple[str, int], tmp_path: Path
) -> None:
    row = {"text": text, "span1_text": first[0], "span1_index": first[1], "span2_text": second[0],
           "span2_index": second[1], "idx": 0, "label": 0}  # fmt: skip
    [source] = read_one(get_task("wsc"), tmp_path, [row]).sources
    expected = marked_as_published(row)
    if "(" in first[0]:  # the released code takes a span for a pattern, which this text does not match
        assert expected == text
        expected = "* Ann ( who came ) * saw # it #"
    assert source == f"text: {expected}"


@pytest.mark.parametrize("text", [ODD, "", "a_b\tc\n\nd", "«x»…", "1,000.5%", "e\u0301a", " . ", "\u3000x\u00a0y"])
def test_punctuation_is_padded_as_published(text: str) -> None:
    """`pad_punctuation` (lines 944 to 954), up to the blanks at the ends, which T5's tokenizer drops."""
    from trials.tasks.mrqa import padded

    published = regex.sub(r"\s+", " ", regex.sub(r"([^_\s\p{N}\p{L}\p{M}])", r" \1 ", text))
    assert padded(text) == published.strip()


def test_answers_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"column 'answers' holds \[\], and a question needs a right answer in 1 row"):
        read_one(get_task("nq"), tmp_path, [{**SHORT, "answers": ["x"]}, {**SHORT, "answers": []}])
    record = PAPER["superglue-record"].row
    found = read_one(get_task("record"), tmp_path, [record, {**record, "answers": []}])
    assert found.targets == ["Bob", "Ann", "<unk>"]  # lines 821 to 826
