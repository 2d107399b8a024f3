"""Learning curves of whole searches in one small Parquet file.

One row a report: ``task``, ``backbone``, ``method``, ``seed``, ``trial`` (its number), ``step`` (in updates), ``score``
(the selection metric on validation, in points; NaN where a trial diverged), ``seconds`` (since the report before,
training and evaluation), ``examples`` (of the validation split), ``loss`` (on validation, in nats a target token; null,
or no such column, where it is not known) and a column ``config/NAME`` for each hyperparameter.
Rows of one task, backbone, method and seed make a grid.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.command_lines import command_line
from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus
from trials.errors import UserError

if TYPE_CHECKING:
    import pyarrow

CONFIGURATION = "config/"
KEY = ("task", "backbone", "method", "seed")
_TYPES = {
    "task": "string",
    "backbone": "string",
    "method": "string",
    "seed": "int64",
    "trial": "int64",
    "step": "int64",
    "score": "float64",
    "seconds": "float64",
    "examples": "int64",
}
_OPTIONAL = {"loss": "float64"}


@dataclass(frozen=True)
class Curve:
    """All reports of one trial.

    Attributes:
        steps: of its reports, in updates. scores: in points. seconds: that each report took.
        losses: on validation, None where not known; empty where none is.
    """

    configuration: dict[str, Any]
    steps: tuple[int, ...]
    scores: tuple[float, ...]
    seconds: tuple[float, ...]
    losses: tuple[float | None, ...] = ()

    @property
    def diverged(self) -> bool:
        """Whether it ended in a score that is not a number."""
        return not math.isfinite(self.scores[-1])

    @property
    def best(self) -> float:
        """The highest finite score; -inf for a trial that diverged, which can never win."""
        return -math.inf if self.diverged else max(score for score in self.scores if math.isfinite(score))


@dataclass(frozen=True)
class RecordedGrid:
    """The curves of one search with one seed, every trial to its budget.

    Attributes:
        curves: by trial number.
        steps: the budget of a trial, in updates.
        examples: of the validation split; 0 where not known.
    """

    task: str
    backbone: str
    method: str
    seed: int
    curves: dict[int, Curve]
    steps: int
    examples: int = 0

    @property
    def name(self) -> str:
        """Its name in a table."""
        return f"{self.task} {self.method} {self.backbone} seed {self.seed}"

    @cached_property
    def best(self) -> float:
        """The score of the best configuration, in points."""
        return max(curve.best for curve in self.curves.values())

    @property
    def has_losses(self) -> bool:
        """Whether the validation loss of every report is known."""
        return all(curve.losses and None not in curve.losses for curve in self.curves.values())

    @property
    def every(self) -> int:
        """Updates to the first report."""
        return min(curve.steps[0] for curve in self.curves.values())

    @property
    def cost(self) -> int:
        """Updates of the whole grid; a diverged trial counts up to where it ended."""
        return sum(curve.steps[-1] for curve in self.curves.values())

    @property
    def one_example(self) -> float:
        """Points that one validation example is worth."""
        return 100.0 / self.examples if self.examples else 0.0


def record(searches: Iterable[SearchRecord], path: str | os.PathLike[str]) -> Path:
    """Write the curves of searches that were trained whole (``--scheduler none``).

    Raises:
        UserError: a search was stopped early, is unfinished, or stands there twice; names every such trial.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    seen: dict[tuple[Any, ...], str] = {}
    for search in searches:
        for trial in search.trials:
            key = (search.task, search.backbone, search.method, trial.seed, trial.number)
            if key in seen:
                problems.append(f"search {search.name}, trial {trial.number}: search {seen[key]} has the same trial")
            seen.setdefault(key, search.name)
            if problem := _unusable(search, trial):
                problems.append(f"search {search.name}, trial {trial.number}: {problem}")
            else:
                rows += _rows(search, trial)
    if not rows and not problems:
        problems.append("no search was given, or none that has a trial")
    if problems:
        raise UserError(problems)
    known = _TYPES | _OPTIONAL
    names = list(dict.fromkeys(name for row in rows for name in row if name not in known))
    columns = {name: [row.get(name) for row in rows] for name in [*known, *names]}
    arrays = {name: _column(pa, name, values) for name, values in columns.items()}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    pq.write_table(pa.table(arrays), part, compression="zstd")
    part.replace(path)
    return path


def read_curves(path: str | os.PathLike[str]) -> list[RecordedGrid]:
    """Read and check a file of curves.

    Raises:
        UserError: there is no such file, it is no Parquet file, lacks columns, or a curve in it cannot be used; names
            everything that is wrong.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    if not path.is_file():
        raise UserError(
            [
                f"{path}: there is no such file of curves. `{command_line('replay', path.absolute())} --record FOLDER` "
                "makes it from the folder of a search"
            ]
        )
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError([f"{path} is no whole Parquet file ({str(error).splitlines()[0]})"]) from None
    problems = [f"{path} has no column {name!r} ({kind})" for name, kind in _missing(table).items()]
    if problems:
        raise UserError(problems)
    by_trial: defaultdict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pylist():
        by_trial[(*(row[name] for name in KEY), row["trial"])].append(row)
    grids: defaultdict[tuple[Any, ...], dict[int, list[dict[str, Any]]]] = defaultdict(dict)
    for (*key, number), rows in by_trial.items():
        grids[tuple(key)][number] = sorted(rows, key=lambda row: row["step"])
    found = [_grid(key, trials, problems) for key, trials in grids.items()]
    if not found:
        problems.append(f"{path} has no rows")
    if problems:
        raise UserError([f"{path}: {problem}" if str(path) not in problem else problem for problem in problems])
    return found


def _grid(key: tuple[Any, ...], trials: dict[int, list[dict[str, Any]]], problems: list[str]) -> RecordedGrid:
    steps = max(rows[-1]["step"] for rows in trials.values())
    curves = {}
    for number, rows in sorted(trials.items()):
        names = {name.removeprefix(CONFIGURATION): name for name in rows[0] if name.startswith(CONFIGURATION)}
        curves[number] = Curve(
            {short: rows[0][name] for short, name in names.items() if rows[0][name] is not None},
            tuple(row["step"] for row in rows),
            tuple(math.nan if row["score"] is None else row["score"] for row in rows),
            tuple(row["seconds"] or 0.0 for row in rows),
            tuple(row.get("loss") for row in rows),
        )
        where = f"{', '.join(map(str, key))}, trial {number}"
        curve = curves[number]
        if len(set(curve.steps)) < len(curve.steps) or curve.steps[0] < 1:
            problems.append(f"{where}: steps must rise from above 0, each once, but are {list(curve.steps)}")
        if curve.steps[-1] < steps and not curve.diverged:
            problems.append(
                f"{where}: it ends at step {curve.steps[-1]:,} of {steps:,}; record searches with --scheduler none"
            )
        if any(not math.isfinite(score) for score in curve.scores[:-1]):
            problems.append(f"{where}: only its last score may be NaN")
    if len(curves) < 2 or all(curve.diverged for curve in curves.values()):
        problems.append(f"{', '.join(map(str, key))}: a grid needs two trials, and one that did not diverge")
    task, backbone, method, seed = key
    examples = next(iter(trials.values()))[0]["examples"] or 0
    return RecordedGrid(task, backbone, method, seed, curves, steps, examples)


def _unusable(search: SearchRecord, trial: TrialRecord) -> str:
    if trial.status not in (TrialStatus.FINISHED, TrialStatus.DIVERGED):
        why = f"it is {trial.status} at step {trial.step:,}"
        return f"{why}; a search to be recorded is trained whole: --scheduler none"
    return "" if trial.reports else "it has no reports"


def _rows(search: SearchRecord, trial: TrialRecord) -> list[dict[str, Any]]:
    by_step = {int(report["step"]): report for report in trial.reports}  # the later of two counts
    rows = []
    for step, report in sorted(by_step.items()):
        last_of_diverged = trial.status is TrialStatus.DIVERGED and step == max(by_step)
        rows.append(
            {
                "task": search.task,
                "backbone": search.backbone,
                "method": search.method,
                "seed": trial.seed,
                "trial": trial.number,
                "step": step,
                "score": math.nan if last_of_diverged else float(report["score"]),
                "seconds": float(report.get("seconds/train", 0.0)) + float(report.get("seconds/evaluation", 0.0)),
                "examples": search.sizes.get("validation", 0),
                "loss": report.get("validation/loss"),
                **{f"{CONFIGURATION}{name}": value for name, value in trial.configuration.items()},
            }
        )
    return rows


def _column(pa: Any, name: str, values: list[Any]) -> pyarrow.Array:
    if kind := (_TYPES | _OPTIONAL).get(name):
        return pa.array(values, kind)
    kinds = {type(value) for value in values if value is not None}
    return pa.array([None if v is None else str(v) for v in values] if str in kinds else values)


def _missing(table: Any) -> dict[str, str]:
    return {name: kind for name, kind in _TYPES.items() if name not in table.column_names}
