"""What replays show: many orders of start over many grids, as means with intervals."""

from __future__ import annotations

import math
import random
import statistics
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.schedulers.asha import REDUCTION_FACTOR, RankBy, Ties, default_grace_period
from orchestrator.schedulers.base import Scheduler
from orchestrator.schedulers.make import STOP_CHANCE, make_scheduler
from orchestrator.schedulers.simulation.baselines import RayAsha, first_look, random_subset, whole
from orchestrator.schedulers.simulation.curves import RecordedGrid
from orchestrator.schedulers.simulation.simulate import Outcome, replay
from trials.errors import UserError

RESAMPLES = 2_000  # of the bootstrap
LEVEL = 0.95
FIGURES = ("share", "regret", "kept", "near", "seconds")
SCHEDULERS = ("asha", "promotion", "freeze-thaw", "median", "none")

Rule = Callable[[RecordedGrid], Scheduler]


@dataclass(frozen=True)
class Setting:
    """A scheduler with its numbers, for grids of any budget.

    Attributes:
        grace_period: first rung as a share of the budget; None: the default of a search.
        deterministic: decide independently of the order of arrival.
        ties, rank_by: see `orchestrator.schedulers.asha`; a grid without losses keeps ties, and is ranked by scores.
            A search's own rule is to rank by losses where they are known.
        stop_chance: see `orchestrator.schedulers.freeze_thaw`.
    """

    scheduler: str
    grace_period: float | None = None
    reduction_factor: int = REDUCTION_FACTOR
    deterministic: bool = False
    ties: Ties = "keep"
    stop_chance: float = STOP_CHANCE
    rank_by: RankBy = "loss"

    def make(self, grid: RecordedGrid) -> Scheduler:
        """A fresh scheduler for a grid."""
        return make_scheduler(
            self.scheduler,
            grid.curves,
            grid.steps,
            grace_period=self.first_rung(grid),
            reduction_factor=self.reduction_factor,
            deterministic=self.deterministic,
            ties=self.ties,
            rank_by=self.compared_by(grid),
            stop_chance=self.stop_chance,
            configurations={number: curve.configuration for number, curve in grid.curves.items()},
            examples=grid.examples,
        )

    def first_rung(self, grid: RecordedGrid) -> int:
        """The grace in updates: a whole number of reports, one at least."""
        if self.grace_period is None:
            return default_grace_period(grid.steps, grid.every, self.compared_by(grid))
        reports = math.ceil(round(self.grace_period * grid.steps / grid.every, 6))
        return min(grid.steps, max(1, reports) * grid.every)

    def compared_by(self, grid: RecordedGrid) -> RankBy:
        """What trials of a grid are compared by."""
        return self.rank_by if grid.has_losses and self.ties == "keep" else "score"

    @property
    def name(self) -> str:
        """For a table: ``promotion, grace period 0.25, reduction factor 3``."""
        if self.scheduler == "none":
            return "none"
        if self.scheduler == "freeze-thaw":
            return f"freeze-thaw, stop chance {self.stop_chance:.3g}"
        grace = "default" if self.grace_period is None else f"{self.grace_period:.3g}"
        by = ", ties by loss" if self.ties == "loss" else ", by score" if self.rank_by == "score" else ""
        factor = "" if self.scheduler == "median" else f", reduction factor {self.reduction_factor}{by}"
        return f"{self.scheduler}{' deterministic' if self.deterministic else ''}, grace period {grace}{factor}"


@dataclass(frozen=True)
class ReplayRow:
    """A rule's means over replays, and the ends of their 95 % intervals.

    Attributes:
        share, regret, kept, near, seconds: means of the fields of `Outcome`.
        intervals: by the same names.
    """

    name: str
    share: float
    regret: float
    kept: float
    near: float
    seconds: float
    intervals: dict[str, tuple[float, float]]
    replays: int

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def orders(grid: RecordedGrid, repeats: int, seed: int) -> list[list[int]]:
    """Orders of start, the same for every rule that is compared."""
    chance = random.Random(zlib.crc32(grid.name.encode()) + seed)
    return [chance.sample(sorted(grid.curves), len(grid.curves)) for _ in range(repeats)]


def replays(
    grids: Sequence[RecordedGrid], rule: Rule, *, workers: int = 1, repeats: int = 100, seed: int = 0
) -> dict[str, list[Outcome]]:
    """Outcomes by the grids' names, one for each order of start."""
    return {
        grid.name: [replay(grid, rule(grid), order, workers) for order in orders(grid, repeats, seed)] for grid in grids
    }


def summarise(name: str, outcomes: Mapping[str, Sequence[Outcome]], seed: int = 0) -> ReplayRow:
    """Means over grids, each grid counting the same, with intervals by the bootstrap.

    Grids are drawn with replacement, and replays within each: replays of one grid are no new evidence about others.
    With a single grid the intervals are of the order of start alone.
    """
    import numpy as np  # not at the top: the command line imports this module for its options

    values = [np.array([[getattr(o, name) for name in FIGURES] for o in found], float) for found in outcomes.values()]
    chance = np.random.default_rng(seed)
    within = np.stack(
        [grid[chance.integers(len(grid), size=(RESAMPLES, len(grid)))].mean(axis=1) for grid in values]
    )  # grids x resamples x figures
    size = (RESAMPLES, len(values))
    resampled = within[chance.integers(len(values), size=size), chance.integers(RESAMPLES, size=size)].mean(axis=1)
    means = np.mean([grid.mean(axis=0) for grid in values], axis=0)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    intervals = {figure: (float(low[i]), float(high[i])) for i, figure in enumerate(FIGURES)}
    mean = {figure: float(value) for figure, value in zip(FIGURES, means, strict=True)}
    return ReplayRow(name, **mean, intervals=intervals, replays=sum(map(len, outcomes.values())))


def compare(
    grids: Sequence[RecordedGrid], settings: Iterable[Setting], *, workers: int = 1, repeats: int = 100, seed: int = 0
) -> list[ReplayRow]:
    """Rows for settings, and below them the baselines; those of equal cost spend what the first setting spends.

    Raises:
        UserError: a number that makes no sense.
    """
    check(workers, repeats)
    shared = {"workers": workers, "repeats": repeats, "seed": seed}
    rows: list[ReplayRow] = []
    costs: dict[str, float] = {}
    for setting in settings:
        found = replays(grids, setting.make, **shared)
        rows.append(summarise(setting.name, found, seed))
        costs = costs or {name: statistics.fmean(o.share for o in each) for name, each in found.items()}
    chance = random.Random(seed)
    by_chance = {g.name: [random_subset(g, costs[g.name], chance) for _ in range(repeats)] for g in grids}
    looked = {g.name: [first_look(g, costs[g.name], chance) for _ in range(repeats)] for g in grids}
    rows.append(summarise("full grid", {grid.name: [whole(grid)] for grid in grids}, seed))
    rows.append(summarise("random subset of the same cost", by_chance, seed))
    rows.append(summarise("one report, then the best, same cost", looked, seed))
    defaults = "Ray's ASHA, its defaults (grace period 1 report, reduction factor 4)"
    rows.append(summarise(defaults, replays(grids, ray(1, 4), **shared), seed))
    rows.append(ray_of_equal_cost(grids, statistics.fmean(costs.values()), **shared))
    return rows


def ray(grace: int, factor: int) -> Rule:
    """Ray's ASHA with this grace, in reports."""
    return lambda grid: RayAsha(grid.curves, grid.steps, grid.every, min(grace, grid.steps // grid.every), factor)


def ray_of_equal_cost(
    grids: Sequence[RecordedGrid], share: float, *, workers: int, repeats: int, seed: int
) -> ReplayRow:
    """Ray's ASHA with the grace period and reduction factor that come nearest to a share of the grid's updates."""
    most = max(1, min(grid.steps // grid.every for grid in grids) - 1)
    choices = [(grace, factor) for factor in (2, 3, 4) for grace in range(1, most + 1, max(1, most // 12))]
    few = max(3, repeats // 10)

    def cost(choice: tuple[int, int]) -> float:
        found = replays(grids, ray(*choice), workers=workers, repeats=few, seed=seed)
        return statistics.fmean(o.share for each in found.values() for o in each)

    grace, factor = min(choices, key=lambda choice: abs(cost(choice) - share))
    found = replays(grids, ray(grace, factor), workers=workers, repeats=repeats, seed=seed)
    return summarise(f"Ray's ASHA, about the same cost (grace period {grace}, reduction factor {factor})", found, seed)


def check(workers: int, repeats: int) -> None:
    """Refuse what cannot be replayed.

    Raises:
        UserError: workers or repeats below 1.
    """
    problems = [
        f"--{name} {value}: must be at least 1"
        for name, value in (("workers", workers), ("repeats", repeats))
        if value < 1
    ]
    if problems:
        raise UserError(problems)
