"""What a report is made of: searches as found, what their seeds say together, and tables that every writer understands.

Scores, differences and intervals are in points (0 to 100).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from orchestrator.record.record import SearchRecord, is_finite
from orchestrator.summarizer.results.published import metric_key

if TYPE_CHECKING:
    from orchestrator.store.predictions import Answers

Kind = Literal["measured", "quoted", "missing", "label"]
Mark = Literal["", "best", "second"]
Verdict = Literal["higher", "lower", "not distinguishable"]


@dataclass(frozen=True)
class FoundSearch:
    """A search's record, with what the record does not know of itself.

    Attributes:
        started: when it began; None where nothing tells.
        source: where it was read, for messages: a file or a run of the tracking store, without secrets.
        predictions: reads the answers to the test rows, by trial number; None where none can be.
    """

    record: SearchRecord
    started: datetime | None = None
    source: str = ""
    predictions: Callable[[], Mapping[int, Answers]] | None = field(default=None, compare=False, repr=False)

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

    @property
    def fixed(self) -> dict[str, Any]:
        """What is the same in every configuration of the search: what tells an ablation from the whole space."""
        trials = self.record.trials
        names = dict.fromkeys(name for trial in trials for name in trial.configuration)
        values = {name: [trial.configuration.get(name) for trial in trials] for name in names}
        return {name: seen[0] for name, seen in values.items() if all(value == seen[0] for value in seen)}


@dataclass(frozen=True)
class Group:
    """Searches that differ in their seed alone: what one cell of a table is made of.

    Attributes:
        fixed: values that all their configurations share.
        by_seed: the newest search of each seed.
        replaced: older searches of a seed that has a newer one.
    """

    task: str
    method: str
    backbone: str
    recipe: str
    metric: str
    settings: dict[str, Any]
    fixed: dict[str, Any]
    by_seed: dict[int, FoundSearch]
    replaced: tuple[FoundSearch, ...] = ()

    @property
    def title(self) -> str:
        """What tables print for the task."""
        return self.newest.record.task_title

    def scores(self, metric: str | None = None) -> dict[int, float]:
        """Finite test scores by seed; of the selection metric where none is named."""
        name = metric_key(metric or self.metric)
        found = {seed: search.test_scores.get(name) for seed, search in self.by_seed.items()}
        return {seed: score for seed, score in found.items() if score is not None}

    @property
    def one_example(self) -> float | None:
        """Points that one test example is worth: of the smallest test split, should the seeds differ in it."""
        sizes = [s.record.test.n for s in self.by_seed.values() if s.record.test is not None and s.record.test.n > 0]
        return 100.0 / min(sizes) if sizes else None

    @property
    def parameters(self) -> list[int]:
        """Trainable parameters of the winners, each number once."""
        found = {
            search.record.parameters[search.record.test.trial_number]
            for search in self.by_seed.values()
            if search.record.test is not None and search.record.test.trial_number in search.record.parameters
        }
        return sorted(found)

    @property
    def newest(self) -> FoundSearch:
        """The search that began last."""
        return max(self.by_seed.values(), key=lambda search: age(search.started))


@dataclass(frozen=True)
class Estimate:
    """The mean over seeds.

    Attributes:
        sd: standard deviation with n - 1; None for one value.
        low, high: 95 % interval of the mean; None for one value.
    """

    mean: float
    n: int
    sd: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Method ``first`` less method ``second``, on the same seeds of the same backbone.

    Attributes:
        task: empty for the mean over all tasks that both have.
        pairs: (task, seed) pairs behind it.
        interval: what ``low`` and ``high`` are: ``bootstrap``, ``t``, or empty where there is none.
        p: of the two-sided sign-flip permutation test; ``p_holm`` after Holm's correction over its family.
        smallest_p: what ``p`` would be if every pair pointed the same way: above 0.05 no verdict is possible.
        one_example: points that one test example is worth (over tasks: their mean); None where n is not known.
        why: what the verdict rests on, in words.
        rows: test rows behind ``p``, where it is of a test over rows; 0 where it is of the seeds.
        test: which test over rows it is; empty for the seeds'.
    """

    backbone: str
    task: str
    metric: str
    first: str
    second: str
    pairs: int
    difference: float
    low: float | None
    high: float | None
    interval: str
    p: float
    p_holm: float
    smallest_p: float
    one_example: float | None
    verdict: Verdict
    why: str
    rows: int = 0
    test: str = ""


@dataclass(frozen=True)
class Aggregate:
    """One method's scores over all tasks and seeds that every method of its backbone has.

    Attributes:
        iqm: the mean of the middle half of all (task, seed) scores.
        low, high: its 95 % stratified bootstrap interval; None with fewer than two seeds a task.
        note: what a reader must know before using the interval; empty where all is as it should be.
    """

    backbone: str
    method: str
    tasks: tuple[str, ...]
    scores: int
    iqm: float
    low: float | None
    high: float | None
    note: str


@dataclass(frozen=True)
class Cell:
    """One cell of a table, not yet escaped for any form.

    Attributes:
        text: what is printed, without the spread and without marks.
        spread: standard deviation as printed, without its sign; empty where there is none.
        value: the number behind the text, for files that are computed with.
        n: seeds behind a measured score.
        note: more on this cell alone, e.g. what fills it.
    """

    text: str
    kind: Kind = "label"
    value: float | None = None
    spread: str = ""
    mark: Mark = ""
    n: int = 0
    one_example: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Column:
    """A column's heading; neighbours with the same ``group`` stand below one heading."""

    label: str
    group: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Row:
    """One row; ``section`` is the heading above it, where it differs from the row before."""

    cells: tuple[Cell, ...]
    section: str = ""


class Fill(NamedTuple):
    """What fills missing cells: a shell command, empty where no task of this version does; and the cells in words."""

    command: str
    cells: str


@dataclass(frozen=True)
class Grid:
    """A table for every writer.

    Attributes:
        name: of its file and its label, in small letters, digits and hyphens.
        notes: sentences below the table.
        fill: what fills its missing cells.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    fill: tuple[Fill, ...] = ()

    def cells(self) -> Iterator[tuple[Row, Column, Cell]]:
        """Every cell with its row and column."""
        for row in self.rows:
            for column, cell in zip(self.columns, row.cells, strict=True):
                yield row, column, cell


@dataclass(frozen=True)
class Results:
    """Everything that a report says, computed once.

    Attributes:
        searches: as found, the oldest first.
        groups: one for each (task, method, backbone) and each way of training and searching it.
        grids: the tables, in the order of the report, but for those of trials.
        configurations: a table of its trials for each search.
        left_out: what was found and not used, with the reason.
    """

    searches: tuple[FoundSearch, ...]
    groups: tuple[Group, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    grids: tuple[Grid, ...] = ()
    configurations: tuple[Grid, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = field(default=())

    @property
    def all_grids(self) -> tuple[Grid, ...]:
        """Every table, for forms that are read."""
        return (*self.grids, *self.configurations)

    @property
    def records(self) -> list[SearchRecord]:
        """The searches' records, the oldest first."""
        return [search.record for search in self.searches]


def age(started: datetime | None) -> float:
    """A number to sort by: what has no date is the oldest."""
    return started.timestamp() if started is not None else float("-inf")


def canonical(values: dict[str, Any]) -> str:
    """One text for equal settings, whatever their order."""
    return json.dumps(values, sort_keys=True, default=str)
