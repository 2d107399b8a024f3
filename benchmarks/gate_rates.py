"""How often the gate is wrong, and how soon it is right: simulated nights with known noise and known changes.

    python -m benchmarks.gate_rates [--sweeps 60] [--changes 300]

Each series of a sweep (the score and the calibrated speed of every cell) is followed as `orchestrator.nights.gate`
does. False alarms: sweeps in which nothing changes, 50 nights after a history, summed over all cells; noise that is
normal, has the tails of Student's t with 3 degrees of freedom, has single nights far off (2 % of them lose 30 % on
average, for speeds), or resembles the night before (correlation 0.5). Detection: a loss of 2 points, or a tenth of the
speed, that stays, found within two nights; for several standard deviations of a night, of a cell's mean over its seeds.
Answers to test rows are left out: they can only take alarms away. First nights: the noise of the nights is not known
yet, and trainings of the same thing differ as given; rows are taken to confirm every difference, the worst case.
Intervals are Wilson's for shares and Poisson's for counts, 95 %. Writes ``benchmarks/results/gate_rates.json``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest, chi2

from orchestrator.nights.gate.level import Level
from orchestrator.nights.gate.noise import Spread
from orchestrator.nights.gate.quantities import MEASURES
from orchestrator.nights.gate.rows import RowEvidence
from orchestrator.nights.gate.training_noise import training_spread
from orchestrator.nights.verdict import Quantity
from orchestrator.sweep.rules import GateRules

RESULTS = Path(__file__).with_name("results")
NIGHTS = 50
Noise = Callable[[np.random.Generator, int, int], np.ndarray]


def normal(dice: np.random.Generator, series: int, nights: int) -> np.ndarray:
    """Standard normal noise, (series, nights)."""
    return dice.normal(size=(series, nights))


def heavy(dice: np.random.Generator, series: int, nights: int) -> np.ndarray:
    """Student's t with 3 degrees of freedom, standard deviation 1."""
    return dice.standard_t(3, (series, nights)) / math.sqrt(3)


def resembling(dice: np.random.Generator, series: int, nights: int) -> np.ndarray:
    """Each night correlates 0.5 with the one before."""
    found = dice.normal(size=(series, nights))
    for night in range(1, nights):
        found[:, night] = 0.5 * found[:, night - 1] + math.sqrt(0.75) * found[:, night]
    return found


KINDS: dict[str, Noise] = {"normal": normal, "heavy tails": heavy, "like the night before": resembling}
LOSS = {Quantity.SCORE: 2.0, Quantity.SPEED: -math.log(0.9)}
SPREADS = {Quantity.SCORE: (0.2, 0.3, 0.4, 0.5, 0.6, 0.8), Quantity.SPEED: (0.01, 0.015, 0.02, 0.025, 0.03, 0.04)}
QUIET = {Quantity.SCORE: 0.4, Quantity.SPEED: 0.02}
TRAINING = (0.5, 2.0, 4.0, 6.0, 8.0)
"""Points by which one training differs from the next."""
FIRST_NIGHTS = 6


def false_alarms(values: np.ndarray, quantity: Quantity, cells: int, history: int, rules: GateRules) -> int:
    """Alarms in the nights after the history, over all series (series, nights)."""
    count = 0
    for series in values:
        level = Level(MEASURES[quantity].limits(rules, cells))
        for night, value in enumerate(series):
            level.follow(night, float(value))
            count += night >= history and level.change is not None and level.change.direction < 0
    return count


def detected(values: np.ndarray, quantity: Quantity, cells: int, history: int, rules: GateRules) -> int:
    """Series in which an alarm comes in the first two nights after the history."""
    count = 0
    for series in values:
        level, found = Level(MEASURES[quantity].limits(rules, cells)), False
        for night, value in enumerate(series[: history + 2]):
            level.follow(night, float(value))
            found |= night >= history and level.change is not None and level.change.direction < 0
        count += found
    return count


def quiet_nights(cells: int, history: int, kind: str, sweeps: int, rules: GateRules, seed: int) -> dict[str, Any]:
    """False alarms of whole sweeps in which nothing changes, for 50 nights each."""
    dice, count = np.random.default_rng((seed, cells, history)), 0
    for quantity, sd in QUIET.items():
        noise = sd * (normal if kind == "single nights far off" else KINDS[kind])(
            dice, sweeps * cells, history + NIGHTS
        )
        if kind == "single nights far off" and quantity is Quantity.SPEED:
            noise -= (dice.random(noise.shape) < 0.02) * dice.exponential(0.3, noise.shape)
        count += false_alarms(noise, quantity, cells, history, rules)
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return {
        "cells": cells, "history": history, "noise": kind, "sweeps": sweeps,
        "false_alarms_in_50_nights": count / sweeps,
        "low": low / sweeps, "high": chi2.ppf(0.975, 2 * count + 2) / 2 / sweeps,
    }  # fmt: skip


def losses(
    quantity: Quantity, cells: int, history: int, changes: int, rules: GateRules, seed: int
) -> list[dict[str, Any]]:
    """Share of planted changes that are found within two nights, for each standard deviation of a night."""
    found = []
    for sd in SPREADS[quantity]:
        values = sd * normal(np.random.default_rng((seed, history)), changes, history + 2)
        values[:, history:] -= LOSS[quantity]
        hits = detected(values, quantity, cells, history, rules)
        interval = binomtest(hits, changes).proportion_ci(0.95, method="wilson")
        found.append({
            "quantity": quantity.value, "cells": cells, "history": history, "sd": sd, "found": hits / changes,
            "low": float(interval.low), "high": float(interval.high),
        })  # fmt: skip
    return found


def first_nights(cells: int, seeds: int, sd: float, loss: float, series: int, rules: GateRules, seed: int) -> float:
    """Share of series with an alarm in the first nights, of which the third and later ones have lost so much."""
    values = sd * normal(np.random.default_rng((seed, cells, seeds)), series * FIRST_NIGHTS, seeds)
    values = values.reshape(series, FIRST_NIGHTS, seeds)
    values[:, 2:] -= loss
    limits, count = MEASURES[Quantity.SCORE].limits(rules, cells), 0

    for one in values.tolist():

        def early(nights: Sequence[int], one: list[list[float]] = one) -> Spread:
            return training_spread([one[night] for night in nights], limits.floor)

        level, found = Level(limits), False
        for night, scores in enumerate(one):
            level.follow(night, float(np.mean(scores)), lambda *_: RowEvidence(0.0, 500, "", True), early)
            found |= level.change is not None and level.change.direction < 0
        count += found
    return count / series


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=60)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--cells", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--history", type=int, nargs="+", default=[7, 21])
    parser.add_argument("--seed", type=int, default=1, help="of the simulated nights")
    args = parser.parse_args()
    rules, console = GateRules(), Console(highlight=False, width=140)
    quiet = [
        quiet_nights(cells, history, kind, args.sweeps, rules, args.seed)
        for cells in args.cells
        for history in args.history
        for kind in (*KINDS, "single nights far off")
    ]
    table = Table("cells", "nights before", "noise", "false alarms in 50 quiet nights", "95 %")
    for row in quiet:
        interval = f"{row['low']:.2f} to {row['high']:.2f}"
        alarms = f"{row['false_alarms_in_50_nights']:.2f}"
        table.add_row(str(row["cells"]), str(row["history"]), row["noise"], alarms, interval)
    console.print(table)
    found = [
        row
        for quantity in LOSS
        for cells in args.cells
        for history in args.history
        for row in losses(quantity, cells, history, args.changes, rules, args.seed)
    ]
    table = Table("quantity", "cells", "nights before", "sd of a night", "found within 2 nights", "95 %")
    for row in found:
        interval = f"{row['low']:.1%} to {row['high']:.1%}"
        table.add_row(row["quantity"], str(row["cells"]), str(row["history"]), f"{row['sd']:g}",
                      f"{row['found']:.1%}", interval)  # fmt: skip
    console.print(table)
    first = [
        {"cells": cells, "seeds": seeds, "sd": sd, "loss": loss,
         "share": first_nights(cells, seeds, sd, loss, 5 * args.changes, rules, args.seed)}
        for cells in args.cells
        for seeds in (1, 3)
        for sd in TRAINING
        for loss in (0.0, 5.0, 30.0)
    ]  # fmt: skip
    table = Table(
        "cells", "seeds", "sd of a training", "points lost", f"cells with an alarm in {FIRST_NIGHTS} first nights"
    )
    for row in first:
        texts = (f"{row['sd']:g}", f"{row['loss']:g}", f"{row['share']:.2%}")
        table.add_row(str(row["cells"]), str(row["seeds"]), *texts)
    console.print(table)
    settings = {"rules": rules.model_dump(), "sweeps": args.sweeps, "changes": args.changes, "seed": args.seed}
    text = json.dumps({"settings": settings, "quiet": quiet, "found": found, "first": first}, indent=1)
    (RESULTS / "gate_rates.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
