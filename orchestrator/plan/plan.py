"""A search before it starts: its trials, how much there is to train, what is written down of it, what it is called."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestrator.plan.engine_spec import GB, EngineSpec
from orchestrator.plan.options import written
from orchestrator.plan.planned_trial import PlannedTrial
from orchestrator.plan.settings import AUTO, LEARNING, SearchSettings
from orchestrator.plan.sources import source_names
from orchestrator.schedulers.asha import RankBy
from orchestrator.schedulers.make import expected_end
from orchestrator.searchers.random_start import drawn_by_chance
from orchestrator.store.paths import shown
from search_spaces import Configuration, Space
from search_spaces import Settings as SpaceSettings
from trials.backbones.facts import DEFAULT, UNKNOWN_REVISION, Facts, lane_in_words
from trials.config import TRAINER_REVISION, Precision, TrialConfig
from trials.methods import Sizes, get_method
from trials.source_prompts import SourcePrompt
from trials.tasks import Task
from yaml_reader.home import from_home

NAME_OF_BACKBONE = 20
"""Letters of a backbone's name in a search's, which has 100 at most; a task's name has up to 64 of them."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A search, fully resolved.

    Attributes:
        training: steps, batch size and the like, command line over space.
        trials: what is known beforehand, in the order in which they start: none where a searcher suggests them.
        samples: configurations to train.
        rank_by, grace_period: what early stopping compares trials by, and its first rung in steps (`plan.stopping`).
        notes: choices that were made for the user, a sentence each.
        data: fingerprint of the prepared rows, once they are: engines refuse others.
        chosen: the precision that ``auto`` stands for in this search, once it is known.
        sources: the source prompts or adapters of a transfer.
        asked: the plan as asked for, where its sources leave only a part of its space: it says name and definition.
    """

    settings: SearchSettings
    task: Task
    facts: Facts
    space: Space
    training: SpaceSettings
    trials: tuple[PlannedTrial, ...]
    samples: int
    rank_by: RankBy
    grace_period: int
    notes: tuple[str, ...]
    data: str = ""
    chosen: Precision | None = None
    sources: tuple[SourcePrompt, ...] = ()
    asked: Plan | None = None

    @property
    def precision(self) -> Precision:
        """Of the backbone's arithmetic; until ``auto`` has been decided on, the published recipe's."""
        asked = self.settings.precision
        return self.chosen or "float32" if asked == AUTO else asked

    @property
    def max_source_length(self) -> int:
        """Tokens of the longest source."""
        return self.training.max_source_length or self.task.max_source_length

    @property
    def sizes(self) -> Sizes:
        """What the shapes of the method's tensors depend on, beside a configuration."""
        return Sizes.of(self.facts, self.max_source_length, self.settings.recipe)

    @cached_property
    def trainable(self) -> list[Configuration]:
        """The grid without what the method refuses to train on the backbone; a searcher's may hold such ends."""
        refuses = get_method(self.settings.method).refuses
        return [found for found in self.space.configurations if not refuses(found, self.sizes)]

    @property
    def learns(self) -> bool:
        """Whether configurations are suggested while the search runs."""
        return self.settings.searcher in LEARNING

    @property
    def numbers(self) -> list[int]:
        """Of the trials on the search's own seed, those not yet suggested included."""
        return list(range(1, self.samples + 1)) if self.learns else [trial.number for trial in self.trials]

    @property
    def max_concurrent(self) -> int | None:
        """Trials at once, at most; None: as many as there is room for. A searcher that learns starts with a few."""
        return self.settings.max_concurrent or (drawn_by_chance(self.samples) if self.learns else None)

    @property
    def lane(self) -> str:
        """Which lane computes the backbone, and why, in words."""
        return lane_in_words(self.facts, self.settings.method if self.changes_modules else "")

    @property
    def changes_modules(self) -> bool:
        """Whether the method wants transformers' own model."""
        return get_method(self.settings.method).kind == "modules"

    @property
    def slots(self) -> int | None:
        """Trials that an engine holds; None: as many as pay. One where trials can share no pass."""
        return self.settings.slots if self.shares_passes else 1

    @property
    def shares_passes(self) -> bool:
        """Whether the trials of an engine share passes of its backbone."""
        return get_method(self.settings.method).shares_passes(self.facts.lane)

    @property
    def repeats(self) -> int:
        """Trials that train the best configurations on further seeds."""
        return min(self.settings.top, self.samples) * (self.settings.seeds - 1)

    @property
    def count(self) -> int:
        """All trials."""
        return self.samples + self.repeats

    @property
    def steps(self) -> int:
        """Updates of all trials if none were stopped."""
        return self.count * self.training.steps

    @property
    def expected_steps(self) -> int:
        """Updates expected with early stopping."""
        return round(self.samples * self.expected_end(0, self.samples) + self.repeats * self.training.steps)

    def expected_end(self, step: int, trials: float = math.inf) -> float:
        """The step at which a trial is expected to end that stands at one.

        Args:
            trials: how many there are: at least one of them is trained whole.
        """
        settings, rungs = self.settings, (self.grace_period, self.settings.reduction_factor)
        return expected_end(settings.scheduler, step, self.training.steps, *rungs, trials, self.rank_by)

    def trial(self, number: int, configuration: Configuration, seed: int | None = None) -> PlannedTrial:
        """The trial of that number, with a configuration of the space, on the search's own seed or another."""
        settings, training = self.settings, self.training
        config = TrialConfig(
            method=settings.method,
            hyperparameters=dict(configuration),
            steps=training.steps,
            eval_every=training.eval_every,
            seed=settings.seed if seed is None else seed,
            recipe=settings.recipe,
            batch_size=training.batch_size,
            warmup_steps=training.warmup_steps,
            sources=tuple(source_names(settings.sources)),
            shots=settings.shots,
        )
        return PlannedTrial(number, config, get_method(settings.method).parameter_count(configuration, self.sizes))

    @property
    def spec(self) -> EngineSpec:
        """What the engines of this search are made from."""
        own = self.settings.task if self.task.in_a_file else self.task.name
        data_dir = self.settings.data_dir
        longest = max(self.trainable, key=lambda found: float(found.get("prompt_length", 0)))
        return EngineSpec(
            task=str(from_home(own).resolve()) if self.task.in_a_file else own,
            backbone=DEFAULT if self.facts.is_embedded else self.facts.location,
            data_dir=str(from_home(data_dir).resolve()) if data_dir else None,
            data_quirks=self.settings.data_quirks,
            data_sizes=self.settings.data_sizes,
            max_source_length=self.max_source_length,
            precision=self.precision,
            memory_limit=None if self.settings.memory_limit is None else round(self.settings.memory_limit * GB),
            slots=self.slots,
            typical=self.trial(0, longest).config,
            lane="stock" if self.changes_modules else None,
            deterministic=self.settings.deterministic,
            data=self.data,
            sources=self.sources,
            revision="" if self.facts.revision == UNKNOWN_REVISION else self.facts.revision,
        )

    @property
    def values(self) -> dict[str, Any]:
        """Each option's value as it was resolved, as JSON: what is written down of a search is taken from here."""
        storage = self.settings.storage
        return {
            **self.settings.model_dump(mode="json"),
            **asdict(self.training),
            "task": self.task.name,
            "sources": ",".join(source_names(self.settings.sources)) or None,
            "backbone": self.facts.name,
            "space": self.space.name,
            "precision": self.chosen or self.settings.precision,
            "data_dir": self.spec.data_dir,
            "max_source_length": self.max_source_length,
            "rank_by": None if self.rank_by == "score" else self.rank_by,  # as before there was a choice
            "grace_period": self.grace_period,
            "storage": shown(storage) if storage else None,
        }

    @property
    def recorded(self) -> dict[str, Any]:
        """How every trial is trained, and what may stop it: the settings of the search's record."""
        options = written(self.values, type(self.settings), lambda option: option.recorded)
        return {**options, "trainer_revision": TRAINER_REVISION}

    @property
    def parameters(self) -> dict[str, Any]:
        """The search as a row in MLflow's table of runs."""
        identity = {name: self.values[name] for name in self.settings.names(lambda option: option.identifies)}
        return {**identity, "metrics": ", ".join(self.task.metrics), "trials": self.count, **self.recorded}

    @property
    def repeatable(self) -> dict[str, Any]:
        """The options as given on which numbers depend, as JSON: what it takes to train a trial again."""
        others = set(self.settings.names(lambda option: option.numbers == "none"))
        return self.settings.model_dump(mode="json", exclude_defaults=True, exclude=others)

    @property
    def definition(self) -> dict[str, Any]:
        """Everything that decides the numbers of a search, but for the rows themselves, as JSON.

        Its form is that of the first version, and so is the name that a search has by it: the same request finds the
        same search. Further seeds are no part of it: a search may be asked for more of them later. Nor are the rows: a
        search whose data have changed is refused (`orchestrator.plan.same_data`) rather than taken for another one,
        since with the wrong file in place everything would be trained again.
        """
        asked = self.asked or self
        return {
            "task": self.task.name,
            "template": self.task.template,
            **self.task_file,
            "backbone": self.facts.name,
            "revision": self.facts.revision,
            "trainer_revision": TRAINER_REVISION,
            "scheduler": [self.settings.scheduler, self.grace_period, self.settings.reduction_factor],
            "trials": [trial.config.as_dict() for trial in sorted(asked.trials, key=lambda t: t.number)],
            **written(self.values, type(self.settings), lambda option: option.decides),
            "precision": self.settings.precision,  # as asked for: what it stands for is found out later
            **({"proposed": asked._proposed} if self.learns else {}),
        }

    @property
    def task_file(self) -> dict[str, Any]:
        """What a task file or another package decides; of a task of this project its name says it."""
        return self.task.rules if self.task.files is not None or self.task.package else {}

    @property
    def _proposed(self) -> dict[str, Any]:
        return {
            "algorithm": self.settings.searcher,
            "samples": self.samples,
            "warm_start": self.settings.warm_start,
            "axes": [[list(axis.names), [list(row) for row in axis.rows]] for axis in self.space.axes],
            "budget": self.space.budget,
            "like": self.trial(0, self.trainable[0]).config.as_dict(),
        }

    @property
    def name(self) -> str:
        """The search's name: as given, or one that the same request always gets."""
        if self.settings.name:
            return self.settings.name
        text = json.dumps(self.definition, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:6]
        # A backbone is called as its folder is; the name must be one that --name takes.
        backbone = re.sub(r"[^A-Za-z0-9._]+", "-", self.facts.name).strip("-")[:NAME_OF_BACKBONE]
        return f"{self.task.name}-{self.settings.method}-{backbone}-{digest}"

    @property
    def folder(self) -> Path:
        """Where the search writes."""
        return from_home(self.settings.output).resolve() / self.name
