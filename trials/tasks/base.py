"""What a task is: a data set with its split rule, text template, target and metrics. Facts only."""

from __future__ import annotations

import functools
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from trials.tasks.targets import Code, Labels, Target

SplitName = Literal["train", "validation", "test"]
SplitRule = Literal["small", "large", "as_given", "halves"]
TsvQuoting = Literal["none", "csv"]
Quirks = Literal["as_published", "corrected"]
DataSizes = Literal["published", "any"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
SPLIT_RULES: tuple[SplitRule, ...] = ("as_given", "small", "large")


NAMES = (
    "name", "title", "published_as", "aliases", "hub", "revision", "folder", "embedded", "files", "package",
    "corrections", "correction", "joined",
)  # fmt: skip
"""Fields of a task that say what it is called, where its rows are, and what it would be otherwise."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Examples:
    """How a published row becomes examples: none, one or several, which form a group unless the task names its groups.

    Attributes:
        make: a row -> the columns of each example: those of the template, the target's and, if any, the group's. A
            function at the top of a module, or an instance of a frozen dataclass: it is pickled, and compared.
        reads: the columns that it needs of a row.
        texts: those of them that are texts, whatever they look like (JSON Lines do not say).
        revision: goes up when `make` comes to give other examples.
    """

    make: Callable[[Row], Iterable[Row]] = field(hash=False)
    reads: tuple[str, ...]
    texts: tuple[str, ...] = ()
    revision: int = 1

    @property
    def rules(self) -> list[Any]:
        """What decides the examples, as JSON."""
        return [getattr(self.make, "__qualname__", None) or repr(self.make), *self.reads, self.revision]


@dataclass(frozen=True)
class EachElement:
    """An example for each element of a list; the fields of an element `{a: .., b: ..}` are `column.a`, `column.b`."""

    column: str

    def __call__(self, row: Row) -> Iterator[Row]:
        """The examples of a row. Raises ValueError where the column holds no list, or an empty one."""
        elements = row[self.column]
        if not isinstance(elements, list) or not elements:
            raise ValueError(f"column '{self.column}' holds {elements!r}, not a list with an element for each example")
        for element in elements:
            inner = (
                {f"{self.column}.{key}": value for key, value in element.items()} if isinstance(element, dict) else {}
            )
            yield {**row, self.column: element, **inner}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task. Frozen and picklable; labels and files are not part of the hash, but of equality.

    Attributes:
        name: what `--task` takes.
        title: what a table prints.
        template: the source text, with the names of columns in braces, e.g. "sentence: {sentence}".
        target: what is asked for (`trials.tasks.targets`).
        split: where validation and test come from. ADePT's released code knows three rules (its `src/tasks.py`):
            "small": train as published, the published validation permuted and halved into validation and test;
            "large": the first 1,000 of the permuted train are validation, the published validation is the test;
            "as_given": the three splits as they are. Rows are split before they become examples.
            MBPP's runs know a fourth, "halves": the first half of the rows, in their order, and the second, which is
            the test. The last fifth of the first half is validation, which they have none of.
        splits: the published splits that the rule reads, in its order, where they are called otherwise than train,
            validation and test. None: they are not.
        joined: the splits on the hub that are, one after the other, the one that the rule reads. None: it is one there.
        most_train: rows of train at most, the first ones after the split rule. None: all.
        sizes: (train, validation, test) after the split rule, in examples, as the paper's Table 16 counts them;
            asserted when the data is loaded. None: nothing is known, nothing is asserted.
        metrics: names in `metrics.METRICS`; the FIRST selects the checkpoint and the winner. Empty: the target's own.
        max_source_length: tokens of the source, truncated on the right.
        separator: what a decoder-only backbone reads between source and answer; None: `trials.data.SEPARATOR`.
        examples: how a row becomes examples; None: each row is one.
        group: column of what belongs together, such as the question of several answers; None: the examples of one row
            where `examples` makes several, else there are no groups.
        hub: (data set, subset) on the hub, or None.
        revision: the commit of the data set on the hub that is read; None: the newest.
        folder: the task's folder under `--data-dir`, e.g. "glue/rte".
        embedded: the rows ship with the project, as Parquet under `trials/embedded/<name>/`.
        files: split -> files of an own task.
        tsv_quoting: whether quotation marks in `.tsv` files enclose texts ("csv") or are text ("none"); None: they are
            text, unless a file's header is in quotes, and text that looks quoted all the same is refused.
        published_as: the task's key in the paper's tables, or None.
        aliases: other names that `--task` takes.
        corrections: (field, value) of what is otherwise where the mistakes of the released code are not repeated.
        correction: what those change, in words.
        package: the package that brings the task; None: this project, or a task file.
    """

    name: str
    title: str
    template: str
    target: Target
    split: SplitRule = "as_given"
    splits: tuple[str, ...] | None = None
    joined: tuple[str, ...] | None = None
    most_train: int | None = None
    sizes: tuple[int, int, int] | None = None
    metrics: tuple[str, ...] = ()
    max_source_length: int = 256
    separator: str | None = None
    examples: Examples | None = None
    group: str | None = None
    hub: tuple[str, str | None] | None = None
    revision: str | None = None
    folder: str | None = None
    embedded: bool = False
    files: Mapping[str, tuple[Path, ...]] | None = field(default=None, hash=False)
    tsv_quoting: TsvQuoting | None = None
    published_as: str | None = None
    aliases: tuple[str, ...] = ()
    package: str | None = None
    corrections: tuple[tuple[str, Any], ...] = ()
    correction: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", self.metrics or self.target.metrics)

    @property
    def rules(self) -> dict[str, Any]:
        """What decides the numbers of this task beside its rows, as JSON: all fields but those that name things.

        A field that says nothing (None) is left out.
        """
        known = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in NAMES}
        found = {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}
        found |= {"target": None, "examples": self.examples and self.examples.rules, **self.target.rules}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def selection_metric(self) -> str:
        """The metric on validation that picks the checkpoint and the winner."""
        return self.metrics[0]

    @property
    def in_a_file(self) -> bool:
        """Whether a task file describes it; the tasks of a package may have files of rows as well."""
        return self.files is not None and self.package is None

    @property
    def labels(self) -> Mapping[Any, str]:
        """Value -> target text, where the target is one of a few labels; else none."""
        return self.target.texts if isinstance(self.target, Labels) else {}

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end an answer; none but where a program is written."""
        return self.target.stops if isinstance(self.target, Code) else ()

    @property
    def answers(self) -> tuple[str, ...]:
        """All target texts, where they are a closed set; else none."""
        return self.target.answers

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the template names, in its order, each once."""
        return template_columns(self.template)

    @property
    def example_columns(self) -> tuple[str, ...]:
        """The columns of an example: the template's, the target's, the group's."""
        return tuple(dict.fromkeys([*self.columns, self.target.column, *([self.group] if self.group else [])]))

    @property
    def read_columns(self) -> tuple[str, ...]:
        """The columns that are read from a file."""
        return self.examples.reads if self.examples else self.example_columns

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Those of `read_columns` that hold texts."""
        if self.examples:
            return self.examples.texts
        return (*self.columns, self.target.column) if self.target.kind == "text" else self.columns

    @property
    def grouped(self) -> bool:
        """Whether examples belong to groups."""
        return self.group is not None or self.examples is not None

    @property
    def raw_splits(self) -> tuple[str, ...]:
        """The published splits that the split rule reads (GLUE's test split has no labels: it is never one of them)."""
        return self.splits or raw_splits(self.split, own=self.files is not None)

    def read(self, quirks: Quirks, sizes: DataSizes = "published") -> Task:
        """The task as its rows are to be read: with the mistakes of the released code, or without; all of them, or any.

        One that has no mistakes, or whose sizes are not known, is the same either way. The paper's scores are of all
        rows as published: a corrected task (`corrected`), or one of any sizes, is none of the paper's.
        """
        task = self
        if quirks == "corrected" and self.corrections:
            task = replace(task, **dict(self.corrections), corrections=(), published_as=None)
        return replace(task, sizes=None, published_as=None) if sizes == "any" and self.sizes is not None else task

    @property
    def corrected(self) -> bool:
        """Whether the mistakes that its released code has are taken out of it."""
        return bool(self.correction) and not self.corrections

    def render(self, row: Mapping[str, str]) -> str:
        """The source text of one example."""
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
    if rule == "halves":
        return ("full",)
    if rule == "large" and own:
        return ("train", "test")
    return ("train", "validation")
