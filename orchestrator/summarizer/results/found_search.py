"""A search as it was found: its record, when it began, where it was read, and its answers to the test rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.record.binomial import one_example
from orchestrator.record.record import SearchRecord, TestResult, is_finite
from orchestrator.summarizer.results.published import metric_key

if TYPE_CHECKING:
    from orchestrator.store.predictions import Answers


@dataclass(frozen=True)
class FoundSearch:
    """A search's record, with what the record does not know of itself.

    Attributes:
        started: when it began; None where that is not known.
        source: where it was read, for messages: a file or a run of the tracking store, without secrets.
        predictions: reads the answers to the test rows, by trial number; None where none can be.
        folder: the search's own; None where it was read elsewhere.
        run_id: of its run in the tracking store; empty where it was not read there.
    """

    record: SearchRecord
    started: datetime | None = None
    source: str = ""
    predictions: Callable[[], Mapping[int, Answers]] | None = field(default=None, compare=False, repr=False)
    folder: Path | None = field(default=None, compare=False)
    run_id: str = field(default="", compare=False)

    @property
    def answers(self) -> Answers | None:
        """What the tested training answered on each test row; None where that was not kept."""
        if self.predictions is None or self.record.test is None or not self.record.predictions:
            return None
        return self.predictions().get(self.record.test.trial_number)

    @property
    def seed(self) -> int | None:
        """The training seed of the trial that was tested; without a test, the seed of all trials if they share one."""
        test, trials = self.record.test, self.record.trials
        tested = {trial.seed for trial in trials if test is not None and trial.number == test.trial_number}
        seeds = tested or {trial.seed for trial in trials}
        return seeds.pop() if len(seeds) == 1 else None

    @property
    def by_test(self) -> list[FoundSearch]:
        """The search once for each seed on which its winner was tested, as if that were its only test."""
        tests = self.record.tests
        return [replace(self, record=replace(self.record, test=t, seed_tests=[])) for t in tests] or [self]

    @property
    def test_scores(self) -> dict[str, float]:
        """Finite test scores by the paper's name of the metric; empty where the test split was not read."""
        test = self.record.test
        if test is None:
            return {}
        scores = {metric_key(name): value for name, value in test.metrics.items()}
        scores.setdefault(metric_key(self.record.metric), test.score)
        return {name: float(value) for name, value in scores.items() if is_finite(value)}

    def one_example_of(self, metric: str, test: TestResult | None = None) -> float | None:
        """Points of a metric that one example of the test split is worth; None where the split was not read.

        Of the selection metric as it was measured with the score: a correlation or an F1 may fall by more than 100 / n.
        Of others nobody measured it: 100 / n, which is exact for proportions.

        Args:
            test: one of the record's tests; None: the winner's.
        """
        test = test or self.record.test
        if test is None:
            return None
        own = metric_key(metric) == metric_key(self.record.metric)
        if own and is_finite(test.one_example) and test.one_example > 0.0:
            return test.one_example
        return one_example(test.n)

    @property
    def fixed(self) -> dict[str, Any]:
        """What is the same in every configuration of the search: an ablation has more of it than the whole space."""
        trials = self.record.trials
        names = dict.fromkeys(name for trial in trials for name in trial.configuration)
        values = {name: [trial.configuration.get(name) for trial in trials] for name in names}
        return {name: seen[0] for name, seen in values.items() if all(value == seen[0] for value in seen)}


def age(started: datetime | None) -> float:
    """A number to sort by: what has no date is the oldest."""
    return started.timestamp() if started is not None else float("-inf")


def canonical(values: dict[str, Any]) -> str:
    """One text for equal settings, whatever their order."""
    return json.dumps(values, sort_keys=True, default=str)
