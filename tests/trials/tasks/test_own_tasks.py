from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from tests.trials.made_data import REPOSITORY, nano_tokenizer, write_rows
from trials.data import prepare
from trials.errors import TaskError
from trials.tasks import get_task
from trials.tasks.base import Task
from trials.tasks.own import load_task_file
from trials.tasks.targets import Labels

ROWS: list[dict[str, Any]] = [
    {"text": "plain words", "label": 2},
    {"text": 'a comma, a "quote" and\na second line', "label": 10},
    {"text": "2020-01-01", "label": 2},
    {"text": "", "label": 10},
    {"text": "NA", "label": 2},
    {"text": "größer – ½ 日本", "label": 10},
]


def write_csv(path: Path, rows: list[dict[str, Any]], delimiter: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC)
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_split(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        write_rows(path, rows)
    elif path.suffix == ".jsonl":
        write_jsonl(path, rows)
    else:
        write_csv(path, rows, "\t" if path.suffix == ".tsv" else ",")


def write_task(folder: Path, ending: str = "csv", rows: list[dict[str, Any]] | None = None, **changes: Any) -> Path:
    """Three splits and the YAML file of an own task. A change to None takes the key out."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {split: f"{split}.{ending}" for split in ("train", "validation", "test")}
    for name in names.values():
        write_split(folder / name, ROWS if rows is None else rows)
    facts = {"name": "mine", "files": names, "template": "text: {text}"} | changes
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in facts.items() if value is not None}))
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(TaskError) as caught:
        load_task_file(path)
    return caught.value.problems


def test_the_formats_give_equal_rows(tmp_path: Path) -> None:
    read: dict[str, Any] = {}
    for ending in ("csv", "tsv", "jsonl", "parquet"):
        task = get_task(write_task(tmp_path / ending, ending))
        prepared = prepare(task, nano_tokenizer(), architecture="encoder-decoder", cache_dir=tmp_path / "cache")
        batch = prepared.split("train").batch(range(len(ROWS)))
        read[ending] = (task.labels, [ids.tolist() for ids in batch[0]], batch[2], prepared.report)
    assert read["csv"] == read["tsv"] == read["jsonl"] == read["parquet"]
    assert read["csv"][0] == {"2": "0", "10": "1"}  # in the order of numbers, not of text
    assert read["csv"][2] == ["0", "1", "0", "1", "0", "1"]


def test_paths_are_relative_to_the_task_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task(tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    task = load_task_file("here/mine.yaml")
    assert task.files is not None
    assert task.files["train"] == (tmp_path / "here" / "train.csv",)


def test_a_split_may_have_several_files(tmp_path: Path) -> None:
    path = write_task(tmp_path)
    write_jsonl(tmp_path / "more.jsonl", [{"text": "more", "label": 10}])
    facts = yaml.safe_load(path.read_text())
    facts["files"]["train"] = ["train.csv", "more.jsonl"]
    path.write_text(yaml.safe_dump(facts))
    prepared = prepare(
        load_task_file(path), nano_tokenizer(), architecture="encoder-decoder", cache_dir=tmp_path / "cache"
    )
    assert prepared.sizes == {"train": 7, "validation": 6, "test": 6}
    assert prepared.split("train").batch([6])[2] == ["1"]


def test_labels_yes_and_no_are_words(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "yes"}, {"text": "b", "label": "no"}]
    path = write_task(tmp_path, rows=rows)
    path.write_text(path.read_text() + "labels: {yes: 1, no: 0}\nmetrics: [f1, accuracy]\n")
    task = load_task_file(path)
    assert task.labels == {"yes": "1", "no": "0"}
    assert task.metrics == ("f1", "accuracy")


def test_the_defaults(tmp_path: Path) -> None:
    task = load_task_file(write_task(tmp_path))
    expected = Task(
        name="mine", title="mine", template="text: {text}", target=Labels({"2": "0", "10": "1"}), files=task.files
    )
    assert task == expected


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    path = write_task(tmp_path, template="text: {txt}", metrics=["acuracy"], max_source_length=1, split="as_gven")
    path.write_text(path.read_text() + "tempalte: x\n")
    (tmp_path / "test.csv").rename(tmp_path / "tets.csv")
    said = "\n".join(problems_of(path))
    for piece in (
        "tempalte: unknown key (did you mean 'template'?)",
        "no column 'txt' (did you mean 'text'?)",
        "no metric 'acuracy' (did you mean 'accuracy'?)",
        "max_source_length",
        "(did you mean 'as_given'?)",
        "no such file (did you mean 'tets.csv'?)",
    ):
        assert piece in said


@pytest.mark.parametrize(
    ("changes", "piece"),
    [
        ({"name": None}, "the key 'name' is missing"),
        ({"name": "rte"}, "is a registered task"),
        ({"name": "my task"}, "letters, digits"),
        ({"template": "no column"}, "names no column"),
        ({"template": "{text} {label}"}, "names the label column"),
        ({"template": "{text!r}"}, "not a plain column name"),
        ({"label_column": "lable"}, "no column 'lable' (did you mean 'label'?)"),
        ({"labels": {2: "a", "2": "b"}}, "labels.2: stands twice, on lines"),
        ({"labels": {2: "a", "2.0": "b"}}, "'2' stands there twice"),
        ({"labels": {2: "same", 10: "same"}}, "at least two different targets are needed"),
        ({"labels": {2: " a"}}, "white space"),
        ({"labels": {2: ""}}, "should not be empty"),
        ({"labels": {2: "no", 10: "yes"}, "metrics": ["f1"]}, "f1 is binary"),
        ({"metrics": []}, "should not be empty"),
        ({"max_source_length": "many"}, "found 'many'"),
        ({"split": "small"}, "'test' is given, but split: small reads only train, validation"),
        ({"files": {"train": "train.csv", "validation": "validation.csv"}}, "no 'test'"),
        ({"files": {"train": "train.csv", "validation": "train.csv", "test": "test.csv"}}, "names already"),
        ({"files": {"train": "train.csv", "validation": "validation.csv", "tset": "test.csv"}}, "mean 'test'?"),
        (
            {"files": {"train": 5, "validation": "validation.csv", "test": "test.csv"}},
            "files.train: should be a text or a list of texts",
        ),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, changes: dict[str, Any], piece: str) -> None:
    assert any(piece in problem for problem in problems_of(write_task(tmp_path, **changes)))


@pytest.mark.parametrize("values", [range(11), [1]])
def test_labels_must_be_written_out_beyond_ten_values_or_for_one(tmp_path: Path, values: Any) -> None:
    rows = [{"text": "a", "label": value} for value in values]
    [problem] = problems_of(write_task(tmp_path, rows=rows))
    assert f"has {len(rows)} distinct values" in problem
    names = {str(value): f"target {value}" for value in values}
    if len(rows) > 1:
        assert load_task_file(write_task(tmp_path, rows=rows, labels=names)).labels == names


@pytest.mark.parametrize("text", ["", "just text", "- a\n- list\n", "a: [unclosed", "\x00"])
def test_what_is_no_task_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    [problem] = problems_of(tmp_path / "mine.yaml")
    assert "mine.yaml" in problem
    assert "mapping" in problem or "not YAML" in problem


@pytest.mark.parametrize(
    ("name", "content", "piece"),
    [
        ("x.csv", b"text;label\na;0\n", "columns are separated by commas"),
        ("x.csv", b"text,label\na,0\na,b,0\n", "put quotes around texts"),
        ("x.csv", b"text,label\ncaf\xe9,0\n", "not UTF-8"),
        ("x.csv", b"t\xe9xt,label\na,0\n", "not UTF-8"),
        ("x.csv", b"text,text,label\na,b,0\n", "two columns are called 'text'"),
        ("x.csv", b"", "is empty"),
        ("x.jsonl", b'[{"text": "a", "label": 0}]', "one JSON object a line"),
        ("x.jsonl", b'{"text": "a", "label": 0}\n{"text": "b", "la', "not JSON Lines"),
        ("x.jsonl", b'{"text": "a", "label": 0}\n{"text": 5, "label": 0}\n', "row 1"),
        ("x.jsonl", b'{"txt": "a", "label": 0}\n', "no column 'text' (did you mean 'txt'?)"),
        ("x.parquet", b"PAR1 and then nothing", "truncated, damaged or not a Parquet file"),
        ("x.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        ("x.xlsx", b"PK", "unknown format '.xlsx'"),
    ],
)
def test_a_wrong_file_is_named_with_its_fix(tmp_path: Path, name: str, content: bytes, piece: str) -> None:
    (tmp_path / name).write_bytes(content)
    files = {"train": name, "validation": "validation.csv", "test": "test.csv"}
    [problem] = problems_of(write_task(tmp_path, files=files, labels={2: "0", 10: "1"}))
    assert name in problem
    assert piece in problem


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = write_task(tmp_path)
    for split in ("train", "validation", "test"):
        file = tmp_path / f"{split}.csv"
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_task_file(path).labels == {"2": "0", "10": "1"}


def test_a_large_row_is_read(tmp_path: Path) -> None:
    rows = [{"text": "x" * 3_000_000, "label": 2}, {"text": "b", "label": 10}]
    for ending in ("csv", "jsonl"):
        assert load_task_file(write_task(tmp_path / ending, ending, rows)).columns == ("text",)


def test_pandas_categories_are_labels_and_texts(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        text, label = pa.array(["a", "b"]).dictionary_encode(), pa.array(["x", "y"]).dictionary_encode()
        write_rows(path, pa.table({"text": text, "label": label}))

    path = write_task(tmp_path, "parquet")
    for split in ("train", "validation", "test"):
        write(tmp_path / f"{split}.parquet")
    task = load_task_file(path)
    prepared = prepare(task, nano_tokenizer(), architecture="encoder-decoder", cache_dir=tmp_path / "cache")
    assert prepared.split("test").batch([0, 1])[2] == ["0", "1"]


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "own-task.md").read_text(encoding="utf-8")
    blocks = {kind: page.split(f"```{kind}\n")[1].split("```")[0] for kind in ("csv", "yaml")}
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.csv").write_text(blocks["csv"])
    (tmp_path / "tickets.yaml").write_text(blocks["yaml"])
    task = get_task(tmp_path / "tickets.yaml")
    assert task.labels == {"accounts": "0", "billing": "1"}
    prepared = prepare(task, nano_tokenizer(), architecture="encoder-decoder", cache_dir=tmp_path / "cache")
    ids, _, targets = prepared.split("train").batch([0, 1])
    text = 'subject: Cannot log in body: The page says "wrong password", twice.'
    assert ids[0].tolist() == nano_tokenizer()(text)["input_ids"]
    assert targets == ["0", "1"]


def test_values_are_read_as_they_are_written(tmp_path: Path) -> None:
    path = write_task(tmp_path, labels=None)
    path.write_text(path.read_text() + "labels: {2: 010, 10: 12:30}\n")
    assert load_task_file(path).labels == {"2": "010", "10": "12:30"}


def test_equal_keys_are_named_with_both_lines(tmp_path: Path) -> None:
    path = write_task(tmp_path)
    path.write_text(path.read_text() + "labels: {2: a, 10: b, 2: b}\ntemplate: '{text}'\n")
    lines = path.read_text().splitlines()
    first, second = (number for number, line in enumerate(lines, 1) if line.startswith("template"))
    assert problems_of(path) == [
        f"{path}:{first}: template: stands twice, on lines {first} and {second}: remove one",
        f"{path}:{len(lines) - 1}: labels.2: stands twice, on line {len(lines) - 1}: remove one",
    ]


def test_a_file_nested_too_deep_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("[" * 5_000 + "]" * 5_000)
    assert problems_of(tmp_path / "mine.yaml") == [
        f"{tmp_path / 'mine.yaml'}: nested too deep, or an anchor that holds itself"
    ]
