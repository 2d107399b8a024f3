"""One's own data as a task: a YAML file beside CSV, JSON Lines or Parquet files (see `docs/own-task.md`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, TypeAdapter, ValidationError

from trials.errors import TaskError, did_you_mean
from trials.tasks.base import (
    SPLIT_RULES,
    SPLITS,
    Task,
    TsvQuoting,
    label_key,
    raw_splits,
    template_columns,
)
from trials.tasks.metrics import BINARY_METRICS, METRICS
from trials.tasks.own_files import Problem, labels_of, located, read_files
from yaml_reader import Document, DocumentError, read_document


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
_Text = Annotated[str, StringConstraints(min_length=1)]
_Target = Annotated[str, StringConstraints(min_length=1, pattern=r"^\S(.*\S)?$")]
_Paths = Annotated[list[_Text], BeforeValidator(_one_or_many), Field(min_length=1)]

_REQUIRED = ("name", "files", "template")
_DEFAULTS: dict[str, Any] = {
    "label_column": "label",
    "metrics": ["accuracy"],
    "max_source_length": 256,
    "split": "as_given",
    "tsv_quoting": None,
}
_CHOICES = {"split": SPLIT_RULES, "tsv_quoting": ("none", "csv")}
_KEYS: dict[str, TypeAdapter[Any]] = {
    "name": TypeAdapter(_Name),
    "title": TypeAdapter(_Text),
    "files": TypeAdapter(dict[str, _Paths]),
    "template": TypeAdapter(_Text),
    "label_column": TypeAdapter(_Text),
    "labels": TypeAdapter(Annotated[dict[str, _Target], Field(min_length=1)]),
    "metrics": TypeAdapter(Annotated[list[str], BeforeValidator(_one_or_many), Field(min_length=1)]),
    "max_source_length": TypeAdapter(Annotated[int, Field(strict=True, ge=2)]),
    "split": TypeAdapter(Literal["as_given", "small", "large"]),
    "tsv_quoting": TypeAdapter(TsvQuoting),
}


def load_task_file(path: str | Path) -> Task:
    """The task that a YAML file describes.

    Its keys are name, files, template (all three required), title, label_column ("label"), labels, metrics
    (["accuracy"]), max_source_length (256), split ("as_given") and tsv_quoting (none). Paths are relative to the
    file; one may be a pattern or a folder. Without `labels`, the distinct values of the label column in train, sorted,
    become "0", "1", ...

    Raises:
        TaskError: the file is missing, is no YAML, or something in it or in its data's columns is wrong; all problems
            at once, each with the line of its key.
    """
    path = Path(path).expanduser()
    document = _read(path)
    values, problems = _checked_keys(document)
    values = _DEFAULTS | values
    problems += _checked_facts(values)
    files, found = located(values.get("files", {}), path.resolve().parent)
    problems += found
    columns = _columns_of(values.get("template", ""))
    if columns and files:
        tables, found = read_files(files, columns, values["label_column"], values["tsv_quoting"])
        problems += found
        if not found and "labels" not in document.data and "train" in files:
            values["labels"], found = labels_of(tables, values["label_column"])
            problems += found
    problems += _checked_metrics(values)
    if problems or document.found:
        raise TaskError([*document.problems, *(_placed(document, *problem) for problem in problems)])
    return Task(
        name=values["name"],
        title=values.get("title", values["name"]),
        template=values["template"],
        labels=values["labels"],
        label_column=values["label_column"],
        split=values["split"],
        metrics=tuple(dict.fromkeys(values["metrics"])),
        max_source_length=values["max_source_length"],
        files=files,
        tsv_quoting=values["tsv_quoting"],
    )


def _read(path: Path) -> Document:
    if not path.is_file():
        near = did_you_mean(path.name, (p.name for p in path.parent.iterdir())) if path.parent.is_dir() else ""
        raise TaskError(f"{path}: no such task file{near}")
    try:
        document = read_document(path, name=str(path))
    except DocumentError as error:
        raise TaskError(error.problems) from error
    if not isinstance(document.data, dict):
        keys = ", ".join(_REQUIRED)
        raise TaskError(f"{path}: a task file is a mapping with the keys {keys}, ...; found {document.data!r}")
    return document


def _placed(document: Document, key: str, problem: str) -> str:
    """A problem with the line of the key that it is about."""
    line = document.lines.get((key,))
    return f"{document.name}:{line}: {problem}" if line else f"{document.name}: {problem}"


def _checked_keys(document: Document) -> tuple[dict[str, Any], list[Problem]]:
    """(the sound values, problems) of each key by itself."""
    raw = dict(document.data)
    problems = [
        (key, f"unknown key '{key}'{did_you_mean(key, _KEYS)}; keys are {', '.join(_KEYS)}")
        for key in raw
        if key not in _KEYS
    ]
    problems += [("", f"the key '{key}' is missing") for key in _REQUIRED if key not in raw]
    if isinstance(raw.get("labels"), dict):  # a target is the text as it is written: `010` is no number
        written = document.written
        raw["labels"] = {
            label: written.get(("labels", label), target) if target is not None else None
            for label, target in raw["labels"].items()
        }
    values: dict[str, Any] = {}
    for key, adapter in _KEYS.items():
        if key not in raw:
            continue
        try:
            values[key] = adapter.validate_python(raw[key])
        except ValidationError as error:
            for found in error.errors():
                inner = "".join(f"[{part!r}]" for part in found["loc"] if part != "[key]")
                hint = ""
                if found["type"] == "literal_error":
                    hint = did_you_mean(str(found["input"]), _CHOICES[key])
                problems.append((key, f"{key}{inner}: {_plain(found)}{hint}, found {found['input']!r}"))
    return values, problems


_PLAIN = {
    "too_short": "should not be empty",
    "string_too_short": "should not be empty",
    "list_type": "should be a text or a list of texts",
    "string_type": "should be text",
    "dict_type": "should be a mapping",
}


def _plain(found: Any) -> str:
    """What is asked for, in the words of a user."""
    if found["type"] == "string_pattern_mismatch":
        if found["loc"]:
            return "a target text has one line, without white space at its ends"
        return "a name has letters, digits, '_', '.' and '-' only, and starts with a letter or digit"
    said: str = _PLAIN.get(found["type"], found["msg"])
    return said.replace("Input should be", "should be").removeprefix("Value error, ")


def _checked_facts(values: dict[str, Any]) -> list[Problem]:
    """What is wrong between keys, without a look at the data."""
    from trials.tasks import TASKS

    problems = []
    if values.get("name") in TASKS:
        problems.append(("name", f"name: '{values['name']}' is a registered task; choose another name"))
    if "template" in values:
        found = ""
        try:
            if not template_columns(values["template"]):
                found = 'it names no column; write columns in braces, e.g. "text: {text}"'
            elif values["label_column"] in template_columns(values["template"]):
                found = "it names the label column, so the answer would stand in the question"
        except ValueError as error:
            found = str(error)
        problems += [("template", f"template: {found}")] if found else []
    if "labels" in values:
        problems += [("labels", f"labels: {problem}") for problem in _checked_labels(values["labels"])]
    if "files" in values:
        problems += [("files", f"files: {problem}") for problem in _checked_splits(values["files"], values["split"])]
    return problems


def _checked_labels(labels: dict[str, str]) -> list[str]:
    keys = [label_key(value) for value in labels]
    problems = [f"'{key}' stands there twice" for key in sorted({k for k in keys if keys.count(k) > 1})]
    problems += [f"{value!r} is no label; give the rows that have it one" for value in labels if not value.strip()]
    if len(targets := list(dict.fromkeys(labels.values()))) == 1:
        problems.append(f"every label has the target '{targets[0]}'; at least two different targets are needed")
    return problems


def _checked_splits(files: Iterable[str], rule: Any) -> list[str]:
    wanted = raw_splits(rule, own=True)
    problems = [
        f"no '{split}', which split: {rule} needs (it reads {', '.join(wanted)})"
        for split in wanted
        if split not in files
    ]
    for split in files:
        if split not in SPLITS:
            problems.append(f"unknown split '{split}'{did_you_mean(split, SPLITS)}; {', '.join(SPLITS)}")
        elif split not in wanted:
            problems.append(f"'{split}' is given, but split: {rule} reads only {', '.join(wanted)}; take it out")
    return problems


def _columns_of(template: str) -> tuple[str, ...]:
    try:
        return template_columns(template)
    except ValueError:  # `_checked_facts` says so
        return ()


def _checked_metrics(values: dict[str, Any]) -> list[Problem]:
    problems = [
        f"no metric '{metric}'{did_you_mean(metric, METRICS)}; it is one of {', '.join(METRICS)}"
        for metric in values["metrics"]
        if metric not in METRICS
    ]
    targets = list(dict.fromkeys(values.get("labels", {}).values()))
    if targets and set(targets) != {"0", "1"}:
        problems += [
            f"{metric} is binary: it needs the target texts '0' and '1', found {', '.join(targets)}"
            for metric in values["metrics"]
            if metric in BINARY_METRICS
        ]
    return [("metrics", f"metrics: {problem}") for problem in problems]
