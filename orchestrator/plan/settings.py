"""What a user can ask of a search: one typed object behind the command line, checked as a whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.command_lines import flag
from orchestrator.schedulers.asha import REDUCTION_FACTOR, Ties
from trials.config import RECIPES
from trials.errors import did_you_mean

Scheduler = Literal["asha", "promotion", "median", "none"]
SearchAlgorithm = Literal["grid", "random", "tpe", "gp"]
LEARNING = ("tpe", "gp")
"""Algorithms that propose a configuration from what was reported of others: there is no list of trials beforehand."""

Precision = Literal["float32", "bfloat16"]
Positive = Annotated[int, Field(gt=0)]
OUTPUT_VARIABLE = "ADEPT_OUTPUT"
"""Names the folder for results where no option does: on a cluster's hosts, the one that all of them share."""

STORAGE_VARIABLE = "ADEPT_STORAGE"
"""Names the storage for checkpoints where no option does."""

CHOICES: dict[str, tuple[str, ...]] = {
    "recipe": tuple(RECIPES),
    "scheduler": get_args(Scheduler),
    "search": get_args(SearchAlgorithm),
    "precision": get_args(Precision),
    "ties": get_args(Ties),
}


def default_output() -> Path:
    """The folder for results where no option names one."""
    return Path(os.environ.get(OUTPUT_VARIABLE) or "runs")


def default_storage() -> str | None:
    """The storage for checkpoints where no option names one; None: the folder for results."""
    return os.environ.get(STORAGE_VARIABLE) or None


class SearchSettings(BaseModel):
    """One search as asked for; None means "the space's, the task's or the backbone's own".

    Attributes are the command line's options; `orchestrator.cli` says what each does. Steps are optimizer updates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = "debsec"
    method: str = "adept"
    backbone: str | None = None
    space: str | None = None
    recipe: str = "released_code"
    data_dir: Path | None = None
    steps: Positive | None = None
    eval_every: Positive | None = None
    batch_size: Positive | None = None
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    max_source_length: Positive | None = None
    seed: Annotated[int, Field(ge=0)] = 42
    scheduler: str = "promotion"
    grace: Positive | None = None
    eta: Annotated[int, Field(ge=2)] = REDUCTION_FACTOR
    ties: str = "keep"
    search: str = "grid"
    samples: Positive | None = None
    seeds: Positive = 1
    top: Positive = 1
    warm_start: bool = False
    reuse: bool = False
    deterministic: bool = False
    devices: Positive | None = None
    slots: Positive | None = None
    max_concurrent: Positive | None = None
    host_wait: Annotated[float, Field(ge=0)] = 60.0
    precision: str = "float32"
    memory_limit: Annotated[float, Field(gt=0)] | None = None
    tracking_uri: str | None = None
    output: Path = Field(default_factory=default_output)
    storage: str | None = Field(default_factory=default_storage)
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] | None = None
    price: Annotated[float, Field(ge=0)] | None = None


UNUSED = {"grace": ("none",), "eta": ("none", "median"), "ties": ("none", "median")}
"""Options of early stopping that some schedulers make no use of."""

RULES = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be yes or no",
    "string_pattern_mismatch": "may hold letters, digits, '.', '_' and '-' (100 at most), a letter or digit first",
}


def read_settings(options: dict[str, Any]) -> tuple[SearchSettings, list[str]]:
    """Check raw options (None: not given) against the rules of `SearchSettings`.

    Returns:
        The settings, with its default in the place of each wrong value, and what is wrong, one sentence each, so that
        a caller can find out what else is wrong before it refuses.
    """
    given = {key: value for key, value in options.items() if value is not None}
    problems = {
        key: f"must be one of {', '.join(choices)}{did_you_mean(str(given[key]), choices)}"
        for key, choices in CHOICES.items()
        if key in given and given[key] not in choices
    }
    try:
        SearchSettings.model_validate(given)
    except ValidationError as error:
        for fault in error.errors():
            problems[str(fault["loc"][0])] = RULES.get(fault["type"], fault["msg"]).format(**fault.get("ctx", {}))
    sentences = [f"{flag(key)} {given[key]}: {rule}" for key, rule in problems.items()]
    checked = SearchSettings.model_validate({k: v for k, v in given.items() if k not in problems})
    return checked, sentences + contradictions(checked, given)


def contradictions(settings: SearchSettings, given: dict[str, Any]) -> list[str]:
    """What does not go together, though each value is right by itself: a sentence each."""
    search, learns = settings.search, settings.search in LEARNING
    rules = {
        f"--search {search}: say how many configurations to draw, e.g. --samples 8": search != "grid"
        and "samples" not in given,
        f"--warm-start: {search} learns nothing from earlier searches; add --search tpe or gp": settings.warm_start
        and not learns,
        f"--reuse: {search} has no list of trials to look for beforehand; use --warm-start with it": settings.reuse
        and learns,
        f"--deterministic: what {search} proposes depends on the order of the reports; add --max-concurrent 1": learns
        and settings.deterministic
        and settings.max_concurrent != 1,
        f"--top {settings.top}: configurations are compared over seeds; add --seeds, e.g. --seeds 3": settings.top > 1
        and settings.seeds == 1,
    }
    unused = (key for key, schedulers in UNUSED.items() if key in given and settings.scheduler in schedulers)
    return [sentence for sentence, broken in rules.items() if broken] + [
        f"{flag(key)} {given[key]}: --scheduler {settings.scheduler} has no use for it; leave it out" for key in unused
    ]


def as_arguments(options: Mapping[str, str | None], **flags: bool) -> list[str]:
    """Options as `read_settings` takes them, and flags, as a command line; what was not given is left out."""
    switches = {key: "yes" for key, given in flags.items() if given}
    arguments: list[str] = []
    for key, value in {**options, **switches}.items():
        if value is not None:
            arguments += [flag(key)] if key in flags or is_switch(key) else [flag(key), value]
    return arguments


def is_switch(key: str) -> bool:
    """Whether an option takes no value."""
    return SearchSettings.model_fields[key].annotation is bool
