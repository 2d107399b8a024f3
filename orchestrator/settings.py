"""What a user can ask of a search: one typed object behind the command line, checked as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trials.config import RECIPES
from trials.errors import did_you_mean

Scheduler = Literal["asha", "none"]
SearchAlgorithm = Literal["grid", "random"]
Positive = Annotated[int, Field(gt=0)]
CHOICES: dict[str, tuple[str, ...]] = {
    "recipe": tuple(RECIPES),
    "scheduler": get_args(Scheduler),
    "search": get_args(SearchAlgorithm),
}


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
    scheduler: str = "asha"
    grace: Positive | None = None
    eta: Annotated[int, Field(ge=2)] = 3
    search: str = "grid"
    samples: Positive | None = None
    devices: Positive | None = None
    slots: Positive = 1
    max_concurrent: Positive | None = None
    tracking_uri: str | None = None
    output: Path = Path("runs")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] | None = None
    price: Annotated[float, Field(ge=0)] | None = None


RULES = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
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
    if "samples" in given and given.get("search", "grid") == "grid":
        sentences.append(f"--samples {given['samples']}: a grid is trained whole; add --search random to draw from it")
    if given.get("search") == "random" and "samples" not in given:
        sentences.append("--search random: say how many configurations to draw, e.g. --samples 8")
    return SearchSettings.model_validate({k: v for k, v in given.items() if k not in problems}), sentences


def flag(key: str) -> str:
    """An attribute's option on the command line."""
    return "--" + key.replace("_", "-")
