"""How much of evaluation could be left out, if rows were evaluated only until each decision is certain.

    python -m benchmarks.partial_evaluation benchmarks/curves.parquet [MORE.parquet ...] [--shapes FILE.csv]

Replays every early-stopping rule over grids whose answers are known row by row: those of `benchmarks.answers`, those of
recorded curves with answers made up to their scores (as alike between and within trials as the recorded ones are), and
made-up curves with made-up answers. Each replay draws an order of the rows and an order of the trials. Compared are:

- ``late``: a report is evaluated when a decision asks for it, so far as it asks; what finished is raced for the winner.
  It needs the adapter of every report, kept until the end: the most that any order of evaluation could save.
- ``at once``: each report when it comes, until it is certainly not its trial's best; the report at a rung until the
  decision is certain; behind the last rung until it is certainly not the best of all. Else whole, and so are the
  reports at rungs of trials that go on.
- ``half the rows``, ``a quarter``: so many rows of each report, the same ones; each finished trial's best on all.
- ``every second report``, ``reports at rungs and the last``: all rows, as with a longer ``--eval-every``.

Prints the share of rows, decisions that differ, points lost and time saved; writes
``benchmarks/results/partial_evaluation.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.answers import ANSWERS
from benchmarks.made_answers import Likeness, answered_grids, likeness, made_right
from benchmarks.made_curves import grids_and_shapes, made_grid
from benchmarks.partial_forecast import rows_needed
from benchmarks.partial_replay import Partial, Right, Spent, Trace, trace
from benchmarks.racing import Answers
from orchestrator.schedulers.simulation.curves import Curve, RecordedGrid
from orchestrator.schedulers.simulation.figures import Setting

RESULTS = Path(__file__).parent / "results"
RULES = ("promotion", "asha", "median", "freeze-thaw", "none")
LEVELS = (0.01, 0.05)
ASSUMED = Likeness(between=0.5, neighbours=0.9, apart=0.6)
"""Of made-up answers where none were recorded."""
LOOKS = 12
FEW = 1
"""The rules behind the first two are slow to replay: so many grids of a kind, one order each."""
MOST = 120
"""Reports that are raced against each other for the winner where nothing is stopped, at most."""
WORKERS = 4

Row = dict[str, float]
Rule = Callable[[RecordedGrid, Answers, Setting, Trace, list[int]], Spent | None]


@dataclass(frozen=True)
class FirstRung(Setting):
    """With its first rung at a step, whatever reports there are."""

    rung: int = 0

    def first_rung(self, grid: RecordedGrid) -> int:
        """That step."""
        return self.rung


def sequential(level: float, late: bool) -> Rule:
    """Rows until decisions are certain."""

    def run(grid: RecordedGrid, answers: Answers, setting: Setting, whole: Trace, order: list[int]) -> Spent | None:
        if setting.scheduler == "freeze-thaw" or (setting.scheduler == "median" and not late):
            return None  # the one has no pairs to compare; each report of the other is a decision: that is ``late``
        if setting.scheduler == "none" and late and len(whole.reports) > MOST:
            return None
        return Partial(grid, answers, level, late).run(whole)

    return run


def first_rows(share: float) -> Rule:
    """The same part of the rows at each report, and each finished trial's best report on all."""

    def run(grid: RecordedGrid, answers: Answers, setting: Setting, whole: Trace, order: list[int]) -> Spent | None:
        some = round(share * answers.ends[-1])
        part = {n: 100.0 * own[:, some] / some for n, own in answers.sums.items()}
        seen = replace(grid, curves={n: replace(c, scores=tuple(part[n].tolist())) for n, c in grid.curves.items()})
        found = trace(seen, setting, order, WORKERS)
        chosen = max(100.0 * float(answers.right[n][int(part[n].argmax())].mean()) for n in found.finished)
        reports, again = len(found.reports), len(found.finished)
        spent = (reports * share + again * (1.0 - share)) / len(whole.reports)
        ended = set(whole.finished) ^ set(found.finished)
        return Spent(spent, share, len(grid.curves), len(ended), best_of(grid, whole) - chosen)

    return run


def fewer_reports(every: int | None) -> Rule:
    """All rows of every so many reports, counted from the last (None: of that alone), and of those that decide."""

    def run(grid: RecordedGrid, answers: Answers, setting: Setting, whole: Trace, order: list[int]) -> Spent | None:
        if setting.scheduler in ("median", "freeze-thaw"):
            return None  # they decide at each report
        rung, steps = setting.first_rung(grid), next(iter(grid.curves.values())).steps
        at = {rung * setting.reduction_factor**power for power in range(9)} if setting.scheduler != "none" else set()
        behind = [len(steps) - 1 - r for r in range(len(steps))]
        kept = [r for r, step in enumerate(steps) if step in at or behind[r] % (every or len(steps)) == 0]
        seen = replace(grid, curves={n: thinned(curve, kept) for n, curve in grid.curves.items()})
        found = trace(seen, FirstRung(setting.scheduler, rung=rung), order, WORKERS)
        ended = set(whole.finished) ^ set(found.finished)
        spent, share = len(found.reports) / len(whole.reports), len(kept) / len(steps)
        return Spent(spent, share, len(grid.curves), len(ended), best_of(grid, whole) - best_of(seen, found))

    return run


def thinned(curve: Curve, kept: Sequence[int]) -> Curve:
    """Some of a curve's reports."""
    return Curve(
        curve.configuration,
        tuple(curve.steps[r] for r in kept),
        tuple(curve.scores[r] for r in kept),
        tuple(curve.seconds[r] for r in kept),
    )


def three_reports(grid: RecordedGrid) -> RecordedGrid:
    """A grid with the reports at the thirds of its budget alone, as in a short search on a large model."""
    count = len(next(iter(grid.curves.values())).steps)
    kept = [round(count * part / 3) - 1 for part in (1, 2, 3)]
    return replace(grid, curves={number: thinned(curve, kept) for number, curve in grid.curves.items()})


def best_of(grid: RecordedGrid, found: Trace) -> float:
    """Score of a search's winner."""
    return max(grid.curves[number].best for number in found.finished)


WAYS: dict[str, Rule] = {
    **{f"late, {level:.0%}": sequential(level, late=True) for level in LEVELS},
    **{f"at once, {level:.0%}": sequential(level, late=False) for level in LEVELS},
    "half the rows": first_rows(0.5),
    "a quarter of the rows": first_rows(0.25),
    "every second report": fewer_reports(2),
    "reports at rungs and the last": fewer_reports(None),
}


def measured(kinds: dict[str, list[tuple[RecordedGrid, Right]]], repeats: int) -> Iterator[tuple[str, dict[str, Row]]]:
    """Means over grids and orders, by rule and way, of one kind after the other."""
    for kind, grids in kinds.items():
        spent: defaultdict[str, list[Spent]] = defaultdict(list)
        for number, (grid, right) in enumerate(grids):
            for repeat in range(repeats):
                chance = np.random.default_rng([number, repeat])
                order = chance.permutation(sorted(grid.curves)).tolist()
                rows = chance.permutation(grid.examples)
                answers = Answers(right, rows, max(1, len(rows) // LOOKS))
                for rule in RULES if number < FEW and not repeat else RULES[:2]:
                    setting = Setting(rule, rank_by="score")
                    whole = trace(grid, setting, order, WORKERS)
                    for way, run in WAYS.items():
                        if (one := run(grid, answers, setting, whole, order)) is not None:
                            spent[f"{rule}: {way}"].append(one)
            print(f"{kind}: {grid.name}", file=sys.stderr, flush=True)
        found = {name: mean_of(each) for name, each in spent.items()}
        asked = [rows_needed(grid, right, fixed_order(grid), LEVELS) for grid, right in grids[:FEW]]
        for level in LEVELS:
            share = float(np.mean([one[level] for one in asked]))
            found[f"freeze-thaw: at once, {level:.0%}"] = {"rows": share, "replays": len(asked)}
        yield kind, found


def fixed_order(grid: RecordedGrid) -> NDArray[np.int64]:
    """One order of a grid's rows."""
    return np.random.default_rng(grid.seed).permutation(grid.examples)


def mean_of(each: Sequence[Spent]) -> Row:
    """Means of the fields, the decisions that differ as a share, and the standard error of the points lost."""
    lost = np.array([one.lost for one in each])
    return {
        "rows": float(np.mean([one.rows for one in each])),
        "at_rungs": float(np.mean([one.at_rungs for one in each])),
        "differ": sum(one.wrong for one in each) / max(1, sum(one.decisions for one in each)),
        "lost": float(lost.mean()),
        "lost_error": float(lost.std(ddof=1) / len(lost) ** 0.5) if len(lost) > 1 else 0.0,
        "replays": len(each),
    }


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", nargs="*", type=Path, help="Parquet files of recorded curves")
    parser.add_argument("--answers", type=Path, default=ANSWERS, help="of `benchmarks.answers`")
    parser.add_argument("--shapes", type=Path, help="CSV file of published curves, for made-up grids")
    parser.add_argument(
        "--alike", type=float, nargs=3, help="correlations of made-up answers (`Likeness`); else measured"
    )
    parser.add_argument("--only", default="", help="kinds of grids with this in their names; the file keeps the others")
    parser.add_argument("--made", type=int, default=2, help="made-up grids")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.29, 0.57], help="of a trial's time, evaluation's")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args(given)
    recorded, shapes = grids_and_shapes(chosen.curves, chosen.shapes)
    answers = answered_grids(chosen.answers)
    alike = {name: likeness(right) for name, (_, right, _) in answers.items()}
    middle = Likeness.middle(alike.values()) if alike else ASSUMED
    assumed = Likeness(*chosen.alike) if chosen.alike else middle
    made = {
        f"made up of published shapes, {reports} reports": [
            made_grid(seed, reports=reports, shapes=shapes, examples=1000) for seed in range(chosen.made)
        ]
        for reports in (4, 10)
        if shapes
    }
    by_share = [grid for grid in recorded if grid.examples and grid.task != "cola"]  # whose score is no share of rows
    kinds = {
        "curves recorded, three reports, answers made up": [
            (grid := three_reports(g), made_right(grid, assumed, seed)) for seed, g in enumerate(by_share)
        ],
        "answers recorded": [(grid, right) for grid, right, _ in answers.values() if len(grid.curves) > 5],
        "curves recorded, answers made up": [(g, made_right(g, assumed, seed)) for seed, g in enumerate(by_share)],
        **{kind: [(g, made_right(g, assumed, seed)) for seed, g in enumerate(grids)] for kind, grids in made.items()},
    }
    kinds = {kind: grids for kind, grids in kinds.items() if grids and chosen.only in kind}
    file = chosen.results / "partial_evaluation.json"
    document: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"rules": {}, "grids": {}}
    document |= {
        "alike": {name: one.as_dict() for name, one in alike.items()} | {"assumed": assumed.as_dict()},
        "evaluation_share": {name: round(share, 3) for name, (_, _, share) in answers.items()},
        "repeats": chosen.repeats,
        "shares": chosen.shares,
    }
    chosen.results.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    for kind, rows in measured(kinds, chosen.repeats):
        console.print(shown(kind, rows, chosen.shares))
        document["rules"][kind] = rows
        document["grids"][kind] = [grid.name for grid, _ in kinds[kind]]
        file.write_text(json.dumps(document, indent=1) + "\n")
    console.print_json(data={name: document[name] for name in ("alike", "evaluation_share")})


def shown(kind: str, rows: dict[str, Row], shares: Sequence[float]) -> Table:
    """A kind's table."""
    columns = ("rows %", "up to the last rung %", "decisions that differ %", "points lost")
    table = Table("rule: way", *columns, *(f"time saved %, share {share:.0%}" for share in shares), title=kind)
    for name, row in rows.items():
        table.add_row(
            name,
            f"{100 * row['rows']:.0f}",
            *(f"{100 * row[part]:.1f}" if part in row else "" for part in ("at_rungs", "differ")),
            f"{row['lost']:+.2f} +- {row['lost_error']:.2f}" if "lost" in row else "",
            *(f"{100 * share * (1 - row['rows']):.0f}" for share in shares),
        )
    return table


if __name__ == "__main__":
    main()
