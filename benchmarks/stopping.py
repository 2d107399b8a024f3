"""Which early stopping to use: every combination of scheduler, figure, grace and eta, replayed over recorded searches.

    python -m benchmarks.stopping curves.parquet [--workers 4] [--repeats 100]

Prints the settings that no other beats in both steps and regret (the Pareto front), which of them keep the aim (at most
35 % of the grid's steps at a regret of at most 0.2 points, the best configuration kept in at least 90 % of replays),
and the baselines; writes all of it to ``benchmarks/results/stopping-NAME.json``. Where nothing has been recorded,
``--made 12`` replays made-up grids, ``--shapes FILE.csv`` gives them the shapes of published curves.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from rich.console import Console

from benchmarks.made_curves import made_grid, published_shapes
from orchestrator.commands.replay import about, table
from orchestrator.schedulers.asha import RankBy
from orchestrator.schedulers.simulation.curves import RecordedGrid, read_curves
from orchestrator.schedulers.simulation.figures import ReplayRow, Setting, check, compare, replays, summarise
from trials.errors import UserError

RESULTS = Path(__file__).parent / "results"
GRACES = (0.05, 0.1, 1 / 6, 0.25, 1 / 3, 0.5)
ETAS = (2, 3, 4, 6)
AIM = {"share": 0.35, "regret": 0.2, "kept": 0.9}


def settings() -> list[Setting]:
    """All combinations; the median rule has no eta, and compares scores."""
    halving = [
        Setting(name, grace, eta, rank_by=rank_by)
        for rank_by in get_args(RankBy)
        for name in ("asha", "promotion")
        for grace in GRACES
        for eta in ETAS
    ]
    return [*halving, *(Setting("median", grace, 2) for grace in GRACES)]


def distinct(every: Sequence[Setting], grids: Sequence[RecordedGrid]) -> list[Setting]:
    """Without those that come to the same first rungs as one before: short budgets have few reports to choose from."""
    seen: dict[tuple[Any, ...], Setting] = {}
    for setting in every:
        rungs = tuple(setting.first_rung(grid) for grid in grids)
        by = tuple(setting.compared_by(grid) for grid in grids)
        seen.setdefault((setting.scheduler, setting.reduction_factor, rungs, by), setting)
    return list(seen.values())


def front(rows: Sequence[ReplayRow]) -> list[ReplayRow]:
    """The rows that no other beats in both share and regret, the cheapest first."""
    found: list[ReplayRow] = []
    for row in sorted(rows, key=lambda row: (row.share, row.regret)):
        if not found or row.regret < found[-1].regret - 1e-9:
            found.append(row)
    return found


def keeps_the_aim(row: ReplayRow) -> bool:
    """Whether its means do; the intervals say how sure that is."""
    return row.share <= AIM["share"] and row.regret <= AIM["regret"] and row.kept >= AIM["kept"]


def best(rows: Sequence[ReplayRow]) -> ReplayRow:
    """The cheapest that keeps the aim; without one, the least regret among those within the aim's cost, or of all."""
    kept = [row for row in rows if keeps_the_aim(row)]
    if kept:
        return min(kept, key=lambda row: row.share)
    affordable = [row for row in rows if row.share <= AIM["share"]]
    return min(affordable or rows, key=lambda row: (row.regret, row.share))


def grids_from(arguments: argparse.Namespace) -> list[RecordedGrid]:
    """Recorded grids, or made ones."""
    if arguments.curves is not None:
        return read_curves(arguments.curves)
    if not arguments.made:
        raise UserError(["name a file of curves, or --made N for made-up ones"])
    shapes = list(published_shapes(arguments.shapes).values()) if arguments.shapes else []
    return [made_grid(seed, shapes=shapes) for seed in range(arguments.made)]


def measure(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Replay everything, print the tables."""
    check(arguments.workers, arguments.repeats)
    grids = grids_from(arguments)
    shared = {"workers": arguments.workers, "repeats": arguments.repeats, "seed": arguments.seed}
    tried = distinct(settings(), grids)
    rows = {setting: summarise(setting.name, replays(grids, setting.make, **shared)) for setting in tried}
    on_front = front(list(rows.values()))
    chosen = next(setting for setting, row in rows.items() if row is best(list(rows.values())))
    console.print(table(on_front, f"{len(tried)} settings over {len(grids)} grids; those that none beats in both"))
    aim = f"at most {AIM['share']:.0%} of the steps, {AIM['regret']} points, best kept in {AIM['kept']:.0%}"
    keeping = [row for row in rows.values() if keeps_the_aim(row)]
    console.print(f"{len(keeping)} of them keep the aim ({aim}); the best by it: {chosen.name}")
    beside = compare(grids, [chosen], **shared)
    console.print(table(beside, "beside the baselines"))
    console.print(about(grids, chosen))
    return {
        "grids": [grid.name for grid in grids],
        **shared,
        "aim": AIM,
        "chosen": chosen.name,
        "keeps_the_aim": [row.name for row in keeping],
        "front": [row.name for row in on_front],
        "rows": [row.as_dict() for row in rows.values()],
        "beside": [row.as_dict() for row in beside],
    }


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", nargs="?", type=Path, help="Parquet file of recorded curves")
    parser.add_argument("--made", type=int, default=0, help="this many made-up grids in their place")
    parser.add_argument("--shapes", type=Path, help="CSV file of published curves, for the shapes of made-up ones")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args(given)
    try:
        found = measure(arguments, Console(highlight=False, width=None if sys.stdout.isatty() else 160))
    except UserError as error:
        raise SystemExit("error: " + "\n  ".join(error.problems)) from None
    name = arguments.curves.stem if arguments.curves else "made"
    arguments.results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, default=lambda value: None if math.isnan(value) else value)
    (arguments.results / f"stopping-{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
