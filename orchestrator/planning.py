"""From what a user asked for to the trials of a search: resolved, checked as a whole, counted. Nothing starts here."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.halving import default_grace, expected_share
from orchestrator.settings import SearchSettings
from search_spaces import Settings as SpaceSettings
from search_spaces import Space, SpaceError, default_space, load_space, methods, parameter_count
from trials.backbone_facts import DEFAULT, Facts, describe
from trials.config import TrialConfig
from trials.errors import UserError, did_you_mean
from trials.tasks import Task, get_task

PAPERS_BACKBONE = "t5-base"
T = TypeVar("T")


@dataclass(frozen=True)
class EngineSpec:
    """What an engine needs to exist: the backbone and one task's data. Plain values, so that it can travel.

    Attributes:
        task: a registered task's name or an own task's file.
        backbone: as for `trials.backbones.load_backbone`.
        max_source_length: tokens.
    """

    task: str
    backbone: str
    data_dir: str | None
    max_source_length: int
    cache_dir: str | None = None


@dataclass(frozen=True)
class PlannedTrial:
    """One trial before it starts.

    Attributes:
        number: its place in the grid, from 1, whatever order the trials start in.
        parameters: how many numbers it trains.
    """

    number: int
    config: TrialConfig
    parameters: int


@dataclass(frozen=True)
class Plan:
    """A search, fully resolved.

    Attributes:
        training: steps, batch size and the like, command line over space.
        trials: in the order in which they start.
        grace: first rung of early stopping in steps; the budget itself where there is none.
        notes: choices made for the user that the user should hear of.
    """

    settings: SearchSettings
    task: Task
    facts: Facts
    space: Space
    training: SpaceSettings
    trials: tuple[PlannedTrial, ...]
    grace: int
    notes: tuple[str, ...]

    @property
    def max_source_length(self) -> int:
        """Tokens of the longest source."""
        return self.training.max_source_length or self.task.max_source_length

    @property
    def steps(self) -> int:
        """Updates of all trials if none were stopped."""
        return len(self.trials) * self.training.steps

    @property
    def expected_steps(self) -> int:
        """Updates expected with early stopping."""
        if self.settings.scheduler == "none":
            return self.steps
        return round(self.steps * expected_share(len(self.trials), self.training.steps, self.grace, self.settings.eta))

    @property
    def spec(self) -> EngineSpec:
        """What the engines of this search are made from."""
        own = self.settings.task if self.task.files is not None else self.task.name
        data_dir = self.settings.data_dir
        return EngineSpec(
            task=str(Path(own).expanduser().resolve()) if self.task.files is not None else own,
            backbone=DEFAULT if self.facts.name == DEFAULT else self.facts.location,
            data_dir=str(data_dir.expanduser().resolve()) if data_dir else None,
            max_source_length=self.max_source_length,
        )

    @property
    def definition(self) -> dict[str, Any]:
        """Everything that decides the numbers of a search, as JSON."""
        return {
            "task": self.task.name,
            "template": self.task.template,
            "backbone": self.facts.name,
            "revision": self.facts.revision,
            "max_source_length": self.max_source_length,
            "data_dir": self.spec.data_dir,
            "scheduler": [self.settings.scheduler, self.grace, self.settings.eta],
            "trials": [trial.config.as_dict() for trial in sorted(self.trials, key=lambda t: t.number)],
        }

    @property
    def name(self) -> str:
        """The search's name: as given, or one that the same request always gets."""
        if self.settings.name:
            return self.settings.name
        text = json.dumps(self.definition, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:6]
        return f"{self.task.name}-{self.settings.method}-{self.facts.name}-{digest}"

    @property
    def folder(self) -> Path:
        """Where the search writes."""
        return self.settings.output.expanduser().resolve() / self.name


def make_plan(settings: SearchSettings, known_problems: Sequence[str] = ()) -> Plan:
    """Resolve a request against tasks, backbones and search spaces.

    Args:
        known_problems: what `read_settings` found, to be reported together with what is found here.

    Raises:
        UserError: everything that is wrong with the request, at once.
    """
    problems: list[str] = list(known_problems)
    notes: list[str] = []

    def tried(make: Callable[[], T]) -> T | None:
        try:
            return make()
        except (UserError, SpaceError) as error:
            problems.extend(error.problems)
            return None

    if settings.method not in methods():
        known = ", ".join(methods())
        problems.append(
            f"--method {settings.method!r}: must be one of {known}{did_you_mean(settings.method, methods())}"
        )
    task = tried(lambda: get_task(settings.task))
    backbone = settings.backbone
    if backbone is None:
        backbone = DEFAULT if task is None or task.embedded else PAPERS_BACKBONE
        if backbone != DEFAULT:
            notes.append(f"backbone {backbone}, as in the paper (--backbone chooses another)")
    facts = tried(lambda: describe(backbone))
    problems += folder_problems(settings)
    if task is None or facts is None or settings.method not in methods():
        raise UserError(problems)

    space_name = settings.space or default_space(
        backbone=facts.name, architecture=facts.architecture, train_size=task.sizes[0] if task.sizes else None
    )
    length = settings.max_source_length or task.max_source_length
    space = tried(lambda: load_space(space_name, method=settings.method, d_model=facts.width, max_source_length=length))
    if space is None:
        raise UserError(problems)
    if settings.space is None and space_name != DEFAULT:
        notes.append(f"search space {space.name}: {space.about} (--space chooses another)")
    if space.duplicates:
        notes.append(f"search space {space.name}: {space.duplicates} duplicate configuration(s) dropped")
    training = overridden(space.settings, settings)
    problems += [f"--{key.replace('_', '-')}: {text}" for key, text in training.problems().items()]
    grace = chosen_grace(settings, training, problems)
    chosen = sample(space, settings, problems)
    if problems:
        raise UserError(problems)
    trials = tuple(
        planned(number, configuration, settings, training, facts.width, training.max_source_length or length)
        for number, configuration in chosen
    )
    return Plan(settings, task, facts, space, training, trials, grace, tuple(notes))


def overridden(space: SpaceSettings, settings: SearchSettings) -> SpaceSettings:
    """The space's training settings with what the command line says instead.

    Where only the budget is shortened, warm-up and evaluation interval shrink to what still fits.
    """
    names = ("steps", "eval_every", "batch_size", "warmup_steps", "max_source_length")
    training = replace(space, **{key: value for key in names if (value := getattr(settings, key)) is not None})
    if settings.steps and settings.eval_every is None and settings.steps % training.eval_every:
        at_most = min(training.eval_every, settings.steps)
        fitting = next(every for every in range(at_most, 0, -1) if settings.steps % every == 0)
        training = replace(training, eval_every=fitting)
    if settings.steps and settings.warmup_steps is None and training.warmup_steps >= settings.steps:
        training = replace(training, warmup_steps=settings.steps // 10)
    return training


def chosen_grace(settings: SearchSettings, training: SpaceSettings, problems: list[str]) -> int:
    """The first rung in steps."""
    if settings.scheduler == "none":
        return training.steps
    if settings.grace is None:
        return default_grace(training.steps, training.eval_every)
    if settings.grace > training.steps or settings.grace % training.eval_every:
        problems.append(
            f"--grace {settings.grace}: must be a multiple of --eval-every ({training.eval_every}) and at most the "
            f"budget of {training.steps} steps"
        )
    return settings.grace


def sample(space: Space, settings: SearchSettings, problems: list[str]) -> list[tuple[int, dict[str, Any]]]:
    """The configurations to train, numbered by their place in the grid, in the order in which they start.

    The order is drawn from the seed: in grid order the axes change one after another, and halving would compare
    neighbours with neighbours.
    """
    numbered = list(enumerate(space.configurations, start=1))
    order = random.Random(settings.seed).sample(numbered, len(numbered))
    if settings.search == "grid" or settings.samples is None:
        return order
    if settings.samples > len(order):
        problems.append(
            f"--samples {settings.samples}: the space {space.name} has {len(order)} configurations for "
            f"{settings.method}; ask for at most that many"
        )
    return order[: settings.samples]


def planned(
    number: int,
    configuration: dict[str, Any],
    settings: SearchSettings,
    training: SpaceSettings,
    width: int,
    max_source_length: int,
) -> PlannedTrial:
    """One trial of the plan."""
    config = TrialConfig(
        method=settings.method,
        hyperparameters=dict(configuration),
        steps=training.steps,
        eval_every=training.eval_every,
        seed=settings.seed,
        recipe=settings.recipe,
        batch_size=training.batch_size,
        warmup_steps=training.warmup_steps,
    )
    return PlannedTrial(number, config, parameter_count(settings.method, configuration, width, max_source_length))


def folder_problems(settings: SearchSettings) -> list[str]:
    """Whether the folders of a request can be used: one problem each that cannot."""
    problems = []
    if settings.data_dir is not None and not settings.data_dir.expanduser().is_dir():
        problems.append(f"--data-dir {settings.data_dir}: there is no such folder")
    output = settings.output.expanduser().absolute()
    existing = next(folder for folder in (output, *output.parents) if folder.exists())
    if not existing.is_dir():
        problems.append(f"--output {settings.output}: {existing} is a file, not a folder")
    else:
        try:
            probe = existing / f".writable-{random.getrandbits(64):x}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            problems.append(f"--output {settings.output}: cannot write to {existing} ({error.strerror})")
    return problems
