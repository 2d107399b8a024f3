"""What the sections of a page say: everything that the templates print, derived once and free of markup."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from markupsafe import Markup

from orchestrator.record import formats
from orchestrator.record.binomial import interval, is_extreme
from orchestrator.record.data_report import data_report
from orchestrator.record.secrecy import without_secrets
from orchestrator.summarizer.page import charts_hyperparameters, charts_training
from orchestrator.summarizer.page.hyperparameters import Axis, Importance, axes, importance
from orchestrator.summarizer.page.search_view import LOOKS, SearchView
from orchestrator.summarizer.results import facts
from orchestrator.summarizer.results.seed_statistics import estimate
from orchestrator.summarizer.results.winner_check import Finding, find
from orchestrator.summarizer.tables.data_table import data_table
from trials.data.report import DataReport

_SCRIPT = re.compile(r"^(?:\S*/)?search\.py\b")  # however it was named when it ran


@dataclass(frozen=True)
class Tile:
    """A figure that stands out: what it is, its value, and what to know about it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table that a script sorts: ``sort`` is a number, or None for text, and empty cells come last."""

    text: str
    sort: float | None = None


@dataclass(frozen=True)
class Row:
    """A trial in the table: ``key`` joins it to its marks in the charts, ``told`` is what a mark says of it."""

    key: int
    look: str
    status: str
    told: str
    cells: list[Cell]


@dataclass
class SearchSection:
    """One search on a page.

    Args:
        place: its number on the page, from 1: begins the ids of its parts.
    """

    search: SearchView
    place: int = 1
    looks: dict[Any, str] = field(default_factory=lambda: dict(LOOKS))

    @property
    def id(self) -> str:
        """Begins every id of this search's parts."""
        return f"s{self.place}"

    @cached_property
    def axes(self) -> list[Axis]:
        """The hyperparameters that differ."""
        return axes(self.search)

    @cached_property
    def importance(self) -> Importance | str:
        """Shares of the axes, or why there are none."""
        return importance(self.search, self.axes)

    @cached_property
    def rates(self) -> charts_hyperparameters.RateMap | None:
        """What the heat map shows."""
        return charts_hyperparameters.RateMap.of(self.axes)

    def chart(self, name: str) -> Markup:
        """A chart of this search as SVG; empty where there is nothing to draw."""
        search, prefix = self.search, f"{self.id}-{name}-"
        if name == "curves":
            return charts_training.learning_curves(search, prefix)
        if name == "small_curves":
            return charts_training.learning_curves(search, prefix, small=True)
        if name == "rungs":
            return charts_training.rungs(search, prefix)
        if name == "map":
            return charts_hyperparameters.rate_map(search, self.rates, prefix) if self.rates else Markup("")
        draw = {"slices": charts_hyperparameters.slices, "parallel": charts_hyperparameters.parallel_coordinates}[name]
        return draw(search, self.axes, prefix)

    @property
    def tiles(self) -> list[Tile]:
        """The four figures of the decision."""
        return [self._test_tile(), self._validation_tile(), self._trials_tile(), self._saved_tile()]

    @cached_property
    def finding(self) -> Finding:
        """The headline of the decision."""
        return find(self.search.record, self.search.choice)

    @property
    def winner(self) -> list[facts.Fact]:
        """The configuration that won, a fact a hyperparameter."""
        best = self.search.choice.winner
        return [facts.Fact(formats.line(k), formats.value(v)) for k, v in best.configuration.items()] if best else []

    @property
    def decision(self) -> list[facts.Fact]:
        """What else to know of the decision."""
        found = facts.winner(self.search.record, self.search.choice)
        return [fact for fact in found if fact.label not in ("Finding", "Winner", "Note")]

    @property
    def header(self) -> list[facts.Fact]:
        """What was searched."""
        return facts.header(self.search.record)

    @property
    def compute(self) -> list[facts.Fact]:
        """Steps and time."""
        return facts.compute(self.search.record)

    @property
    def use(self) -> list[facts.Fact]:
        """How to load the winner and browse the runs."""
        return facts.use(self.search.record)

    @property
    def shares(self) -> list[tuple[str, str, float]]:
        """What became of the steps of all trials trained whole: CSS class, name, percent."""
        grid = self.search.grid_steps
        if not grid:
            return []
        trained, saved = self.search.trained_steps, self.search.stopping_saved
        parts = [("trained", "trained", trained), ("saved", "saved by early stopping", saved)]
        parts += [("lost", "not trained for other reasons", max(grid - trained - saved, 0))]
        return [(kind, name, 100.0 * steps / grid) for kind, name, steps in parts if steps]

    @cached_property
    def columns(self) -> list[tuple[str, bool]]:
        """The columns of the table of trials, and whether each holds numbers."""
        table = facts.trial_table(self.search.record, self.search.choice)
        return list(zip(table.columns, table.numeric, strict=True))

    @cached_property
    def rows(self) -> list[Row]:
        """All trials, the best first, in the summary's columns."""
        table = facts.trial_table(self.search.record, self.search.choice)
        raw = [self._raw(view, table.columns) for view in self.search.trials]
        rows = []
        for view, texts, numbers in zip(self.search.trials, table.rows, raw, strict=True):
            cells = [Cell(text, number) for text, number in zip(texts, numbers, strict=True)]
            best = f"best {formats.score(view.score)} at step {formats.whole(view.trial.best_step)}"
            told = f"trial {view.trial.number}: {formats.pairs(view.trial.configuration)}; {best}; {view.trial.status}"
            rows.append(Row(view.rank, view.look, view.trial.status, formats.shortened(told, 300), cells))
        return rows

    @property
    def quoted(self) -> facts.Table | None:
        """The paper's rows for this task."""
        table = facts.quoted_table(self.search.record)
        return table if table.rows else None

    @cached_property
    def data(self) -> DataReport | None:
        """What is in the rows."""
        return data_report(self.search.record)

    @property
    def data_table(self) -> facts.Table:
        """Its counts."""
        assert self.data is not None
        return data_table(self.data)

    @property
    def provenance(self) -> list[facts.Fact]:
        """Code, versions, data and hardware."""
        found = self.search.record.provenance
        return [
            facts.Fact(formats.line(name), without_secrets(formats.value(value)))
            for name, value in found.items()
            if name != "command"
        ]

    @property
    def commands(self) -> list[str]:
        """What to type to run the search again, with the same code where that is known."""
        found = self.search.record.provenance
        commit, command = str(found.get("git_commit", "")), str(found.get("command", ""))
        lines = [f"git checkout {shlex.quote(commit.removesuffix('-dirty'))}"] if commit else []
        lines += ["pip install -c constraints.txt -e ."] if commit else []
        if command:
            lines.append(_SCRIPT.sub("python orchestrator/search.py", without_secrets(formats.line(command))))
        return lines

    @property
    def has_local_changes(self) -> bool:
        """Whether the code was not exactly that of its commit."""
        return str(self.search.record.provenance.get("git_commit", "")).endswith("-dirty")

    def _raw(self, view: Any, columns: list[str]) -> list[float | None]:
        """What each column is sorted by; hyperparameters by their value where it is a number."""
        trial, record = view.trial, self.search.record
        known: dict[str, Any] = {
            "rank": view.rank,
            "trial": trial.number,
            "seed": trial.seed,
            "parameters": record.parameters.get(trial.number),
            "best": view.score,
            "mean": self.search.choice.mean(trial),
            "at step": trial.best_step,
            "last step": trial.step,
            "train s": trial.train_seconds,
        }
        values = [known[name] if name in known else trial.configuration.get(name) for name in columns]
        return [float(v) if isinstance(v, int | float) and v == v and abs(v) < 1e300 else None for v in values]

    def _test_tile(self) -> Tile:
        test, metric = self.search.record.test, self.search.record.metric
        if test is None:
            return Tile(f"Test {metric}", formats.MISSING, "not read")
        if self.search.record.seed_tests:
            found = estimate([one.score for one in self.search.record.tests])
            spread = f"{formats.score(found.low)} to {formats.score(found.high)}" if found.low is not None else ""
            note = f"mean of {found.n} seeds, {f'95 % interval {spread}, ' if spread else ''}n {formats.whole(test.n)}"
            return Tile(f"Test {metric}", formats.score(found.mean), f"{note}, read once a seed")
        bounds = interval(test.score, test.n, metric)
        spread = f"Wilson's 95 % interval {formats.score(bounds[0])} to {formats.score(bounds[1])}, " if bounds else ""
        return Tile(f"Test {metric}", formats.score(test.score), f"{spread}n {formats.whole(test.n)}, read once")

    def _validation_tile(self) -> Tile:
        best, metric = self.search.choice.winner, self.search.record.metric
        if best is None:
            return Tile(f"Validation {metric}", formats.MISSING, "no winner")
        error = self.search.choice.standard_error
        spread = f", standard error {formats.score(error)}" if error is not None else ""
        score, n = best.best_score or 0.0, self.search.record.sizes.get("validation")
        bounds = interval(score, n, metric) if is_extreme(score) else None
        if bounds:
            spread = f", Wilson's 95 % interval {formats.score(bounds[0])} to {formats.score(bounds[1])}"
        note = f"at step {formats.whole(best.best_step)}{spread}"
        if self.search.choice.candidates:
            first = self.search.choice.candidates[0]
            note = f"mean of {len(first.trials)} seeds{spread}"
            return Tile(f"Validation {metric}", formats.score(first.mean), note)
        return Tile(f"Validation {metric}", formats.score(best.best_score), note)

    def _trials_tile(self) -> Tile:
        ended = ", ".join(f"{count} {status}" for status, count in self.search.statuses.items())
        return Tile("Trials", formats.whole(len(self.search.trials)), ended or "none yet")

    def _saved_tile(self) -> Tile:
        grid = self.search.grid_steps
        if not grid:
            return Tile("Saved by early stopping", formats.MISSING, "nothing was trained")
        share = f"{100.0 * self.search.stopping_saved / grid:.0f} %"
        note = f"{formats.whole(self.search.trained_steps)} of the {formats.whole(grid)} steps of all trials trained"
        return Tile("Saved by early stopping", share, note)
