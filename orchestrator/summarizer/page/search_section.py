"""What the sections of a page show: everything that the templates print, derived once and free of markup."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from orchestrator.record import formats
from orchestrator.record.binomial import interval, is_extreme
from orchestrator.record.data_report import data_report
from orchestrator.record.secrecy import without_secrets
from orchestrator.summarizer.page import charts_hyperparameters, charts_training
from orchestrator.summarizer.page.hyperparameters import HyperparameterAxis, Importance, axes, importance
from orchestrator.summarizer.page.search_view import SearchView, TrialView
from orchestrator.summarizer.results.result_lines import result_lines
from orchestrator.summarizer.results.search_lines import Line, compute_lines, setup_lines, use_lines
from orchestrator.summarizer.results.seed_statistics import estimate
from orchestrator.summarizer.results.winner_check import WinnerCheck, check_winner
from orchestrator.summarizer.tables.model import Cell, ReportTable
from orchestrator.summarizer.tables.search_tables import data_table, published_table
from orchestrator.summarizer.tables.trial_tables import trial_table
from trials.data.report import DataReport

_SCRIPT = re.compile(r"^(?:\S*/)?search\.py\b")  # however it was named when it ran


@dataclass(frozen=True)
class Tile:
    """A figure that stands out: what it is, its value, and what to know about it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class LiveRow:
    """A row of a table that a script sorts by the values of its cells, and filters.

    Attributes:
        key: joins a trial to its marks in the charts, and a search to its section.
        look: its class in the style sheet.
        description: what a mark of the trial shows when it is pointed at.
    """

    key: int
    look: str
    status: str
    description: str
    cells: tuple[Cell, ...]


@dataclass
class SearchSection:
    """One search on a page.

    Args:
        place: its number on the page, from 1: begins the ids of its parts.
    """

    search: SearchView
    place: int = 1

    @property
    def id(self) -> str:
        """Begins every id of this search's parts."""
        return f"s{self.place}"

    @cached_property
    def axes(self) -> list[HyperparameterAxis]:
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
    def finding(self) -> WinnerCheck:
        """The headline of the decision."""
        return check_winner(self.search.record, self.search.choice)

    @property
    def winner(self) -> list[Line]:
        """The configuration that won, a line a hyperparameter."""
        best = self.search.choice.winner
        return [Line(formats.line(k), formats.value(v)) for k, v in best.configuration.items()] if best else []

    @property
    def decision(self) -> list[Line]:
        """What else to know of the decision."""
        lines = result_lines(self.search.record, self.search.choice)
        return [line for line in lines if line.label not in ("Finding", "Winner", "Note")]

    @property
    def header(self) -> list[Line]:
        """What was searched."""
        return setup_lines(self.search.record)

    @property
    def compute(self) -> list[Line]:
        """Steps and time."""
        return compute_lines(self.search.record)

    @property
    def use(self) -> list[Line]:
        """How to load the winner and browse the runs."""
        return use_lines(self.search.record)

    @property
    def shares(self) -> list[tuple[str, str, float]]:
        """What became of the steps of all trials trained whole: CSS class, name, percent."""
        steps = self.search.steps
        parts = [("trained", "trained", steps.trained), ("saved", "saved by early stopping", steps.early)]
        parts += [("lost", "not trained for other reasons", steps.other)]
        return [(kind, name, 100.0 * part / steps.whole) for kind, name, part in parts if steps.whole and part]

    @cached_property
    def trials(self) -> ReportTable:
        """All trials, the best first, as in the summary."""
        return trial_table(self.search.record, self.search.choice)

    @cached_property
    def rows(self) -> list[LiveRow]:
        """The rows of that table, joined to their marks in the charts."""
        return [
            LiveRow(view.rank, view.look, view.trial.status, _description(view), row.cells)
            for view, row in zip(self.search.trials, self.trials.rows, strict=True)
        ]

    @property
    def published(self) -> ReportTable | None:
        """The paper's rows for this task."""
        table = published_table(self.search.record)
        return table if table.rows else None

    @cached_property
    def data(self) -> DataReport | None:
        """What is in the rows."""
        return data_report(self.search.record)

    @property
    def data_table(self) -> ReportTable:
        """Its counts."""
        assert self.data is not None
        return data_table(self.data)

    @property
    def provenance(self) -> list[Line]:
        """Code, versions, data and hardware."""
        found = self.search.record.provenance
        return [
            Line(formats.line(name), without_secrets(formats.value(value)))
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
        steps = self.search.steps
        if not steps.whole:
            return Tile("Saved by early stopping", formats.MISSING, "nothing was trained")
        return saved_tile(steps.early, steps.trained, steps.whole)


def saved_tile(early: int, trained: int, whole: int) -> Tile:
    """The share of steps that early stopping saved."""
    share = f"{100.0 * early / whole:.0f} %" if whole else formats.MISSING
    note = f"{formats.whole(trained)} of the {formats.whole(whole)} steps of all trials trained"
    return Tile("Saved by early stopping", share, note)


def _description(view: TrialView) -> str:
    best = f"best {formats.score(view.score)} at step {formats.whole(view.trial.best_step)}"
    text = f"trial {view.trial.number}: {formats.pairs(view.trial.configuration)}; {best}; {view.trial.status}"
    return formats.shortened(text, 300)
