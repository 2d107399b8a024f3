"""Configurations compared: methods side by side (Tables 8, 9, 10 and 14), and sizes of ADePT (Tables 12 and 13)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from orchestrator.analyses.lines import Work, section_of, title_of
from orchestrator.analyses.pools import Pool, Trained, Where, fullest, having
from orchestrator.record import formats
from orchestrator.summarizer.results.groups import method_title
from orchestrator.summarizer.results.published import method_key, metric_key, task_key
from orchestrator.summarizer.results.seed_statistics import estimate
from orchestrator.summarizer.tables.cells import EMPTY, measured_cell
from orchestrator.summarizer.tables.model import Cell
from orchestrator.summarizer.tables.paper_layouts import PaperAxis

SPEED, HOURS, SECONDS = "inference_samples_per_second", "hours", "seconds"
SIZES = {12: ("bottleneck", "prompt_length"), 13: ("prompt_length", "bottleneck")}
"""Of each table, the hyperparameter that its columns vary, and the one that all of them must share."""


def side_by_side(work: Work) -> None:
    """Tables 8, 9, 10 and 14: a row a method or a part of one, a column a task."""
    methods = [row.measured_as or row.match["method"].lower() for row in work.layout.rows]
    places = work.pools.places(methods)
    rows = {
        backbone: [_Row(work, row, method, backbone) for row, method in zip(work.layout.rows, methods, strict=True)]
        for backbone in places
    }
    shown = [p for backbone, pools in places.items() for p in pools if any(row.best(p.task) for row in rows[backbone])]
    work.extend(shown, lambda pool: _columns(work, pool))
    for backbone, pools in places.items():
        for line in rows[backbone]:
            cells = [line.cell(column) for column in work.layout.columns]
            work.add(line.row.label, backbone, f"measured on {backbone}", cells, line.used)
            for beside in pools:
                if not line.best(beside.task):
                    work.lacks(line.row.label, title_of(beside), line.method, beside, line.row.where)
            _note_means(work, line, pools)
    if work.analysis.table == 8:
        work.note(
            "Samples per second: test rows, tokenised before, that this machine's "
            f"{'accelerator' if work.bench.device == 'cuda' else 'processor'} answers with the adapter, the median of "
            "three times; the paper does not say how many it answers at once."
        )
    for pools in places.values():
        for beside in pools:
            _note_steps(work, beside, methods)


def sizes(work: Work) -> None:
    """Tables 12 and 13: ADePT with one of its sizes varied and the other the same in all columns."""
    varied, shared = SIZES[work.analysis.table]
    columns = [column.where[varied] for column in work.layout.columns]
    for backbone, pools in work.pools.places(["adept"]).items():
        for beside in pools:
            here = work.pools.of(beside.task, backbone, "adept")
            pool = fullest(here, lambda pool: len(_covered(pool, varied, shared, columns)[1]))
            if pool is None:
                work.lacks("ADePT", f"{varied} {', '.join(map(str, columns))}", "adept", beside)
                continue
            value, _ = _covered(pool, varied, shared, columns)
            cells, missing = [], []
            for size in columns:
                found = pool.best(having({varied: size, shared: value}))
                missing += [] if found else [str(size)]
                cells.append(work.over_seeds(found, partial(work.test_score, pool.metric), pool.metric))
            work.add(method_title("adept"), backbone, section_of(pool), cells)
            work.note(
                f"{section_of(pool)}: {shared} {formats.value(value)} in all columns; each is its best trial by "
                "validation of those that trained the whole budget."
            )
            if missing:
                work.lacks("ADePT", f"{varied} {', '.join(missing)}", "adept", pool)


def _covered(pool: Pool, varied: str, shared: str, columns: list[object]) -> tuple[object, set[object]]:
    """The value of the shared size with which the most columns are trained, and those columns."""
    trained = [one.trial.configuration for one in pool.trained]
    there = [c for c in trained if c.get(varied) in columns]
    by_value = {value: {c[varied] for c in there if c.get(shared) == value} for value in {c.get(shared) for c in there}}
    counts = Counter(c.get(shared) for c in there)
    best = max(by_value, key=lambda value: (len(by_value[value]), counts[value], str(value)), default=None)
    return best, by_value.get(best, set())


class _Row:
    """One measured row of `side_by_side`.

    Attributes:
        method: its name as a search takes it.
        used: the trainings behind its cells.
    """

    def __init__(self, work: Work, row: PaperAxis, method: str, backbone: str) -> None:
        self.work, self.row, self.method, self.backbone = work, row, method, backbone
        self.used: list[Trained] = []
        others = [
            having(other.where)
            for other in work.layout.rows
            if other is not row
            and other.where
            and method_key(other.measured_as or other.match["method"]) == method_key(method)
        ]
        self.fits: Callable[[Where], bool] = (
            having(row.where) if row.where else lambda configuration: not any(other(configuration) for other in others)
        )

    def best(self, task: str) -> Mapping[int, Trained]:
        """The best training of each seed on a task."""
        pool = self._pool(task)
        return pool.best(self.fits) if pool is not None else {}

    def cell(self, column: PaperAxis) -> Cell:
        """What stands in a column."""
        metric = self.work.layout.field_of("metric", column)
        if column.mean_of:
            return self._mean(column.mean_of)
        task = column.match["task"]
        found = self.best(task)
        cell = self.work.over_seeds(found, partial(self._value, metric), metric)
        if cell.kind != "missing":
            self.used += found.values()
        return cell if metric not in (SPEED, HOURS, SECONDS) else replace(cell, n=0, one_example=None)

    def _pool(self, task: str) -> Pool | None:
        return fullest(self.work.pools.of(task, self.backbone, self.method), lambda pool: len(pool.best(self.fits)))

    def _value(self, metric: str, one: Trained) -> float | None:
        if metric in (HOURS, SECONDS):
            seconds = one.trial.train_seconds + one.trial.evaluation_seconds
            return seconds / 3600.0 if metric == HOURS else seconds
        if metric == SPEED:
            return self.work.bench.samples_per_second(one)
        return self.work.test_score(metric, one)

    def _mean(self, of: Mapping[str, str]) -> Cell:
        """Of several tasks, each the mean over its seeds; missing where one of them is."""
        means = []
        for task, metric in of.items():
            found = self.best(task)
            cell = self.work.over_seeds(found, partial(self._value, metric_key(metric)), metric)
            if cell.value is None:
                return EMPTY
            means.append(cell.value)
            self.used += found.values()
        return measured_cell(estimate([sum(means) / len(means)]), "mean", None)


def _note_means(work: Work, line: _Row, pools: list[Pool]) -> None:
    """Where a row has some of the tasks that a mean is of: what the others need."""
    there = {task_key(pool.task) for pool in pools}
    for column in work.layout.columns:
        if any(line.best(task) for task in column.mean_of):
            for task in column.mean_of:
                if task_key(task) not in there:
                    work.lacks(line.row.label, task, line.method, pools[0], line.row.where, task)


def _columns(work: Work, pool: Pool) -> list[PaperAxis]:
    """What the paper's table would have for another task."""
    task, title = pool.task, title_of(pool)
    if work.analysis.table == 9:
        if any(task_key(column.match["task"]) == task_key(task) for column in work.layout.columns):
            return []
        return [PaperAxis(f"{title}, seconds", match={"task": task, "metric": SECONDS}, better="lower")]
    found = [PaperAxis(title, match={"task": task, "metric": pool.metric})]
    if work.analysis.table == 8:
        found.append(PaperAxis(f"{title}, samples per second", match={"task": task, "metric": SPEED}))
    return found


def _note_steps(work: Work, beside: Pool, methods: list[str]) -> None:
    """Say where the rows of a column were not trained alike."""
    backbone, found = beside.newest.record.backbone, dict[str, tuple[object, ...]]()
    for method in dict.fromkeys(methods):
        pool = fullest(work.pools.of(task_key(beside.task), backbone, method))
        if pool is not None:
            settings = pool.newest.record.settings
            found[method_title(method)] = (settings.get("steps"), settings.get("batch_size"))
    if len(set(found.values())) > 1:
        each = ", ".join(
            f"{name} {formats.value(s)} steps of {formats.value(b)} rows" for name, (s, b) in found.items()
        )
        work.note(f"{title_of(beside)} on {backbone} was not trained alike: {each}.")
