"""What can be had for which share of a grid's steps, and how well early reports rank the final scores.

    python -m benchmarks.frontier benchmarks/curves.parquet [MORE.parquet ...] [--shapes FILE.csv]

Three tables. The first replays halving, the median rule, Ray's ASHA and the model of the curves (`freeze-thaw`, which
decides alike in any order and is replayed in one) over recorded grids: those on which something is learnt (the best
final score beats their median by two standard errors) apart from the others, and, with ``--shapes``, over made-up ones.
Its figures: steps, mean regret in points, and how often the winner is within one standard error of the grid's best.
The second has, for each task on which something is learnt, the cheapest halving that loses at most `MOST` points on the
grids of the other tasks, and what it does on the task's own. The third gives Kendall's tau (b) between final scores and
scores, losses, or the mean of both ranks, by step. Writes all to ``benchmarks/results/frontier.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.made_curves import grids_and_shapes, made_grid
from orchestrator.schedulers.base import Scheduler
from orchestrator.schedulers.forecast import PRIORS, Prior, standard_error
from orchestrator.schedulers.freeze_thaw import FreezeThaw
from orchestrator.schedulers.make import STOP_CHANCE
from orchestrator.schedulers.simulation.curves import RecordedGrid
from orchestrator.schedulers.simulation.figures import Setting, ray, replays

RESULTS = Path(__file__).parent / "results"
SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)
REPORTS = 20  # of a made-up grid
OTHERS = {
    "debsec": (Prior(2.0, growth=0.7), Prior(3.0, growth=0.7)),
    "debmatch": (Prior(3.0), Prior(3.0, growth=0.7), Prior(5.0), Prior(6.0)),
}
"""Sizes of the model that make the final scores of the other task's grids the likeliest: for leaving one task out."""


def from_the_other_task(grid: RecordedGrid) -> FreezeThaw:
    """The model with nothing in it that was chosen on the grid's own task."""
    known = {number: curve.configuration for number, curve in grid.curves.items()}
    priors = OTHERS.get(grid.task, PRIORS)
    return FreezeThaw(grid.curves, grid.steps, STOP_CHANCE, known, grid.examples, priors)


HALVING = [Setting("promotion", grace, factor) for grace in (0.05, 0.1, 0.2) for factor in (2, 3, 4, 6)]
MOST = 0.2
"""Points of mean regret up to which a rule may be chosen."""

RULES: dict[str, Callable[[RecordedGrid], Scheduler]] = {
    setting.name: setting.make
    for setting in (
        Setting("promotion"),
        Setting("asha"),
        *HALVING,
        Setting("promotion", rank_by="score"),
        Setting("promotion", 0.2, 3, rank_by="score"),
        Setting("promotion", 0.2, 6, rank_by="score"),
        Setting("promotion", 0.1, 4, rank_by="score"),
        Setting("promotion", 0.05, 4, rank_by="score"),
        Setting("asha", rank_by="score"),
        Setting("median"),
        *(Setting("freeze-thaw", stop_chance=chance) for chance in (0.01, 0.02, 0.05)),
    )
} | {
    "freeze-thaw, sizes from the other task": from_the_other_task,
    "Ray's ASHA, its defaults": ray(1, 4),
    "Ray's ASHA, reduction factor 2": ray(1, 2),
}


def is_learnt(grid: RecordedGrid) -> bool:
    """Whether the best final score is two standard errors above the median one: there is something to choose."""
    final = [curve.scores[-1] for curve in grid.curves.values() if not curve.diverged]
    middle = statistics.median(final)
    return max(final) - middle > 2 * standard_error(max(final), grid.examples)


def without_configurations(grid: RecordedGrid) -> RecordedGrid:
    """A made-up grid's trials are neighbours of nobody."""
    return replace(grid, curves={number: replace(curve, configuration={}) for number, curve in grid.curves.items()})


def row(rule: Callable[[RecordedGrid], Scheduler], grids: Sequence[RecordedGrid], **shared: int) -> dict[str, float]:
    """Means over grids, each counting the same: share of the steps, regret in points, share within a standard error."""
    found = replays(grids, rule, **shared)
    outcomes = [(grid, found[grid.name]) for grid in grids]
    return {
        "share": statistics.fmean(statistics.fmean(o.share for o in each) for _, each in outcomes),
        "regret": statistics.fmean(statistics.fmean(o.regret for o in each) for _, each in outcomes),
        "within": statistics.fmean(
            statistics.fmean(o.regret <= standard_error(grid.best, grid.examples) for o in each)
            for grid, each in outcomes
        ),
    }


def chosen_elsewhere(grids: Sequence[RecordedGrid], **shared: int) -> dict[str, dict[str, Any]]:
    """For each task the rule of `HALVING` that is chosen on the other tasks' grids, and what it does on its own."""
    found = {}
    for task in sorted({grid.task for grid in grids}):
        own, others = ([grid for grid in grids if (grid.task == task) is mine] for mine in (True, False))
        rows = {rule: row(rule.make, others, **shared) for rule in HALVING} if others else {}
        kept = {rule: one["share"] for rule, one in rows.items() if one["regret"] <= MOST}
        if kept:
            rule = min(kept, key=lambda each: kept[each])
            found[task] = {"rule": rule.name, **row(rule.make, own, **shared)}
    return found


def kendall(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b; 0 where one of the two does not tell any pair apart."""
    one, other = (np.sign(np.subtract.outer(values, values)) for values in (first, second))
    apart = np.sqrt(float((one != 0).sum()) * float((other != 0).sum()))
    return float((one * other).sum() / apart) if apart else 0.0


def signals(grid: RecordedGrid) -> dict[str, dict[str, float]]:
    """Tau between the final scores and what is known at a share of the budget; no losses where none were recorded."""
    curves = [curve for _, curve in sorted(grid.curves.items()) if not curve.diverged]
    final = [curve.scores[-1] for curve in curves]
    found = {}
    for share in SHARES:
        known = round(share * len(curves[0].steps)) - 1
        if known < 0:
            continue
        scores = [curve.scores[known] for curve in curves]
        taus = {"score": kendall(scores, final)}
        if grid.has_losses:
            gains = [-float(curve.losses[known] or 0.0) for curve in curves]
            both = [ranks(scores)[i] + ranks(gains)[i] for i in range(len(curves))]
            taus |= {"loss": kendall(gains, final), "both": kendall(both, final)}
        found[f"{share:.0%}"] = taus
    return found


def ranks(values: Sequence[float]) -> list[float]:
    """How many are lower, those that are equal by a half."""
    return [sum(other < value for other in values) + sum(other == value for other in values) / 2 for value in values]


def shown(kind: str, grids: Sequence[RecordedGrid], **shared: int) -> tuple[Table, dict[str, dict[str, float]]]:
    """The first table, of one kind of grids."""
    table = Table("rule", title=f"{kind}: {len(grids)} grid(s)", title_justify="left")
    for column in ("steps %", "regret points", "within one standard error %"):
        table.add_column(column, justify="right")
    once = {**shared, "repeats": 1}
    rows = {name: row(rule, grids, **(once if "freeze-thaw" in name else shared)) for name, rule in RULES.items()}
    for name, found in sorted(rows.items(), key=lambda item: -item[1]["share"]):
        table.add_row(name, f"{100 * found['share']:.1f}", f"{found['regret']:.2f}", f"{100 * found['within']:.0f}")
    return table, rows


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", nargs="+", type=Path, help="Parquet files of recorded curves")
    parser.add_argument("--shapes", type=Path, help="CSV file of published curves, for made-up grids")
    parser.add_argument("--made", type=int, default=16, help="made-up grids")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args(given)
    recorded, shapes = grids_and_shapes(chosen.curves, chosen.shapes)
    made = [made_grid(seed, reports=REPORTS, shapes=shapes) for seed in range(chosen.made)] if shapes else []
    kinds = {
        "something is learnt": [grid for grid in recorded if is_learnt(grid)],
        "nothing is learnt": [grid for grid in recorded if not is_learnt(grid)],
        "made up of published shapes": [without_configurations(grid) for grid in made],
    }
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    rules: dict[str, Any] = {}
    for kind, grids in kinds.items():
        if grids:
            table, rows = shown(kind, grids, workers=chosen.workers, repeats=chosen.repeats)
            console.print(table)
            rules[kind] = {"grids": [grid.name for grid in grids], "rows": rows}
    elsewhere = chosen_elsewhere(kinds["something is learnt"], workers=chosen.workers, repeats=chosen.repeats)
    table = Table("task", "rule", "steps %", "regret points", "within %", title="chosen on the other tasks")
    for task, one in elsewhere.items():
        figures = f"{100 * one['share']:.1f}", f"{one['regret']:.2f}", f"{100 * one['within']:.0f}"
        table.add_row(task, one["rule"], *figures)
    console.print(table)
    table = Table("grid", *(f"{share:.0%}" for share in SHARES), title="Kendall's tau: score, loss, both")
    early = {grid.name: signals(grid) for grid in recorded}
    for name, by_share in early.items():
        cells = [by_share.get(f"{share:.0%}", {}) for share in SHARES]
        table.add_row(name, *(" ".join(f"{tau:.2f}" for tau in cell.values()) for cell in cells))
    console.print(table)
    chosen.results.mkdir(parents=True, exist_ok=True)
    document = {"workers": chosen.workers, "repeats": chosen.repeats, "rules": rules}
    document |= {"chosen on the other tasks": elsewhere, "signals": early}
    (chosen.results / "frontier.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
