"""The trainings of many searches, put together where they may stand in one row of an analysis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.record.binomial import one_example
from orchestrator.record.kept_data import measured_on
from orchestrator.record.record import TestResult, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.summarizer.results.found_search import FoundSearch, age, canonical
from orchestrator.summarizer.results.groups import deciding_settings
from orchestrator.summarizer.results.published import (
    backbone_key,
    from_a_source,
    method_key,
    metric_key,
    task_key,
)

Where = Mapping[str, Any]
"""Values that a configuration must have."""


@dataclass(frozen=True)
class Trained:
    """One training of the whole budget, and the search that it belongs to."""

    search: FoundSearch
    trial: TrialRecord

    @property
    def tested(self) -> TestResult | None:
        """Its test result, where it won its search and so was tested; None of any other."""
        return next((t for t in self.search.record.tests if t.trial_number == self.trial.number), None)

    @property
    def parameters(self) -> int | None:
        """How many numbers were trained."""
        return self.search.record.parameters.get(self.trial.number)

    def one_example_of(self, metric: str) -> float | None:
        """Points of a metric that one test example is worth; see `FoundSearch.one_example_of`."""
        if self.tested is None:
            return one_example(self.search.record.sizes.get("test"))
        return self.search.one_example_of(metric, self.tested)

    @property
    def title(self) -> str:
        """For messages."""
        return f"trial {self.trial.number} of search {self.search.record.name}"


@dataclass(frozen=True)
class Pool:
    """Searches of one task, method and backbone that differ in their grids and seeds alone, the newest last."""

    searches: tuple[FoundSearch, ...]

    @property
    def newest(self) -> FoundSearch:
        """The search that began last."""
        return self.searches[-1]

    @property
    def task(self) -> str:
        """The task's name."""
        return self.newest.record.task

    @property
    def metric(self) -> str:
        """The selection metric, by the paper's name."""
        return metric_key(self.newest.record.metric)

    @property
    def trained(self) -> list[Trained]:
        """All trainings of the whole budget that may win."""
        return [
            Trained(search, trial)
            for search in self.searches
            for trial in search.record.trials
            if trial.status is TrialStatus.FINISHED and trial.may_win
        ]

    def best(self, fits: Callable[[Where], bool] = lambda configuration: True) -> dict[int, Trained]:
        """By seed, the training with the best validation score of those whose configuration fits."""
        found: dict[int, Trained] = {}
        for one in self.trained:
            if fits(one.trial.configuration):
                before = found.get(one.trial.seed)
                if before is None or _order(one) > _order(before):
                    found[one.trial.seed] = one
        return dict(sorted(found.items()))


def _order(one: Trained) -> tuple[Any, ...]:
    """Better last: by score, then as a search decides between equal scores; a tested one before its equals."""
    trial = one.trial
    return trial.best_score, -(trial.best_step or 0), -(one.parameters or 0), one.tested is not None, -trial.number


def having(where: Where) -> Callable[[Where], bool]:
    """Whether a configuration has these values."""
    return lambda configuration: all(configuration.get(name) == value for name, value in where.items())


class Pools:
    """All pools, by task, backbone and method.

    Attributes:
        left_out: searches of few shots, and those that started from an adapter with a method whose published runs did
            not: the paper's analyses are of neither, and beside one of all rows they would say nothing.
    """

    def __init__(self, searches: Iterable[FoundSearch]) -> None:
        members: dict[tuple[str, ...], list[FoundSearch]] = {}
        self.left_out: list[FoundSearch] = []
        for search in sorted(searches, key=lambda search: age(search.started)):
            record = search.record
            if record.settings.get("shots") is not None or from_a_source(record.method, record.settings):
                self.left_out.append(search)
                continue
            same = (canonical(deciding_settings(search)), canonical(measured_on(record)))
            key = (task_key(record.task), backbone_key(record.backbone), method_key(record.method), record.recipe)
            members.setdefault((*key, *same), []).append(search)
        self._pools: dict[tuple[str, str, str], list[Pool]] = {}
        for (task, backbone, method, *_), found in members.items():
            pool = Pool(tuple(found))
            if pool.trained:
                self._pools.setdefault((task, backbone, method), []).append(pool)

    def of(self, task: str, backbone: str, method: str) -> list[Pool]:
        """The pools of a task, backbone and method, by our names or the paper's."""
        return self._pools.get((task_key(task), backbone_key(backbone), method_key(method)), [])

    def places(self, methods: Sequence[str]) -> dict[str, list[Pool]]:
        """By the backbone's name, one pool of each task that one of these methods was trained on there."""
        keys = {method_key(method) for method in methods}
        found: dict[str, dict[str, Pool]] = {}
        names: dict[str, str] = {}
        for (task, backbone, method), pools in self._pools.items():
            if method in keys:
                names.setdefault(backbone, pools[-1].newest.record.backbone)
                found.setdefault(backbone, {}).setdefault(task, pools[-1])
        return {names[backbone]: list(by_task.values()) for backbone, by_task in found.items()}


def fullest(pools: Sequence[Pool], filled: Callable[[Pool], int] = lambda pool: 1) -> Pool | None:
    """The pool that fills the most cells; of several the one with the most seeds, then trainings, then the newest."""
    usable = [pool for pool in pools if filled(pool)]

    def rank(pool: Pool) -> tuple[Any, ...]:
        return filled(pool), len(pool.best()), len(pool.trained), age(pool.newest.started)

    return max(usable, key=rank, default=None)
