"""One's own data as a task: a YAML file beside CSV, JSON Lines or Parquet files (see `docs/own-task.md`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, TypeAdapter, ValidationError

from trials.errors import DataError, TaskError, did_you_mean
from trials.tasks.base import SPLITS, Task, label_key, raw_splits, template_columns
from trials.tasks.metrics import BINARY_METRICS, METRICS

DIGIT_LABELS = 10


def _written(value: Any) -> Any:
    """A target text that was written as a number; nothing else is turned into text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _label(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("a label is a number, true or false, or text")
    return value


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
_Text = Annotated[str, StringConstraints(min_length=1)]
_Target = Annotated[str, BeforeValidator(_written), StringConstraints(min_length=1, pattern=r"^\S(.*\S)?$")]
_Paths = Annotated[list[_Text], BeforeValidator(_one_or_many), Field(min_length=1)]
_Label = Annotated[Any, AfterValidator(_label)]

_REQUIRED = ("name", "files", "template")
_DEFAULTS: dict[str, Any] = {
    "label_column": "label",
    "metrics": ["accuracy"],
    "max_source_length": 256,
    "split": "as_given",
}
_KEYS: dict[str, TypeAdapter[Any]] = {
    "name": TypeAdapter(_Name),
    "title": TypeAdapter(_Text),
    "files": TypeAdapter(dict[str, _Paths]),
    "template": TypeAdapter(_Text),
    "label_column": TypeAdapter(_Text),
    "labels": TypeAdapter(Annotated[dict[_Label, _Target], Field(min_length=1)]),
    "metrics": TypeAdapter(Annotated[list[str], BeforeValidator(_one_or_many), Field(min_length=1)]),
    "max_source_length": TypeAdapter(Annotated[int, Field(strict=True, ge=2)]),
    "split": TypeAdapter(Literal["as_given", "small", "large"]),
}


class _Loader(yaml.SafeLoader):
    """YAML 1.2's idea of a truth value: `yes` and `no` are labels that people use, not booleans."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF")


def load_task_file(path: str | Path) -> Task:
    """The task that a YAML file describes.

    Its keys are name, files, template (all three required), title, label_column ("label"), labels, metrics
    (["accuracy"]), max_source_length (256) and split ("as_given"). Paths are relative to the file. Without `labels`,
    the distinct values of the label column in train, sorted, become "0", "1", ...

    Raises:
        TaskError: the file is missing, is no YAML, or something in it or in its data's columns is wrong; all problems
            at once.
    """
    path = Path(path).expanduser()
    values, problems = _checked_keys(_read(path))
    values = _DEFAULTS | values
    problems += _checked_facts(values)
    files = _located(values.get("files", {}), path.resolve().parent)
    columns = _columns_of(values.get("template", ""))
    if columns and files:
        found = _checked_data(files, columns, values["label_column"])
        problems += found
        if not found and "labels" not in values and "train" in files:
            values["labels"], found = _labels_of(files["train"], columns, values["label_column"])
            problems += found
    problems += _checked_metrics(values)
    if problems:
        raise TaskError([f"{path}: {problem}" for problem in problems])
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
    )


def _read(path: Path) -> dict[Any, Any]:
    if not path.is_file():
        near = did_you_mean(path.name, (p.name for p in path.parent.iterdir())) if path.parent.is_dir() else ""
        raise TaskError(f"{path}: no such task file{near}")
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # a SafeLoader, with fewer tags
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise TaskError(f"{path}: not a YAML file ({' '.join(str(error).split())})") from error
    if not isinstance(raw, dict):
        raise TaskError(f"{path}: a task file is a mapping with the keys {', '.join(_REQUIRED)}, ...; found {raw!r}")
    return raw


def _checked_keys(raw: dict[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    """(the sound values, problems) of each key by itself."""
    problems = [
        f"unknown key '{key}'{did_you_mean(str(key), _KEYS)}; keys are {', '.join(_KEYS)}"
        for key in raw
        if key not in _KEYS
    ]
    problems += [f"the key '{key}' is missing" for key in _REQUIRED if key not in raw]
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
                    hint = did_you_mean(str(found["input"]), ("as_given", "small", "large"))
                problems.append(f"{key}{inner}: {_plain(found)}{hint}, found {found['input']!r}")
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


def _checked_facts(values: dict[str, Any]) -> list[str]:
    """What is wrong between keys, without a look at the data."""
    from trials.tasks import TASKS

    problems = []
    if values.get("name") in TASKS:
        problems.append(f"name: '{values['name']}' is a registered task; choose another name")
    if "template" in values:
        try:
            if not template_columns(values["template"]):
                problems.append('template: it names no column; write columns in braces, e.g. "text: {text}"')
            elif values["label_column"] in template_columns(values["template"]):
                problems.append("template: it names the label column, so the answer would stand in the question")
        except ValueError as error:
            problems.append(f"template: {error}")
    keys = [label_key(value) for value in values.get("labels", {})]
    problems += [f"labels: '{key}' stands there twice" for key in sorted({k for k in keys if keys.count(k) > 1})]
    if "files" in values:
        problems += _checked_splits(values["files"], values["split"])
    return problems


def _checked_splits(files: Iterable[str], rule: Any) -> list[str]:
    wanted = raw_splits(rule, own=True)
    problems = [
        f"files: no '{split}', which split: {rule} needs (it reads {', '.join(wanted)})"
        for split in wanted
        if split not in files
    ]
    for split in files:
        if split not in SPLITS:
            problems.append(f"files: unknown split '{split}'{did_you_mean(split, SPLITS)}; {', '.join(SPLITS)}")
        elif split not in wanted:
            problems.append(f"files: '{split}' is given, but split: {rule} reads only {', '.join(wanted)}; take it out")
    return problems


def _located(files: dict[str, list[str]], folder: Path) -> dict[str, tuple[Path, ...]]:
    return {split: tuple(folder / Path(file).expanduser() for file in named) for split, named in files.items()}


def _columns_of(template: str) -> tuple[str, ...]:
    try:
        return template_columns(template)
    except ValueError:  # `_checked_facts` says so
        return ()


def _checked_data(files: dict[str, tuple[Path, ...]], columns: tuple[str, ...], label_column: str) -> list[str]:
    """Files that cannot be read, columns that are missing, and a file that serves twice."""
    from trials.data.reading import read_table

    problems: list[str] = []
    used: dict[Path, str] = {}
    for split, named in files.items():
        for file in named:
            if file.resolve() in used:
                problems.append(f"files: {split} names {file}, which {used[file.resolve()]} names already")
                continue
            used[file.resolve()] = split
            try:
                read_table(file, columns, label_column)
            except DataError as error:
                problems += [f"files: {split}: {problem}" for problem in error.problems]
    return problems


def _labels_of(
    files: tuple[Path, ...], columns: tuple[str, ...], label_column: str
) -> tuple[dict[str, str], list[str]]:
    """(value -> digit, problems): the sorted distinct values of the label column become "0", "1", ..."""
    from trials.data.reading import read_table

    found: set[str] = set()
    for file in files:
        column = read_table(file, columns, label_column).column(label_column)
        found |= {label_key(value) for value in column.to_pylist() if value is not None}
    ordered = sorted(found, key=lambda key: (0, int(key), key) if re.fullmatch(r"-?[0-9]+", key) else (1, 0, key))
    if not 1 < len(found) <= DIGIT_LABELS:
        shown = ", ".join(repr(key) for key in ordered[:5]) + (", ..." if len(ordered) > 5 else "")
        return {}, [
            f"labels: the label column '{label_column}' of train has {len(found)} distinct values ({shown}); "
            f"2 to {DIGIT_LABELS} can do without `labels`: name another label_column, or write `labels`"
        ]
    return {key: str(digit) for digit, key in enumerate(ordered)}, []


def _checked_metrics(values: dict[str, Any]) -> list[str]:
    problems = [
        f"metrics: no metric '{metric}'{did_you_mean(metric, METRICS)}; it is one of {', '.join(METRICS)}"
        for metric in values["metrics"]
        if metric not in METRICS
    ]
    targets = list(dict.fromkeys(values.get("labels", {}).values()))
    if targets and set(targets) != {"0", "1"}:
        problems += [
            f"metrics: {metric} is binary: it needs the target texts '0' and '1', found {', '.join(targets)}"
            for metric in values["metrics"]
            if metric in BINARY_METRICS
        ]
    return problems
