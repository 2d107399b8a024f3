"""What a task is: a data set with its split rule, text template, labels and metrics. Facts only."""

from __future__ import annotations

import functools
import re
import string
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

SplitName = Literal["train", "validation", "test"]
SplitRule = Literal["small", "large", "as_given"]
TsvQuoting = Literal["none", "csv"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
SPLIT_RULES: tuple[SplitRule, ...] = ("as_given", "small", "large")


NAMES = ("name", "title", "published_as", "aliases", "hub", "folder", "embedded", "files")
"""Fields of a task that say what it is called and where its rows are."""


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
        tsv_quoting: whether quotation marks in `.tsv` files enclose texts ("csv") or are text ("none"); None: they are
            text, unless a file's header is in quotes, and text that looks quoted all the same is refused.
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
    tsv_quoting: TsvQuoting | None = None
    published_as: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def rules(self) -> dict[str, Any]:
        """What decides the numbers of this task beside its rows, as JSON: all fields but those that name things.

        A field that says nothing (None) is left out.
        """
        said = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in NAMES}
        found = {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}
        labels = {label_key(value): text for value, text in self.labels.items()}
        return {name: value for name, value in {**found, "labels": labels}.items() if value is not None}

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
        return render(self.template, row)


def template_columns(template: str) -> tuple[str, ...]:
    """The columns that a template names. Raises ValueError where it is not made of plain `{column}` fields.

    A column is named as it stands in the file, so `{a.b}` is the column "a.b", nothing inside a column "a".
    """
    return tuple(dict.fromkeys(column for _, column in template_pieces(template) if column is not None))


@functools.lru_cache(maxsize=64)
def template_pieces(template: str) -> tuple[tuple[str, str | None], ...]:
    """(literal text, the column that follows it or None at the end) of each piece. Raises as `template_columns`."""
    pieces = []
    for literal, name, spec, conversion in string.Formatter().parse(template):
        if name is not None and (spec or conversion or not name or name.isdigit() or any(m in name for m in "[]{}")):
            shown = "{" + name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "") + "}"
            raise ValueError(
                f"{shown} is not a plain column name in braces; a literal brace is written twice: {{{{ }}}}"
            )
        pieces.append((literal, name))
    return tuple(pieces)


def render(template: str, row: Mapping[str, str]) -> str:
    """A row's source text. Raises KeyError where it lacks a column of the template."""
    return "".join(literal + ("" if name is None else row[name]) for literal, name in template_pieces(template))


def raw_splits(rule: SplitRule, *, own: bool) -> tuple[str, ...]:
    """The splits that a rule reads; the held-out one of the large rule is validation on the hub, test in own files."""
    if rule == "as_given":
        return ("train", "validation", "test")
    if rule == "large" and own:
        return ("train", "test")
    return ("train", "validation")


_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")  # how a column of floats spells whole numbers
_TRUTH = {"true": "1", "false": "0"}


def label_key(value: Any) -> str:
    """One spelling for a label of any file format: 1, 1.0, "1" and "1.0" are "1"; true and "True" are "true"."""
    text = str(value)
    if whole := _WHOLE.fullmatch(text):
        text = whole.group(1)
        return "0" if text == "-0" else text
    if isinstance(value, float) and value.is_integer():  # 1e+16
        return str(int(value))
    return text.lower() if text.lower() in ("true", "false") else text


def near_key(key: str) -> str:
    """Equal for labels that a reader would take for one: but for case, what is not seen, or a number's spelling."""
    seen = "".join(c for c in unicodedata.normalize("NFKC", key) if unicodedata.category(c) != "Cf")
    folded = " ".join(seen.casefold().split())
    folded = _TRUTH.get(folded, folded)
    try:
        return str(Decimal(folded).normalize() + 0)
    except ArithmeticError:  # no number
        return folded


def is_no_label(key: str) -> bool:
    """Whether a label is none that anybody could have meant: empty, or "not a number"."""
    return near_key(key).casefold() in ("", "nan")
