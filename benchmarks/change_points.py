"""Is a library of change points better than the gate's own rule: in finding a loss soon, and in dating it?

    python -m benchmarks.change_points

Simulated histories of one score with normal noise of a known size, 21 nights at one level, then a loss that stays. The
library is ruptures: in each night PELT (least squares, values over the history's robust standard deviation) looks at
the nights so far, and a change in the last two of them that is a loss is an alarm. Its penalty is the least at which
quiet histories have no more alarms than the gate's rule has in the same ones, so that both are compared at one rate of
false alarms. Dates: the night that each names as the first after the change, where the gate found one; for ruptures
the best split in two of all nights so far.

Prints a table and writes ``benchmarks/results/change_points.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import ruptures
from rich.console import Console
from rich.table import Table

from orchestrator.nights.gate.level import Level
from orchestrator.nights.gate.quantities import MEASURES
from orchestrator.nights.verdict import Quantity
from orchestrator.sweep.rules import GateRules

RESULTS = Path(__file__).with_name("results")
BEFORE, AFTER, CELLS = 21, 10, 4
LOSS = 2.0  # points
SPREADS = (0.3, 0.5, 0.8)
PENALTIES = (4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0)
Alarms = Callable[[np.ndarray], list[tuple[int, int]]]
"""(nights,) -> for each alarm its night and the night that it names as the first after the change."""


def gate(values: np.ndarray) -> list[tuple[int, int]]:
    """The alarms of the gate's rule, from night `BEFORE` on."""
    level, found = Level(MEASURES[Quantity.SCORE].limits(GateRules(), CELLS)), []
    for night, value in enumerate(values):
        level.follow(night, float(value))
        if night >= BEFORE and level.change is not None and level.change.direction < 0:
            found.append((night, level.change.first))
    return found


def pelt(penalty: float) -> Alarms:
    """The alarms of ruptures at a penalty."""

    def alarms(values: np.ndarray) -> list[tuple[int, int]]:
        found, begun = [], 0  # nights before an alarm are left out from then on, as the gate does
        for night in range(BEFORE, len(values)):
            seen = values[begun : night + 1]
            center = np.median(seen[:-2])
            sd = max(1.4826 * float(np.median(np.abs(seen[:-2] - center))), GateRules().points / 3)
            ends = ruptures.Pelt(model="l2", min_size=1, jump=1).fit(seen / sd).predict(pen=penalty)
            last = ends[-2] if len(ends) > 1 else 0
            if last >= len(seen) - 2 > 0 and np.mean(seen[last:]) < center - GateRules().points:
                found.append((night, begun + last))
        return found

    return alarms


def split(values: np.ndarray) -> int:
    """The first night after the one change that ruptures sees in all of them."""
    return int(ruptures.Dynp(model="l2", min_size=1, jump=1).fit(values).predict(n_bkps=1)[0])


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quiet", type=int, default=150, help="histories in which nothing changes [150]")
    parser.add_argument("--changes", type=int, default=200, help="histories with a loss, for each noise [200]")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    dice = np.random.default_rng(args.seed)
    calm = 0.5 * dice.normal(size=(args.quiet, BEFORE + 50))
    allowed = sum(len(gate(one)) for one in calm)
    rates = {}
    for penalty in PENALTIES:
        rates[penalty] = sum(len(pelt(penalty)(one)) for one in calm)
        if rates[penalty] <= allowed:
            break
    penalty = next(iter(reversed(rates)))
    rows = []
    for sd in SPREADS:
        histories = sd * dice.normal(size=(args.changes, BEFORE + AFTER))
        histories[:, BEFORE:] -= LOSS
        ours, theirs = [gate(one) for one in histories], [pelt(penalty)(one) for one in histories]
        dated = [
            (alarms[0], split(one[: alarms[0][0] + 1])) for one, alarms in zip(histories, ours, strict=True) if alarms
        ]
        rows.append({
            "sd": sd,
            "gate within 2 nights": np.mean([any(night < BEFORE + 2 for night, _ in one) for one in ours]),
            "ruptures within 2 nights": np.mean([any(night < BEFORE + 2 for night, _ in one) for one in theirs]),
            "dated": len(dated),
            "gate dates right": np.mean([first == BEFORE for (_, first), _ in dated]),
            "ruptures dates right": np.mean([other == BEFORE for _, other in dated]),
        })  # fmt: skip
    nights = args.quiet * 50
    print(f"false alarms in {nights:,} quiet nights: gate {allowed}, ruptures {rates[penalty]} at penalty {penalty:g}")
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{value:.1%}" if name[0] in "gr" else f"{value:g}" for name, value in row.items()))
    Console(width=140).print(table)
    document = {"rows": rows, "false alarms": {"gate": allowed, "ruptures": rates}, "nights": nights, "seed": args.seed}
    (RESULTS / "change_points.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
