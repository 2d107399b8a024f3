"""One's own data as a task: a YAML file beside CSV, JSON Lines or Parquet files (see `docs/own-task.md`)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from trials.errors import RowsError, TaskError
from trials.tasks import is_registered
from trials.tasks.base import SPLITS, EachElement, Examples, Task, TsvQuoting, raw_splits, template_columns
from trials.tasks.metrics import unfit
from trials.tasks.own_files import labels_of, located, read_files
from trials.tasks.targets import Labels, Number, Target, Text, label_key
from yaml_reader import Document, DocumentError, did_you_mean, read_document
from yaml_reader.home import from_home
from yaml_reader.models import Keys, validated


def _matching(pattern: str, rule: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(rule)
        return text

    return AfterValidator(check)


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_Name = Annotated[
    str,
    _matching(
        "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
        "a name has up to 64 letters, digits, '_', '.' and '-' only, and starts with a letter or digit",
    ),
]
_Written = Annotated[str, StringConstraints(min_length=1)]
_TargetText = Annotated[
    _Written, _matching(r"\S(.*\S)?", "a target text has one line, without white space at its ends")
]
_Paths = Annotated[list[_Written], BeforeValidator(_one_or_many), Field(min_length=1)]
_LabelTexts = Annotated[dict[str, _TargetText], Field(min_length=1)]


class LabelsKeys(Keys):
    """`target: {type: labels, ..}`."""

    type: Literal["labels"] = "labels"
    column: _Written = "label"
    labels: _LabelTexts | None = None


class TextKeys(Keys):
    """`target: {type: text, ..}`."""

    type: Literal["text"] = "text"
    column: _Written = Text.column
    max_length: Annotated[int, Field(strict=True, ge=2, le=1_024)] = Text.max_length


class NumberKeys(Keys):
    """`target: {type: number, ..}`."""

    type: Literal["number"] = "number"
    column: _Written = Number.column
    range: tuple[float, float]
    step: float


class TaskKeys(Keys):
    """What a task file may hold."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("name", "files", "template")
    name: _Name = ""
    title: _Written | None = None
    files: dict[str, _Paths] = Field(default_factory=dict)
    template: _Written = ""
    target: Annotated[LabelsKeys | TextKeys | NumberKeys, Field(discriminator="type")] | None = None
    label_column: _Written = "label"
    labels: _LabelTexts | None = None
    each: _Written | None = None
    group: _Written | None = None
    metrics: Annotated[list[str], BeforeValidator(_one_or_many), Field(min_length=1)] | None = None
    max_source_length: Annotated[int, Field(strict=True, ge=2)] = 256
    split: Literal["as_given", "small", "large"] = "as_given"
    tsv_quoting: TsvQuoting | None = None


def load_task_file(path: str | Path) -> Task:
    """The task that a YAML file describes; its keys are those of `TaskKeys`.

    Paths are relative to the file; one may be a pattern or a folder. Without `labels`, the distinct values of the label
    column in train, sorted, become "0", "1", ...

    Raises:
        TaskError: the file is missing, is no YAML, or something in it or in its data's columns is wrong; all problems
            at once, each with the line of its key. RowsError: nothing is wrong but with the rows.
    """
    path = from_home(path)
    document = _read(path)
    keys = validated(document, TaskKeys)
    columns = _checked_template(document, keys)
    target = _target(document, keys)
    files, problems = located(keys.files, path.resolve().parent)
    task = Task(
        name=keys.name,
        title=keys.title or keys.name,
        template=keys.template if columns else "",
        target=target,
        split=keys.split,
        metrics=tuple(dict.fromkeys(keys.metrics or [])),
        max_source_length=keys.max_source_length,
        examples=_examples(keys, target, columns),
        group=keys.group,
        files=files,
        tsv_quoting=keys.tsv_quoting,
    )
    if keys.name and is_registered(keys.name):
        document.report(("name",), f"'{keys.name}' is a registered task; choose another name")
    for problem in _checked_splits(keys) * ("files" in document.data):
        document.report(("files",), problem)
    # Labels that the rows bring may fit no metric: the rows' fault, not the file's.
    is_right = not document.found and not unfit(task.metrics, target.kind, task.answers, task.grouped)
    for problem in problems:
        document.report(("files",), problem)
    if columns and files:
        found, problems = read_files(task)
        for problem in problems:
            document.report(("files",), problem)
        if not problems and isinstance(target, Labels) and not _says_labels(document) and "train" in files:
            texts, problems = labels_of(found, target.column)
            for problem in problems:
                document.report(("labels",), problem)
            task = replace(task, target=Labels(texts, target.column))
    for problem in unfit(task.metrics, target.kind, task.answers, task.grouped):
        document.report(("metrics",), problem)
    if document.found:
        raise RowsError(document.problems, task.name) if is_right else TaskError(document.problems)
    return task


def _read(path: Path) -> Document:
    if not path.is_file():
        near = did_you_mean(path.name, (p.name for p in path.parent.iterdir())) if path.parent.is_dir() else ""
        raise TaskError(f"{path}: no such task file{near}")
    try:
        document = read_document(path, name=str(path))
    except DocumentError as error:
        raise TaskError(error.problems) from error
    if not isinstance(document.data, dict):
        keys = ", ".join(TaskKeys.REQUIRED)
        raise TaskError(f"{path}: a task file is a mapping with the keys {keys}, ...; found {document.data!r}")
    _as_written(document, document.data, "labels")
    if isinstance(document.data.get("target"), dict):
        _as_written(document, document.data["target"], "target", "labels")
    return document


def _as_written(document: Document, holder: dict[str, Any], *path: str) -> None:
    """A label's target is the text as it stands in the file: `010` is no number."""
    labels = holder.get("labels")
    if isinstance(labels, dict):
        texts = {label: document.written.get((*path, label), text) for label, text in labels.items()}
        holder["labels"] = {label: text if labels[label] is not None else None for label, text in texts.items()}


def _says_labels(document: Document) -> bool:
    target = document.data.get("target")
    return "labels" in document.data or (isinstance(target, dict) and "labels" in target)


def _target(document: Document, keys: TaskKeys) -> Target:
    """The target; labels without texts where those are still to be found in the data."""
    given = keys.target
    if given is not None:
        for key in {"labels", "label_column"} & document.data.keys():
            document.report((key,), "stands beside `target`, which says it: write it into `target`, or take one out")
    if isinstance(given, TextKeys):
        return Text(given.column, given.max_length)
    if isinstance(given, NumberKeys):
        number = Number(*given.range, given.step, given.column)
        if number.problem:
            document.report(("target",), number.problem)
        return number if not number.problem else Number(0.0, 1.0, 1.0, given.column)
    labels, column = (keys.labels, keys.label_column) if given is None else (given.labels, given.column)
    for problem in _checked_labels(labels or {}):
        document.report(("labels",) if given is None else ("target", "labels"), problem)
    return Labels(labels or {}, column)


def _examples(keys: TaskKeys, target: Target, columns: tuple[str, ...]) -> Examples | None:
    """How rows become examples; what is named `each` or `each.field` is in the list, everything else in the row."""
    if keys.each is None:
        return None

    def in_row(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(n for n in dict.fromkeys(names) if n != keys.each and not n.startswith(f"{keys.each}."))

    group = (keys.group,) if keys.group else ()
    texts = (*columns, target.column) if target.kind == "text" else columns
    return Examples(EachElement(keys.each), (*in_row((*columns, target.column, *group)), keys.each), in_row(texts))


def _checked_template(document: Document, keys: TaskKeys) -> tuple[str, ...]:
    """The columns of the template; none where it is wrong, which is reported."""
    column = keys.target.column if keys.target else keys.label_column
    if not keys.template:
        return ()
    try:
        columns = template_columns(keys.template)
    except ValueError as error:
        document.report(("template",), str(error))
        return ()
    if not columns:
        document.report(("template",), 'it names no column; write columns in braces, e.g. "text: {text}"')
    elif column in columns:
        what = "label" if keys.target is None else "target's"
        document.report(("template",), f"it names the {what} column, so the answer would stand in the question")
    return columns


def _checked_labels(labels: dict[str, str]) -> list[str]:
    keys = [label_key(value) for value in labels]
    problems = [f"'{key}' stands there twice" for key in sorted({k for k in keys if keys.count(k) > 1})]
    problems += [f"{value!r} is no label; give the rows that have it one" for value in labels if not value.strip()]
    if len(targets := list(dict.fromkeys(labels.values()))) == 1:
        problems.append(f"every label has the target '{targets[0]}'; at least two different targets are needed")
    return problems


def _checked_splits(keys: TaskKeys) -> list[str]:
    files, wanted = keys.files, raw_splits(keys.split, own=True)
    problems = [
        f"no '{split}', which split: {keys.split} needs (it reads {', '.join(wanted)})"
        for split in wanted
        if split not in files
    ]
    for split in files:
        if split not in SPLITS:
            problems.append(f"unknown split '{split}'{did_you_mean(split, SPLITS)}; {', '.join(SPLITS)}")
        elif split not in wanted:
            reads = f"split: {keys.split} reads only {', '.join(wanted)}"
            problems.append(f"'{split}' is given, but {reads}; take it out")
    return problems
