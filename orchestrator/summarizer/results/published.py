"""The numbers printed in the ADePT paper (arXiv 2501.03291, Tables 1 to 15), to stand beside ours as quotations.

Scores are in points; a few rows of the analysis tables hold hours or samples per second, as their ``metric`` shows. The
paper mixes protocols (its Tables 3 and 4 take most baselines from other papers), so a row is a number that was printed,
no more.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any

from orchestrator.record.record import SearchRecord
from trials.errors import UserError
from trials.methods import get_method

MAIN_TABLES = (3, 4, 5, 6, 7)  # one result for each (task, method, backbone); the others are analyses and ablations
MAIN_SETTINGS = ("single_task", "instruction_tuning")

# Other names of what the paper names; everything else differs in case and punctuation alone.
_METHODS = {"prompttuning": "pt", "finetuning": "fullfinetuning", "fullft": "fullfinetuning"}
_METHODS |= {"spott": "spot", "attemptt": "attempt"}  # transfers by their nature; MPT has a form without, too
_BACKBONES = {"codegen350mmono": "codegen350m", "metallama38b": "llama38b"}
_DECIMALS = {"pass@1": 2, "hours": 2, "abs_mean": 2, "abs_variance": 2}  # where the paper prints more than one
_METRICS = {"em": "exact_match", "matthews": "matthews_correlation", "mcc": "matthews_correlation", "token_f1": "f1"}
_METRICS |= {"pass_at_1": "pass@1"}


@dataclass(frozen=True)
class PublishedRow:
    """One printed number.

    Attributes:
        table: the paper's table.
        setting: ``single_task``, ``transfer_or_multitask``, ``4-shot``, ``bottleneck=5``, ...
        parameters: trainable parameters as printed (``76.1K``), empty where they are not.
        std: the printed standard deviation over three runs, in points; None where there is none.
    """

    table: int
    backbone: str
    setting: str
    method: str
    parameters: str
    task: str
    metric: str
    value: float
    std: float | None


def printed(value: float, metric: str) -> str:
    """A number with as many decimals as the paper prints for its metric: ``82.0``, ``42.50`` for pass@1."""
    return f"{value:.{_DECIMALS.get(metric, 1)}f}"


@cache
def rows() -> tuple[PublishedRow, ...]:
    """Every number, in the order of the tables."""
    text = resources.files(__package__).joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(
        PublishedRow(
            table=int(row["table"]),
            backbone=row["backbone"],
            setting=row["setting"],
            method=row["method"],
            parameters=row["n_params"],
            task=row["task"],
            metric=row["metric"],
            value=float(row["value"]),
            std=float(row["std"]) if row["std"] else None,
        )
        for row in csv.DictReader(text.splitlines())
    )


def published(task: str, method: str | None = None, backbone: str | None = None) -> list[PublishedRow]:
    """The main results (Tables 3 to 7) of one method, or of all methods, that saw this task's training data alone.

    Names are ours or the paper's: ``adept`` or ``ADePT``, ``superglue-boolq`` or ``boolq``, ``google-t5/t5-base`` or
    ``t5-base``. A task, method or backbone that the paper does not have gives an empty list, and so does any task of
    our own.
    """
    return [row for row in comparison(task, method, backbone) if row.setting in MAIN_SETTINGS]


def comparison(task: str, method: str | None = None, backbone: str | None = None) -> list[PublishedRow]:
    """The rows that a table of methods for this task quotes, with those that learnt from other tasks too.

    ``setting`` distinguishes the two: ``transfer_or_multitask`` rows had more data than one task.
    """
    return [
        row
        for row in rows()
        if row.table in MAIN_TABLES
        and task_key(row.task) == task_key(task)
        and (method is None or method_key(row.method) == method_key(method))
        and (backbone is None or backbone_key(row.backbone) == backbone_key(backbone))
    ]


_AS_PUBLISHED = {"shots": None, "data_quirks": "as_published", "data_sizes": "published"}


def on_published_rows(settings: Mapping[str, Any]) -> bool:
    """Whether a search's settings say that it trained on all rows, with the mistakes that published numbers have."""
    return all(settings.get(option, whole) == whole for option, whole in _AS_PUBLISHED.items())


def from_a_source(method: str, settings: Mapping[str, Any]) -> bool:
    """Whether a search started from another task's adapter with a method whose published runs did not (Tables 3 to 14).

    SPoT, ATTEMPT and MPT (t) always do, and are published so.
    """
    try:
        return bool(settings.get("sources")) and get_method(method).sources[0] == 0
    except UserError:  # a method of a package that is not here
        return False


def published_of(record: SearchRecord) -> list[PublishedRow]:
    """The record's rows of the paper, without keys that this version does not know and rows that it cannot read."""
    known = {f.name for f in fields(PublishedRow)}
    return [PublishedRow(**{name: row[name] for name in known}) for row in record.published if known <= row.keys()]


def task_key(name: str) -> str:
    """The task's name without its benchmark's: ``superglue-wsc.fixed`` and ``wsc`` are one."""
    return _plain(re.sub(r"^(super_?-?glue|glue)[-_/]", "", name.lower()).removesuffix(".fixed"))


def method_key(name: str) -> str:
    """The method's name in small letters and digits; ``MPT (t)`` stays apart from ``MPT``."""
    plain = _plain(name)
    return _METHODS.get(plain, plain)


def backbone_key(name: str) -> str:
    """The last part of a hub name or folder, in small letters and digits: ``google-t5/t5-base`` gives ``t5base``."""
    plain = _plain(name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1])
    return _BACKBONES.get(plain, plain)


def metric_key(name: str) -> str:
    """The metric's name as the paper's rows have it: ``test/em`` gives ``exact_match``."""
    plain = name.rsplit("/", 1)[-1].lower()
    return _METRICS.get(plain, plain)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
