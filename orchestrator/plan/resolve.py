"""From what a user asked for to the trials of a search: resolved, checked as a whole, counted. Nothing starts here."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from orchestrator.plan.former_defaults import as_begun
from orchestrator.plan.plan import Plan
from orchestrator.plan.search_folder import stored
from orchestrator.plan.settings import LEARNING, SearchSettings
from orchestrator.plan.sources import FindSources, Sources, described, fitting
from orchestrator.plan.stopping import first_rung, ranked_by
from orchestrator.plan.tracking_uri import resolve_tracking_uri
from orchestrator.store.uris import storage_problems
from search_spaces import Configuration, Space, default_space, load_space
from search_spaces import Settings as SpaceSettings
from trials.backbones.describe import describe
from trials.backbones.facts import DEFAULT, Facts
from trials.data.few_shot import classes_of, drawn, shots_problem
from trials.errors import UserError
from trials.methods import Method, Sizes, get_method, stackable_methods
from trials.source_prompts import SourcePrompt
from trials.tasks import Task, get_task
from trials.tasks.base import SPLITS
from yaml_reader.home import from_home
from yaml_reader.names import longest_name, too_long

PAPERS_BACKBONE = "t5-base"
T = TypeVar("T")


def make_plan(
    settings: SearchSettings,
    known_problems: Sequence[str] = (),
    find: FindSources | None = None,
    begun: Path | None = None,
) -> Plan:
    """Resolve a request against tasks, backbones and search spaces.

    Args:
        known_problems: what `read_settings` found, to be reported together with what is found here.
        find: how the source prompts of a transfer are found; None: a search that has kept them is planned.
        begun: folder of the search that is planned again; None: as its plan says.

    Raises:
        UserError: everything that is wrong with the request, at once.
    """
    problems: list[str] = list(known_problems)
    notes: list[str] = []

    def tried(make: Callable[[], T]) -> T | None:
        try:
            return make()
        except UserError as error:
            problems.extend(error.problems)
            return None

    method = None
    try:
        method = get_method(settings.method)
    except UserError as error:
        problems += [f"--{problem}" for problem in error.problems]
    named = tried(lambda: get_task(settings.task))
    task = named and named.read(settings.data_quirks, settings.data_sizes)
    backbone = settings.backbone
    if backbone is None:
        backbone = DEFAULT if task is None or task.embedded else PAPERS_BACKBONE
        if backbone != DEFAULT:
            notes.append(f"backbone {backbone}, as in the paper (--backbone chooses another)")
    facts = tried(lambda: describe(backbone))
    problems += folder_problems(settings)
    problems += method_problems(settings, method, facts)
    sources = Sources(settings, method, facts, find)
    problems += sources.problems
    if named is None or task is None or facts is None or method is None:
        raise UserError(problems + sources.missing())
    if settings.data_quirks == "corrected":
        notes.append(f"rows of {task.title}: {task.correction or 'nothing to correct, they are as published'}")
    if settings.data_sizes == "any":
        notes.append(any_sizes_note(named))

    if settings.shots is not None:
        problems += [f"--shots {settings.shots}: {why}"] if (why := shots_problem(task, settings.shots)) else []
        notes.append(few_shot_note(task, settings))
    train_size = settings.shots or (task.sizes[0] if task.sizes else None)
    space_name = settings.space or default_space(
        backbone=facts.name, architecture=facts.architecture, train_size=train_size
    )
    space = tried(
        lambda: load_space(
            space_name,
            method=settings.method,
            d_model=facts.width,
            max_source_length=task.max_source_length,
            asked_length=settings.max_source_length,
        )
    )
    if space is None:
        raise UserError(problems + sources.missing())
    if settings.space is None and space_name != DEFAULT:
        notes.append(f"search space {space.name}: {space.about} (--space chooses another)")
    if space.duplicates:
        notes.append(f"search space {space.name}: {space.duplicates} duplicate configuration(s) dropped")
    training = overridden(space.settings, settings)
    sizes = Sizes.of(facts, training.max_source_length or task.max_source_length, settings.recipe)
    refusals = [method.refuses(found, sizes) for found in space.configurations]
    refused = dict.fromkeys(filter(None, refusals))
    why_not = [f"search space {space.name}: {method.name}: {why} (on {facts.name})" for why in refused]
    if settings.searcher == "grid" or all(refusals):
        problems += why_not
    else:
        notes += [f"{why}; such configurations are not drawn" for why in why_not]
    problems += [f"--{key.replace('_', '-')}: {text}" for key, text in training.problems().items()]
    rank_by = ranked_by(settings, task, problems)
    grace_period = first_rung(settings, training, rank_by, problems)
    numbered, samples = drawn_from(space, settings, sizes, problems)
    if problems:
        raise UserError(problems + sources.missing())
    plan = Plan(
        settings=settings,
        task=task,
        facts=facts,
        space=space,
        training=training,
        trials=(),
        samples=samples,
        rank_by=rank_by,
        grace_period=grace_period,
        notes=tuple(notes),
    )
    plan = replace(plan, trials=tuple(plan.trial(number, configuration) for number, configuration in numbered))
    plan = as_begun(plan, in_storage=bool(settings.sources))  # where those may be kept
    found = sources.of(begun or plan.folder, stored(plan))
    return started_from(found, plan, sizes) if found else plan


def started_from(sources: tuple[SourcePrompt, ...], plan: Plan, sizes: Sizes) -> Plan:
    """A plan whose trials start from sources: with those configurations alone that have their shapes.

    Raises:
        UserError: no configuration has, or too few for what was asked for.
    """
    space = fitting(plan.space, sources, sizes)
    plan = replace(plan, sources=sources, notes=(*plan.notes, f"trials start from {described(sources)}"))
    if space is plan.space:
        return plan
    problems: list[str] = []
    numbered, samples = drawn_from(space, plan.settings, sizes, problems)
    if problems:
        raise UserError([f"{problem} (with the shapes of --sources {plan.settings.sources})" for problem in problems])
    left, there = len(space.configurations), len(plan.space.configurations)
    note = f"search space {space.name}: {left} of {there} configurations have the source's shapes, and are searched"
    narrow = replace(plan, space=space, samples=samples, notes=(*plan.notes, note), asked=plan)
    return replace(narrow, trials=tuple(narrow.trial(number, configuration) for number, configuration in numbered))


def drawn_from(
    space: Space, settings: SearchSettings, sizes: Sizes, problems: list[str]
) -> tuple[list[tuple[int, Configuration]], int]:
    """The configurations of `sample`, and how many will have been trained in the end."""
    numbered = sample(space, settings, sizes, problems)
    samples = len(numbered) if settings.searcher == "grid" else settings.samples or 0
    if settings.top > samples > 0:  # else that is what is wrong
        problems.append(f"--top {settings.top}: there are {samples} configurations; ask for at most that many")
    return numbered, samples


def any_sizes_note(task: Task) -> str:
    """What follows where a registered task's rows need not be as many as published."""
    if task.sizes is None:
        return f"rows of {task.title}: --data-sizes any changes nothing, no sizes are known of them"
    published = ", ".join(f"{split} {n:,}" for split, n in zip(SPLITS, task.sizes, strict=True))
    return f"rows of {task.title}: any number of them (published: {published}), so no published score is quoted"


def few_shot_note(task: Task, settings: SearchSettings) -> str:
    """What a few-shot search trains on, and whether its score says enough."""
    shots = settings.shots or 0
    rows, classes = drawn(task, shots), len(classes_of(task))
    odd = f" ({shots} cannot be shared out among {classes} classes by the released code's rule)" if rows < shots else ""
    seeds = "" if settings.seeds > 1 else "; scores differ much between seeds, --seeds 3 gives their mean"
    return f"few-shot: {rows} rows of train{odd}, drawn anew for each seed; validation and test are whole{seeds}"


def method_problems(settings: SearchSettings, method: Method | None, facts: Facts | None) -> list[str]:
    """What a method cannot be asked for, on this backbone or together with other options."""
    problems = []
    alone = method and not method.shares_passes(facts.lane if facts else "fast")
    if alone and settings.slots is not None and settings.slots > 1:
        problems.append(
            f"--slots {settings.slots}: {settings.method} changes weights inside the backbone, which all trials of an "
            "engine share, so an engine holds one; leave --slots out (each device has an engine of its own)"
        )
    if method and facts and (why := method.lacks(Sizes.of(facts))):
        problems.append(f"--method {method.name}: on {facts.name} {why}; {stackable_methods()} or another backbone")
    return problems


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


def sample(
    space: Space, settings: SearchSettings, sizes: Sizes, problems: list[str]
) -> list[tuple[int, Configuration]]:
    """The configurations that are known beforehand, numbered, in the order in which they start.

    A grid's numbers are places in it, and the order is drawn from the seed: in grid order the axes change one after
    another, and halving would compare neighbours with neighbours.
    """
    samples = settings.samples
    if settings.searcher == "grid":
        numbered = list(enumerate(space.configurations, start=1))
        if samples is not None and samples > len(numbered):
            problems.append(
                f"--samples {samples}: the space {space.name} has {len(numbered)} configurations for {space.method}; "
                "ask for at most that many"
            )
        return random.Random(settings.seed).sample(numbered, len(numbered))[:samples]
    if samples is None:
        return []
    from orchestrator.searchers.distributions import Distributions
    from orchestrator.searchers.optuna_search import (
        ConfigurationSearch,  # it brings a library that a grid can do without
    )

    distributions = Distributions(space, sizes.width, sizes.max_source_length, sizes)
    search = ConfigurationSearch(distributions, settings.searcher, settings.seed, samples)
    there = distributions.count(samples)
    if there < samples:
        configurations = "one configuration" if there == 1 else f"{there} different configurations"
        some = any(map(distributions.refused, space.configurations))
        trained = " that can be trained on the backbone" if some else ""
        problems.append(
            f"--samples {samples}: the ranges of {space.name} hold {configurations} for {space.method}{trained}; ask "
            "for at most that many, or give an axis other ends: its least and greatest value are those of the range"
        )
        return []
    return [] if settings.searcher in LEARNING else list(iter(search.ask, None))


def folder_problems(settings: SearchSettings) -> list[str]:
    """Whether the folders, tracking URI and storage of a request can be used: a problem for each that cannot."""
    problems = []
    if settings.data_dir is not None and not from_home(settings.data_dir).is_dir():
        problems.append(f"--data-dir {settings.data_dir}: there is no such folder")
    output = from_home(settings.output).absolute()
    existing = next(folder for folder in (output, *output.parents) if folder.exists())
    name, limit = longest_name(output), os.pathconf(existing, "PC_NAME_MAX")
    if len(os.fsencode(name)) > limit:
        problems.append(f"--output {too_long(name, limit)}")
    elif not existing.is_dir():
        problems.append(f"--output {settings.output}: {existing} is a file, not a folder")
    else:
        try:
            probe = existing / f".writable-{random.getrandbits(64):x}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            problems.append(f"--output {settings.output}: cannot write to {existing} ({error.strerror})")
    _, _, of_the_store = resolve_tracking_uri(settings.tracking_uri)
    return problems + of_the_store + storage_problems(settings.storage)
