"""Tasks that ask for a text or a number, rows that become several examples, and tasks of other packages.

The examples of `docs/own-task.md` are the tasks here: what the page prints is read, trained and answered.
"""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.trials.made_data import nano_tokenizer, write_rows
from tests.trials.making import config
from tests.trials.tasks.printed import PRINTED, prepared_of, write_printed
from trials.backbones.loading import Backbone
from trials.data.rows import load_rows
from trials.data.sources import find_source
from trials.engine import Engine, EngineSettings
from trials.errors import DataError, TaskError
from trials.export.adapters import load_adapter
from trials.tasks import get_task
from trials.tasks.base import EachElement, Examples, Task
from trials.tasks.own import load_task_file
from trials.tasks.targets import Number, Text


@pytest.mark.parametrize(
    ("name", "targets", "groups", "metrics"),
    [
        ("repairs", ["drive belt", "door seal"], None, ("token_f1", "exact_match")),
        ("effort", ["0.0", "5.0", "1.0"], None, ("pearson", "spearman")),  # halves to the even multiple: 4.75 is 5.0
        ("quiz", ["1", "0", "1", "1", "0"], ["0", "0", "1", "1", "1"], ("f1", "group_accuracy")),
    ],
)
def test_the_examples_of_the_page_are_read_trained_and_answered(
    tmp_path: Path,
    backbone: Backbone,
    name: str,
    targets: list[str],
    groups: list[str] | None,
    metrics: tuple[str, ...],
) -> None:
    task = get_task(write_printed(tmp_path, name) / f"{name}.yaml")
    assert task.metrics == metrics
    assert pickle.loads(pickle.dumps(task)) == task
    data = prepared_of(task, tmp_path, backbone.tokenizer, backbone.facts.architecture)
    split = data.split("train")
    assert (split.targets, split.groups) == (targets, groups)
    engine = Engine(backbone, data, EngineSettings(deterministic=True))
    engine.start("a", config("pt", steps=2, eval_every=2, batch_size=2))
    report = engine.next_report("a")
    assert set(report.validation) == set(metrics)
    engine.save("a", tmp_path)
    adapter = load_adapter(tmp_path / "adapter", backbone)
    rows = [dict.fromkeys(adapter.columns, "anything")]
    (found,) = adapter.predict_rows(rows)
    assert found.answer == adapter.predict(rows)[0]
    assert (set(found.probabilities) == {"true", "false"}) == (name == "quiz")
    assert set(data.majority()) == {"validation", "test"}


def test_the_examples_of_a_row_are_a_group_and_lie_in_one_split(tmp_path: Path) -> None:
    task = replace(get_task(write_printed(tmp_path, "quiz") / "quiz.yaml"), metrics=("group_accuracy",))
    source = find_source(task, None)
    rows = load_rows(task, source)["train"]
    assert rows.sources[0] == "question: Which are birds? answer: wren"
    data = prepared_of(task, tmp_path)
    assert data.sizes["validation"] == 5 and data.examples["validation"] == 2  # groups are what the metric counts
    halved = replace(task, split="small", files={s: f for s, f in (task.files or {}).items() if s != "test"})
    split = load_rows(halved, find_source(halved, None))
    assert {len(set(part.groups)) for part in (split["validation"], split["test"])} == {1}
    assert not set(split["validation"].groups) & set(split["test"].groups)


def test_several_right_answers_to_one_question_are_no_contradiction(tmp_path: Path) -> None:
    row = {"question": "Which are birds?", "answers": ["wren", "tit"]}
    for split in ("train", "validation", "test"):
        write_rows(tmp_path / f"{split}.parquet", [row, {"question": "Which swim?", "answers": ["cod"]}])
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nfiles: {train: train.parquet, validation: validation.parquet, test: test.parquet}\n"
        "template: '{question}'\neach: answers\ntarget: {type: text, column: answers, max_length: 2}\n"
        "metrics: [best_token_f1, token_f1]\n"
    )
    data = prepared_of(get_task(tmp_path / "mine.yaml"), tmp_path)
    assert data.split("train").targets == ["wren", "tit", "cod"]
    report = data.report.splits["train"]
    assert (report.classes, report.conflicting_rows) == ({}, 0)
    assert data.majority() == {"validation": 50.0, "test": 50.0}  # a constant meets one question of two
    assert report.cut_targets == 3
    assert any("targets longer than 2 tokens" in warning for warning in data.report.warnings)
    ids = data.split("train").batch([0])[1][0].tolist()
    assert len(ids) == 2 and ids[-1] == nano_tokenizer().eos_token_id  # cutting keeps the end


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([{"text": "a", "target": 7}], "is 7 in 1 row (0; the first row is 0); task 'mine' allows numbers from 0 to 5"),
        ([{"text": "a", "target": None}, {"text": "b", "target": 1}], "is null in 1 row (0; the first row is 0)"),
        ([{"text": "a", "target": "x"}], "is 'x' in 1 row"),
        ([{"text": "a", "target": float("nan")}], "is nan in 1 row"),
    ],
)
def test_what_is_no_number_of_the_range_is_named(tmp_path: Path, rows: list[dict[str, Any]], problem: str) -> None:
    task = task_on(tmp_path, rows, Number(0, 5, 0.5))
    with pytest.raises(DataError) as caught:
        load_rows(task, find_source(task, None))
    assert len(caught.value.problems) == 3
    assert problem in caught.value.problems[0]


def task_on(folder: Path, rows: list[dict[str, Any]], target: Any, **more: Any) -> Task:
    files = {s: (write_rows(folder / f"{s}.parquet", rows),) for s in ("train", "validation", "test")}
    return Task(name="mine", title="Mine", template="{text}", target=target, files=files, **more)


def test_a_text_must_not_be_empty_and_a_list_must_have_elements(tmp_path: Path) -> None:
    task = task_on(tmp_path, [{"text": "a", "target": " "}], Text())
    with pytest.raises(DataError, match="needs a text that is not empty"):
        load_rows(task, find_source(task, None))
    examples = Examples(EachElement("target"), reads=("text", "target"), texts=("text",))
    task = task_on(tmp_path, [{"text": "a", "target": ["x"]}, {"text": "b", "target": []}], Text(), examples=examples)
    with pytest.raises(
        DataError, match=r"column 'target' holds \[\], not a list .* in 1 row \(1; the first row is 0\)"
    ):
        load_rows(task, find_source(task, None))


@pytest.mark.parametrize("value", [3.3, 4.909, 0.05, 2.25, 5.0, "1.0", 0])
def test_numbers_are_rounded_as_numpy_rounds(value: Any) -> None:
    import numpy as np

    assert Number(0.0, 5.0, 0.1).text_of(value) == str(np.round(float(value), 1))
    assert Number(0.0, 5.0, 0.2).text_of(value) == str(round(float(value) * 5) / 5)  # T5's rule
    assert len(Number(0.0, 5.0, 0.2).answers) == 26


@pytest.mark.parametrize(
    ("low", "high", "step"), [(0.0, 0.35, 0.1), (0.5, 1.15, 0.1), (0.0, 0.95, 0.1), (0.15, 1, 0.05)]
)
def test_every_number_of_the_range_has_one_of_the_answers(low: float, high: float, step: float) -> None:
    """The ends, too, where a division by the step and a product with its inverse round to different sides."""
    number = Number(low, high, step)
    for value in (low, high, *(low + n * (high - low) / 200 for n in range(200))):
        assert number.text_of(value) in number.answers


def test_a_step_that_makes_all_numbers_one_is_refused() -> None:
    assert "to one" in Number(0.0, 1.0, 5.0).problem and "to one" in Number(3.0, 4.0, 10.0).problem
    assert not Number(0.0, 1.0, 1.0).problem


def test_published_rows_of_each_kind_become_the_published_texts(tmp_path: Path) -> None:
    """The rules of ADePT's released code, on made-up rows in the layout of the hub."""
    rows: dict[str, list[dict[str, Any]]] = {
        "glue/stsb": [{"sentence1": "A.", "sentence2": "B.", "label": 3.8}],
        "super_glue/multirc": [
            {"paragraph": "<b>One</b><br>two", "question": "Who?", "answer": name, "label": right,
             "idx": {"paragraph": 4, "question": 7, "answer": place}}
            for place, (name, right) in enumerate([("me", 1), ("you", 0)])
        ],
        "super_glue/record": [
            {"passage": 'It was "so"\n@highlight\nHe came\n@highlight\nShe left', "query": "@placeholder came",
             "entities": ["Ann", "Bob"], "answers": ["Bob", "Ann"]},
        ],
        "mrqa/nq": [{"question": "who (really)?", "context": "Ann's cat.", "answers": ["Ann's", "Ann"]}],
    }  # fmt: skip
    found: dict[str, Any] = {}
    for name in ("stsb", "multirc", "record", "nq"):
        task = replace(get_task(name), split="as_given", sizes=None)
        assert task.folder is not None
        for split in ("train", "validation", "test"):
            write_rows(tmp_path / task.folder / f"{split}.parquet", rows[task.folder])
        read = load_rows(task, find_source(task, tmp_path))["test"]
        found[name] = [list(zip(read.sources, read.targets, strict=True)), read.groups]
    assert found == {
        "stsb": [[("sentence1: A. sentence2: B.", "3.8")], []],
        "multirc": [
            [
                ("question: Who? answer: me paragraph: One two", "1"),
                ("question: Who? answer: you paragraph: One two", "0"),
            ],
            ["4-7", "4-7"],
        ],
        "record": [
            [
                ('record query: @placeholder came entities: Ann, Bob passage: It was "so" He came. She left', answer)
                for answer in ("Bob", "Ann")
            ],
            ["0", "0"],
        ],
        "nq": [[("question: who ( really ) ? context: Ann ' s cat .", "Ann ' s")], ["0"]],
    }


@pytest.mark.parametrize(
    ("keys", "problems"),
    [
        ("target: {type: txt, column: part}", ["target.type: should be one of 'labels', 'text', 'number' (did"]),
        ("target: {type: text, colum: part}", ["target.colum: unknown key (did you mean 'column'?); keys are type,"]),
        ("target: {column: part}", ["target: the key 'type' is missing"]),
        ("target: {type: number, column: part, range: [0, 5]}", ["target: the key 'step' is missing"]),
        ("target: {type: number, column: part, range: [5, 0], step: 1}", ["needs low < high and a step above 0"]),
        ("target: {type: number, column: part, range: [0, 5], step: 0.001}", ["at most 1,000 are read"]),
        ("target: {type: text, column: part, max_length: 1}", ["target.max_length: should be greater than"]),
        ("target: {type: text, column: part}\nmetrics: f1", ["f1 is for labels; for text it is one of accuracy"]),
        ("target: {type: text, column: part}\nmetrics: best_token_f1", ["looks at groups: `group` names the column"]),
        ("target: {type: text, column: part}\nlabels: {a: b}", ["labels: stands beside `target`"]),
        ("target: {type: text, column: complaint}", ["names the target's column"]),
        ("target: {type: text, column: part}\neach: complaint", ["not a list with an element for each example"]),
        ("target: {type: text, column: part}\ngroup: nobody", ["no column 'nobody'"]),
        (
            "target: {type: text, max_length: few, column: ''}\nsplit: smal",
            ["target.column: should not be", "target.max_length: should be a valid integer", "(did you mean 'small'?)"],
        ),
    ],
)  # fmt: skip
def test_a_wrong_target_is_named_with_its_line(tmp_path: Path, keys: str, problems: list[str]) -> None:
    folder = write_printed(tmp_path, "repairs")
    kept = [line for line in PRINTED["repairs/repairs.yaml"].splitlines() if not line.startswith(("target", "metrics"))]
    (folder / "repairs.yaml").write_text("\n".join([*kept, keys, ""]))
    with pytest.raises(TaskError) as caught:
        load_task_file(folder / "repairs.yaml")
    found = "\n".join(caught.value.problems)
    for problem in problems:
        assert problem in found
    assert all(re.match(rf"{re.escape(str(folder))}/repairs.yaml:\d+: ", one) for one in caught.value.problems)
