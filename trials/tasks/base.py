"""What a task is: a data set with its split rule, text template, labels and metrics. Facts only."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

SplitName = Literal["train", "validation", "test"]
SplitRule = Literal["small", "large", "as_given"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
SPLIT_RULES: tuple[SplitRule, ...] = ("as_given", "small", "large")


@dataclass(frozen=True)
class Task:
    """One task. Frozen and picklable; the labels and files are not part of the hash, but of equality.

    Attributes:
        name: what `--task` takes.
        title: what a table prints.
        template: the source text, with the names of columns in braces, e.g. "sentence: {sentence}".
        labels: value of the label column -> target text that the backbone learns to write (a digit, in the paper).
            Values are compared as `label_key` writes them, so 1, 1.0 and "1" are one label.
        label_column: the column that holds the label.
        split: where validation and test come from. ADePT's released code knows three rules (its `src/tasks.py`):
            "small": train as published, the published validation permuted and halved into validation and test;
            "large": the first 1,000 of the permuted train are validation, the published validation is the test;
            "as_given": the three splits as they are.
        sizes: (train, validation, test) after the split rule, as the paper's Table 16 counts them; asserted when the
            data is loaded. None: nothing is known, nothing is asserted.
        metrics: names in `metrics.METRICS`; the FIRST selects the checkpoint and the winner.
        max_source_length: tokens of the source, truncated on the right.
        hub: (data set, subset) on the hub, or None.
        folder: the task's folder under `--data-dir`, e.g. "glue/rte".
        embedded: the rows ship with the project, as Parquet under `trials/embedded/<name>/`.
        files: split -> files of an own task.
        published_as: the task's key in the paper's tables, or None.
        aliases: other names that `--task` takes.
    """

    name: str
    title: str
    template: str
    labels: Mapping[Any, str] = field(hash=False)
    label_column: str = "label"
    split: SplitRule = "as_given"
    sizes: tuple[int, int, int] | None = None
    metrics: tuple[str, ...] = ("accuracy",)
    max_source_length: int = 256
    hub: tuple[str, str | None] | None = None
    folder: str | None = None
    embedded: bool = False
    files: Mapping[str, tuple[Path, ...]] | None = field(default=None, hash=False)
    published_as: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def selection_metric(self) -> str:
        """The metric on validation that picks the checkpoint and the winner."""
        return self.metrics[0]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the template names, in its order, each once."""
        return template_columns(self.template)

    @property
    def targets(self) -> tuple[str, ...]:
        """The distinct target texts, in the order of the labels."""
        return tuple(dict.fromkeys(self.labels.values()))

    @property
    def raw_splits(self) -> tuple[str, ...]:
        """The published splits that the split rule reads (GLUE's test split has no labels: it is never one of them)."""
        return raw_splits(self.split, own=self.files is not None)

    def render(self, row: Mapping[str, str]) -> str:
        """The source text of one row."""
        return self.template.format_map(row)


def template_columns(template: str) -> tuple[str, ...]:
    """The columns that a template names. Raises ValueError where it is not made of plain `{column}` fields."""
    names: dict[str, None] = {}
    for _, name, spec, conversion in string.Formatter().parse(template):
        if name is None:
            continue
        if spec or conversion or not name or name.isdigit() or any(mark in name for mark in ".[]{}"):
            shown = "{" + name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "") + "}"
            raise ValueError(
                f"{shown} is not a plain column name in braces; a literal brace is written twice: {{{{ }}}}"
            )
        names[name] = None
    return tuple(names)


def raw_splits(rule: SplitRule, *, own: bool) -> tuple[str, ...]:
    """The splits that a rule reads; the held-out one of the large rule is validation on the hub, test in own files."""
    if rule == "as_given":
        return ("train", "validation", "test")
    if rule == "large" and own:
        return ("train", "test")
    return ("train", "validation")


def label_key(value: Any) -> str:
    """One spelling for a label of any file format: 1, 1.0 and "1" are "1"; true and "True" are "true"."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return text.lower() if text.lower() in ("true", "false") else text
