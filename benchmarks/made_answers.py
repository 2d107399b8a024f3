"""How alike the answers of trials are, row by row, and answers that are made up to be as alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from benchmarks.partial_replay import Right
from orchestrator.schedulers.simulation.curves import Curve, RecordedGrid

PAIRS = 150
"""So many pairs of reports of each kind are compared; more change nothing."""


@dataclass(frozen=True)
class Likeness:
    """Tetrachoric correlations: of two normal variables behind two reports' right and wrong answers to the same rows.

    Attributes:
        between: last reports of two trials. neighbours: two reports of a trial, one after the other. apart: its
            first and its last.
    """

    between: float
    neighbours: float
    apart: float

    def as_dict(self) -> dict[str, float]:
        """Plain JSON types."""
        return {name: round(value, 3) for name, value in asdict(self).items()}

    @classmethod
    def middle(cls, many: Iterable[Likeness]) -> Likeness:
        """Their means."""
        each = np.array([[one.between, one.neighbours, one.apart] for one in many])
        return cls(*map(float, each.mean(axis=0)))


def tetrachoric(one: np.ndarray, other: np.ndarray) -> float | None:
    """Correlation behind two series of right and wrong; None where one of them is constant."""
    shares = one.mean(), other.mean()
    if not 0 < min(shares) <= max(shares) < 1:
        return None
    places = [float(norm.ppf(share)) for share in shares]
    both = float((one & other).mean())

    def gap(correlation: float) -> float:
        covariance = [[1.0, correlation], [correlation, 1.0]]
        return float(multivariate_normal.cdf(places, cov=covariance)) - both

    low, high = gap(-0.995), gap(0.995)
    return (-0.995 if low > 0 else 0.995) if low * high > 0 else float(brentq(gap, -0.995, 0.995, xtol=1e-3))


def likeness(right: Right) -> Likeness:
    """Of recorded answers, as means over pairs."""
    chance = np.random.default_rng(0)
    ends = [own[-1] for own in right.values()]
    pairs = {
        "between": list(combinations(ends, 2)),
        "neighbours": [(own[r], own[r + 1]) for own in right.values() for r in range(len(own) - 1)],
        "apart": [(own[0], own[-1]) for own in right.values()],
    }
    found = {}
    for kind, each in pairs.items():
        some = chance.permutation(len(each))[:PAIRS]
        known = [value for place in some if (value := tetrachoric(*each[place])) is not None]
        found[kind] = float(np.mean(known))
    return Likeness(**found)


def made_right(grid: RecordedGrid, alike: Likeness, seed: int, examples: int | None = None) -> Right:
    """Answers with the grid's scores: of a report the rows with the highest values of a normal variable are right.

    It is the sum of what all trials have in common, of what a trial keeps, and of what changes from report to report.
    """
    chance = np.random.default_rng([seed, 1])
    rows = examples or grid.examples
    common = chance.standard_normal(rows)
    kept = max(0.0, alike.apart - alike.between)
    moving = max(0.0, 1.0 - alike.between - kept)
    found: Right = {}
    for number, curve in grid.curves.items():
        own, moved = chance.standard_normal(rows), chance.standard_normal(rows)
        stays = min(1.0, max(0.0, (alike.neighbours - alike.between - kept) / moving)) if moving else 1.0
        right = np.zeros((len(curve.steps), rows), bool)
        for report, score in enumerate(curve.scores):
            if report:
                moved = stays * moved + (1.0 - stays**2) ** 0.5 * chance.standard_normal(rows)
            value = alike.between**0.5 * common + kept**0.5 * own + moving**0.5 * moved
            right[report, np.argsort(-value)[: round(score * rows / 100.0)]] = True
        found[number] = right
    return found


def answered_grids(path: Path) -> dict[str, tuple[RecordedGrid, Right, float]]:
    """Grids of `benchmarks.answers`, by their names: curves, answers, and evaluation's share of the time."""
    if not path.exists():
        return {}
    grids: defaultdict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in pq.read_table(path).to_pylist():
        grids[row["task"], row["backbone"], row["seed"]].append(row)
    found = {}
    for (task, backbone, seed), rows in grids.items():
        curves, right = {}, {}
        for number in sorted({row["trial"] for row in rows}):
            own = sorted((row for row in rows if row["trial"] == number), key=lambda row: row["step"])
            bits = [np.frombuffer(row["right"], np.uint8) for row in own]
            right[number] = np.stack([np.unpackbits(b)[: own[0]["rows"]].astype(bool) for b in bits])
            scores = tuple((100.0 * right[number].mean(axis=1)).tolist())
            seconds = tuple(row["train_seconds"] + row["evaluation_seconds"] for row in own)
            losses = tuple(row["loss"] for row in own)
            names = [name for name in own[0] if name.startswith("config/") and own[0][name] is not None]
            values = {name.removeprefix("config/"): own[0][name] for name in names}
            curves[number] = Curve(values, tuple(row["step"] for row in own), scores, seconds, losses)
        steps, examples = max(row["step"] for row in rows), rows[0]["rows"]
        grid = RecordedGrid(task, backbone, "adept", seed, curves, steps, examples)
        evaluation, training = (sum(row[f"{name}_seconds"] for row in rows) for name in ("evaluation", "train"))
        found[grid.name] = grid, right, evaluation / (evaluation + training)
    return found
