"""The one list of a search's options: each stands here once, and everything else that knows of options follows from it.

The command line, ``--help``, docs/options.md, a search's options.json, its definition, its record, its run in MLflow,
going on with it and verifying it are made from this list (`orchestrator.plan.options` says how). A new option is an
entry here and the code that uses its value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from orchestrator.command_lines import flag
from orchestrator.plan.options import Group, Option, OptionModel, When
from orchestrator.schedulers.asha import REDUCTION_FACTOR, RankBy, Ties
from orchestrator.schedulers.make import STOP_CHANCE
from trials.config import RECIPES
from trials.errors import did_you_mean
from trials.methods import method_names, standard_method
from trials.tasks.base import DataSizes, Quirks
from yaml_reader.home import from_home

Scheduler = Literal["promotion", "asha", "freeze-thaw", "median", "none"]
Searcher = Literal["grid", "random", "tpe", "gp"]
LEARNING = ("tpe", "gp")
"""Searchers that suggest a configuration from what was reported of others: there is no list of trials beforehand."""

HALVING = ("asha", "promotion")
"""Schedulers that let a share of the trials go on at each rung."""

Precision = Literal["float32", "float32-exact", "bfloat16", "auto"]
AUTO: Final = "auto"
"""The precision that the search's devices multiply fastest, found out when it begins and kept with it."""

FORMER_PRECISION: Final = "float32"
"""The precision of what earlier versions recorded without naming one."""

Positive = Annotated[int, Field(gt=0)]
Natural = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0)]
Gigabytes = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
SPACES = "the space's"
OUTPUT_VARIABLE = "ADEPT_OUTPUT"
"""Names the folder for results where no option does: on a cluster's hosts, the one that all of them share."""

STORAGE_VARIABLE = "ADEPT_STORAGE"
"""Names the storage for checkpoints where no option does."""

CHANGED, ALWAYS = When.CHANGED, When.ALWAYS
train = partial(Option, Group.TRAIN, numbers="trial")
search = partial(Option, Group.SEARCH)
place = partial(Option, Group.PLACE, numbers="none", resume="anew")
result = partial(Option, Group.RESULT, numbers="none")
now = partial(Option, Group.NOW, numbers="none")


def recipes() -> tuple[str, ...]:
    """The recipes by their names."""
    return tuple(RECIPES)


def default_output() -> Path:
    """The folder for results where no option names one."""
    return from_home(os.environ.get(OUTPUT_VARIABLE) or "runs")


def default_storage() -> str | None:
    """The storage for checkpoints where no option names one; None: the folder for results."""
    return os.environ.get(STORAGE_VARIABLE) or None


class SearchSettings(OptionModel):
    """One search as asked for; None means "the space's, the task's or the backbone's own". Steps are updates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Annotated[
        str,
        train(
            "task name, a group (glue, superglue, mrqa, others, all), or the YAML file of an own task", "TASK",
            identifies=True, moves="the task file",
        ),
    ] = "debsec"  # fmt: skip
    method: Annotated[str, train("{choices}", "METHOD", choices=method_names, identifies=True)] = standard_method()
    backbone: Annotated[
        str | None,
        train(
            "t5-nano, t5-base, ..., a hub id or a folder", "NAME|ID|FOLDER", "the task's", identifies=True,
            moves="the backbone",
        ),
    ] = None  # fmt: skip
    space: Annotated[
        str | None,
        train(
            "search space: a name or a YAML file", "NAME|FILE", "the backbone's", numbers="search", identifies=True,
            moves="the search space",
        ),
    ] = None  # fmt: skip
    recipe: Annotated[str, train("{choices}", "RECIPE", choices=recipes, identifies=True)] = "released_code"
    data_dir: Annotated[
        Path | None,
        train("read the task's data here, in the hub's layout", "FOLDER", decides=ALWAYS, moves="the data"),
    ] = None
    data_quirks: Annotated[
        Quirks,
        train(
            "rows with the mistakes of the released code (as_published), or without them (corrected)", "NAME",
            decides=CHANGED, recorded=CHANGED,
        ),
    ] = "as_published"  # fmt: skip
    data_sizes: Annotated[
        DataSizes,
        train(
            "rows of a registered task: as many as published, or any number, such as a part of them", "NAME",
            decides=CHANGED, recorded=CHANGED,
        ),
    ] = "published"  # fmt: skip
    sources: Annotated[
        str | None,
        train(
            "what trials start from, of another task: searches, tasks or adapters' folders", "NAME,...", "none",
            decides=CHANGED, recorded=CHANGED,
        ),
    ] = None  # fmt: skip
    shots: Annotated[
        Positive | None,
        train(
            "few-shot: train on so many rows, drawn by the training seed", "N", "all rows", decides=CHANGED,
            recorded=CHANGED,
        ),
    ] = None  # fmt: skip
    steps: Annotated[Positive | None, train("budget of a trial in updates", "N", SPACES, recorded=ALWAYS)] = None
    eval_every: Annotated[Positive | None, train("updates between two reports", "N", SPACES, recorded=ALWAYS)] = None
    batch_size: Annotated[Positive | None, train("rows in a batch", "N", SPACES, recorded=ALWAYS)] = None
    warmup_steps: Annotated[Natural | None, train("updates of linear warm-up", "N", SPACES, recorded=ALWAYS)] = None
    max_source_length: Annotated[
        Positive | None, train("longest source in tokens", "N", "the task's", decides=ALWAYS, recorded=ALWAYS)
    ] = None
    precision: Annotated[
        Precision,
        train(
            "{choices}, of the backbone; auto: bfloat16 where every host multiplies 1.5 times as fast in it, or more, "
            "else float32; on CUDA float32 means TF32 products, but for float32-exact", "NAME",
            decides=ALWAYS, recorded=ALWAYS,
        ),
    ] = AUTO  # fmt: skip
    seed: Annotated[
        Natural, train("training seed; the data split has its own", "N", numbers="search", identifies=True)
    ] = 42

    searcher: Annotated[
        Searcher,
        search("grid: the space's own; random, tpe, gp: drawn from its ranges", "NAME", former=("search",)),
    ] = "grid"
    samples: Annotated[Positive | None, search("configurations to train", "N", "the whole grid")] = None
    warm_start: Annotated[bool, search("tpe, gp: learn from earlier searches in the MLflow store")] = False
    scheduler: Annotated[
        Scheduler,
        search(
            "promotion: pause, go on with the best; asha, median: stop poor trials; freeze-thaw: a model of the curves "
            "decides; none", "NAME", recorded=ALWAYS,
        ),
    ] = "promotion"  # fmt: skip
    grace_period: Annotated[
        Positive | None,
        search(
            "updates before the first decision", "N", "a quarter of the budget, by losses a tenth",
            schedulers=(*HALVING, "median"), recorded=ALWAYS, former=("grace",),
        ),
    ] = None  # fmt: skip
    reduction_factor: Annotated[
        int,
        Field(ge=2),
        search(
            "one in N trials goes on at each rung", "N", schedulers=HALVING, recorded=ALWAYS, former=("eta",)
        ),
    ] = REDUCTION_FACTOR  # fmt: skip
    rank_by: Annotated[
        RankBy | None,
        search(
            "what trials are compared by at a rung: their best {choices} so far, on validation", "NAME",
            "loss, or score where answers are many or any text",
            choices=lambda: get_args(RankBy), schedulers=HALVING, decides=CHANGED, recorded=CHANGED,
        ),
    ] = None  # fmt: skip
    ties: Annotated[
        Ties,
        search(
            "equal scores all go on (keep), or those of the lower loss (loss)", "NAME", schedulers=HALVING,
            decides=CHANGED, recorded=CHANGED,
        ),
    ] = "keep"  # fmt: skip
    stop_chance: Annotated[
        float,
        Field(gt=0, lt=1),
        search(
            "a trial is stopped whose probability of ending best is at most this", "P", schedulers=("freeze-thaw",),
            decides=CHANGED, recorded=CHANGED,
        ),
    ] = STOP_CHANCE  # fmt: skip
    deterministic: Annotated[
        bool,
        search(
            "the same numbers to the last bit in whatever order trials run", decides=CHANGED, recorded=CHANGED
        ),
    ] = False  # fmt: skip
    seeds: Annotated[
        Positive,
        search("seeds on which the best configurations are trained", "N", recorded=CHANGED, resume="anew"),
    ] = 1
    top: Annotated[Positive, search("configurations to compare over --seeds", "N", recorded=CHANGED, resume="anew")] = 1
    reuse: Annotated[bool, search("take over equal trials that are in the MLflow store already", numbers="none")] = (
        False
    )

    devices: Annotated[Positive | None, place("accelerators, or without any CPU cores, to use", "N", "all")] = None
    slots: Annotated[Positive | None, place("trials that share a device", "N", "as many as fit and pay")] = None
    max_concurrent: Annotated[Positive | None, place("trials at once, at most", "N", numbers="search")] = None
    memory_limit: Annotated[Gigabytes | None, place("memory that a device's trials may use", "GB", "all of it")] = None
    host_wait: Annotated[
        NotNegative, place("with no engine left, wait so many minutes for a host to join", "MINUTES")
    ] = 60.0

    name: Annotated[Name | None, result("name of the search", "NAME", "made from its settings")] = None
    output: Annotated[
        Path, result("folder of the results", "FOLDER", f"${OUTPUT_VARIABLE}, else runs", resume="finds")
    ] = Field(default_factory=default_output)
    storage: Annotated[
        str | None,
        result(
            "checkpoints there, and a copy of the results", "URI", f"${STORAGE_VARIABLE}, else none", decides=CHANGED,
            resume="finds",
        ),
    ] = Field(default_factory=default_storage)  # fmt: skip
    tracking_uri: Annotated[
        str | None,
        result("MLflow store", "URI", "$MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here", resume="anew"),
    ] = None
    price: Annotated[NotNegative | None, now("price of a device-hour, for the estimate of --plan", "X")] = None

    @field_validator("*", mode="before")
    @classmethod
    def _is_a_choice(cls, value: Any, info: ValidationInfo) -> Any:
        choices = cls.choices(str(info.field_name))
        if choices and value not in choices:
            rule = f"must be one of {', '.join(choices)}{did_you_mean(str(value), choices)}"
            raise PydanticCustomError("choice", "{rule}", {"rule": rule})
        return value


class StartOptions(OptionModel):
    """What to do now: options that are no part of a search and are not kept with it."""

    plan: Annotated[bool, now("print trials, steps, time and cost; start nothing")] = False
    rerun: Annotated[
        str | None,
        now("train these trials of the search again: failed, diverged, or numbers (3,7)", "WHICH", resume="anew"),
    ] = None
    resume: Annotated[bool, now("go on with an interrupted search; with --name its settings are read back")] = False
    quiet: Annotated[bool, now("print failures and the final table only", resume="anew")] = False
    debug: Annotated[bool, now("show the logs of Ray, MLflow and transformers", resume="anew")] = False


def as_arguments(options: Mapping[str, str | None]) -> list[str]:
    """Options as text, as a command line; what was not given is left out."""
    flags = {name for model in (SearchSettings, StartOptions) for name in model.model_fields if model.is_flag(name)}
    arguments: list[str] = []
    for key, value in options.items():
        if value is not None:
            arguments += [flag(key)] if key in flags else [flag(key), value]
    return arguments
