"""The keys of a sweep file, each with the rule for its value."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from orchestrator.sweep.rules import GateRules, NotifyRules, one_or_many
from orchestrator.sweep.state import Part
from trials.methods import standard_method
from yaml_reader.models import Keys

UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}


def _a_list(value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError("should be a list of mappings, each after a dash")
    return value


def _options(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("should be a mapping of options and their values, e.g. {steps: 120}")
    return value


def seconds_of(value: Any) -> Any:
    """Seconds of a duration such as ``6h``, ``90m`` or ``1h 30m``.

    Raises:
        ValueError: it is none.
    """
    if value is None:
        return None
    text = str(value).replace(" ", "").lower()
    if isinstance(value, bool) or not re.fullmatch(r"(\d+(\.\d+)?[dhms])+", text):
        raise ValueError("should be a duration with its unit, such as 6h, 90m or 1h 30m")
    seconds = sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)([dhms])", text))
    if seconds <= 0:
        raise ValueError("should be longer than nothing")
    return seconds


Text = Annotated[str, StringConstraints(min_length=1)]
Names = Annotated[list[Text], BeforeValidator(one_or_many), Field(min_length=1)]
Options = Annotated[dict[str, Any], BeforeValidator(_options)]
Positive = Annotated[int, Field(gt=0)]


class Where(BaseModel):
    """Which searches of a sweep are meant: those whose every name is among the given ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Names | None = None
    method: Names | None = None
    backbone: Names | None = None


class Override(BaseModel):
    """What is otherwise for some searches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: Where
    options: Options = Field(default_factory=dict)
    search: Part | None = None


class SweepKeys(Keys):
    """What a sweep file may hold.

    Attributes:
        tasks: names, groups of tasks, or YAML files of own tasks, from the sweep file's folder.
        backbones: None: each task's own.
        seeds: seeds that the winner of each search is trained with, as ``--seeds``; None: as the options say.
        options: of every search, by their names in Python; overrides, in their order, say what is otherwise for some.
        without: searches that are left out.
        search: what is searched: the whole space, or the champion's configuration alone (all where there is none yet).
        full_every: of so many runs in a row, one searches all of what is pinned otherwise.
        time_limit: seconds after which no further search is started.
        unchanged: what becomes of a search of which nothing has changed since an earlier run.
        history: folder or URI for the history of nights; empty: beside the runs.
        champions: whether the winners are registered in MLflow, and the best of them called champion.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ("tasks",)

    about: str = ""
    tasks: Names = Field(default_factory=list)
    methods: Names = Field(default_factory=lambda: [standard_method()])
    backbones: Names | None = None
    seeds: Positive | None = None
    options: Options = Field(default_factory=dict)
    overrides: Annotated[list[Override], BeforeValidator(_a_list)] = Field(default_factory=list)
    without: Annotated[list[Where], BeforeValidator(_a_list)] = Field(default_factory=list)
    search: Part = "full"
    full_every: Positive | None = None
    time_limit: Annotated[float | None, BeforeValidator(seconds_of)] = None
    unchanged: Literal["take over", "train again"] = "take over"
    history: str = ""
    champions: bool = True
    worse: GateRules = GateRules()
    notify: NotifyRules = NotifyRules()
