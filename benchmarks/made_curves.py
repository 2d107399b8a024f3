"""Learning curves that are made up, for tests and where nothing has been recorded yet."""

from __future__ import annotations

import csv
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestrator.schedulers.simulation.curves import Curve, RecordedGrid, read_curves
from trials.errors import UserError

Shape = tuple[float, ...]  # progress from 0 to 1 at equal distances over the budget

PACES = 0.4
"""Standard deviation of the logarithm of a trial's pace: learning rates make two of three differ by up to a half."""


def power_law(budget: int, pace: float, bloom: int = 0) -> Shape:
    """Progress that slows down like a power of time, after a flat stretch of ``bloom`` reports."""
    raw = [0.0 if i <= bloom else 1 - (1 + i - bloom) ** -pace for i in range(1, budget + 1)]
    return tuple(value / raw[-1] if raw[-1] else 0.0 for value in raw)


def made_grid(
    seed: int,
    trials: int = 24,
    reports: int = 30,
    *,
    shapes: Sequence[Shape] = (),
    noise: float = 0.6,
    late: float = 0.15,
    examples: int = 600,
) -> RecordedGrid:
    """A grid of trials whose final scores spread as those of a grid do: a few good ones near each other, a tail below.

    Args:
        seed: of everything that is drawn.
        shapes: to draw the task's from: its trials bloom alike, each at a pace of its own (`PACES`); without them each
            trial has a power law of its own, a share ``late`` of which blooms late.
        noise: standard deviation of a score, in points.
    """
    chance = random.Random(seed)
    floor, ceiling = chance.uniform(10, 55), chance.uniform(65, 90)
    of_task = chance.choice(list(shapes)) if shapes else ()
    curves = {}
    for number in range(1, trials + 1):
        final = ceiling - (ceiling - floor) * min(1.0, chance.expovariate(3.0))
        if of_task:
            shape = resampled(of_task, reports, math.exp(chance.gauss(0, PACES)))
        else:
            bloom = chance.randint(1, reports // 2) if chance.random() < late else 0
            shape = power_law(reports, chance.uniform(0.3, 2.0), bloom)
        scores = tuple(
            round((floor + (final - floor) * at + chance.gauss(0, noise)) * examples / 100) * 100 / examples
            for at in shape
        )
        steps = tuple(100 * (i + 1) for i in range(reports))
        pace = chance.uniform(0.8, 1.25)
        curves[number] = Curve({"number": number}, steps, scores, (pace,) * reports)
    return RecordedGrid("made", "nothing", "made", seed, curves, 100 * reports, examples)


def resampled(shape: Shape, reports: int, pace: float = 1.0) -> Shape:
    """The same shape seen at another number of equal distances, passed through ``pace`` times as fast."""
    last = len(shape) - 1
    places = [pace * (i + 1) * len(shape) / reports - 1 for i in range(reports)]
    found = []
    for place in places:
        left = min(max(math.floor(place), 0), last)
        right, part = min(left + 1, last), max(0.0, place - left)
        found.append(shape[left] * (1 - part) + shape[right] * part if place >= 0 else shape[0] * (place + 1))
    return tuple(found)


def published_curves(path: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Published curves by task and metric, as steps and values in their order.

    Args:
        path: of a CSV file with ``task``, ``metric``, ``step`` and ``value``.

    Raises:
        UserError: there is no such file, or it lacks a column.
    """
    if not path.is_file():
        raise UserError([f"{path}: there is no such file of published curves"])
    by_task: defaultdict[str, dict[str, list[tuple[int, float]]]] = defaultdict(dict)
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        missing = [name for name in ("task", "metric", "step", "value") if name not in (rows.fieldnames or [])]
        if missing:
            raise UserError([f"{path} has no column {', '.join(missing)}; it has {', '.join(rows.fieldnames or [])}"])
        for row in rows:
            by_task[row["task"]].setdefault(row["metric"], []).append((int(row["step"]), float(row["value"])))
    return {task: {metric: sorted(points) for metric, points in metrics.items()} for task, metrics in by_task.items()}


def published_shapes(path: Path) -> dict[str, Shape]:
    """Shapes of `published_curves`, by task.

    Each is scaled so that the run begins at 0 (its first report counts as the first step from there) and its best score
    is 1; of a task's metrics the first is taken. Curves that never rise are left out.

    Raises:
        UserError: as there.
    """
    found = {}
    for task, metrics in published_curves(path).items():
        values = [value for _, value in next(iter(metrics.values()))]
        low, high = min(values[0], *values), max(values)
        if high > low and len(values) >= 8:
            found[task] = tuple((value - low) / (high - low) for value in values)
    return found


def grids_and_shapes(curves: Iterable[Path], shapes: Path | None) -> tuple[list[RecordedGrid], list[Shape]]:
    """What a benchmark of early stopping is given: files of recorded grids, and one of published curves or none.

    Raises:
        SystemExit: one of them cannot be read; with what is wrong in it.
    """
    try:
        recorded = [grid for file in curves for grid in read_curves(file)]
        return recorded, list(published_shapes(shapes).values()) if shapes else []
    except UserError as error:
        raise SystemExit("error: " + "\n  ".join(error.problems)) from None
