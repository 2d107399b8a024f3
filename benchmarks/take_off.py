"""When searches that learn something are above the constant best answer, and what follows for one that is not yet.

    python -m benchmarks.take_off benchmarks/curves.parquet [MORE.parquet ...] [--published FILE.csv]

Two tables. The first has each recorded grid and each published curve with the share of its budget at which a trial was
above the constant answer by two standard errors in two reports running: the shares are `TAKE_OFFS` in
`orchestrator.schedulers.outlook`. The second replays searches over the recorded grids, in several orders, and gives the
share of the whole grid's steps that had been trained when a search said that nothing is learnt, and at which it was
over; nothing of the grid's own task is among the take-offs then. Writes ``benchmarks/results/take_off.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.made_curves import grids_and_shapes, published_curves
from orchestrator.schedulers.outlook import lateness, take_off, threshold
from orchestrator.schedulers.simulation.curves import RecordedGrid
from orchestrator.schedulers.simulation.figures import Setting, orders
from orchestrator.schedulers.simulation.simulate import replay
from trials.errors import UserError

RESULTS = Path(__file__).parent / "results"
RULES = (Setting("promotion"), Setting("asha"), Setting("freeze-thaw"), Setting("none"))

CONSTANTS: dict[tuple[str, str], tuple[float, int]] = {
    ("debsec", "accuracy"): (12.5, 600),
    ("debmatch", "accuracy"): (50.0, 600),
    ("cola", "matthews_correlation"): (0.0, 521),
    ("sst2", "accuracy"): (55.8, 1000),
    ("mnli", "accuracy"): (35.4, 1000),
    ("mrpc", "accuracy"): (68.4, 204),
    ("qnli", "accuracy"): (50.5, 1000),
    ("qqp", "accuracy"): (63.2, 1000),
    ("rte", "accuracy"): (52.7, 138),
    ("stsb", "pearson"): (0.0, 750),
    ("superglue-boolq", "accuracy"): (62.2, 1635),
    ("superglue-cb", "accuracy"): (50.0, 28),
    ("superglue-multirc", "f1"): (59.9, 2424),
    ("superglue-wic", "accuracy"): (50.0, 319),
    ("superglue-wsc.fixed", "accuracy"): (63.5, 52),
    ("hotpotqa", "f1"): (0.0, 1000),
    ("newsqa", "f1"): (0.0, 1000),
    ("nq", "f1"): (0.0, 1000),
    ("searchqa", "f1"): (0.0, 1000),
}
"""Score of the constant best answer on the published rows, and examples of the validation split made of them."""
METRIC = {"cola": "matthews_correlation"}
"""Of recorded grids; the others have accuracies."""


@dataclass(frozen=True)
class Learner:
    """A search or a published run.

    Attributes:
        least: what counts as above the constant answer, in points. best: the highest score.
        share: of its budget, at which it took off; None: it never did.
    """

    name: str
    task: str
    least: float
    best: float
    share: float | None


def of_grid(grid: RecordedGrid) -> Learner:
    """A recorded grid, every trial of it trained to its budget."""
    metric = METRIC.get(grid.task, "accuracy")
    least = threshold(CONSTANTS[grid.task, metric][0], grid.examples, metric)
    trials = [list(zip(curve.steps, curve.scores, strict=True)) for curve in grid.curves.values()]
    return Learner(grid.name, grid.task, least, grid.best, take_off(trials, grid.steps, least))


def published(file: Path) -> list[Learner]:
    """The curves of a CSV file (`published_curves`): single runs with published rates."""
    try:
        curves = published_curves(file)
    except UserError as error:
        raise SystemExit("error: " + "\n  ".join(error.problems)) from None
    found = []
    for task, metric, points in ((task, *one) for task, metrics in sorted(curves.items()) for one in metrics.items()):
        if (task, metric) in CONSTANTS:
            least = threshold(*CONSTANTS[task, metric], metric)
            share = take_off([points], points[-1][0], least)
            found.append(Learner(f"{task}, published", task, least, max(score for _, score in points), share))
    return found


@dataclass(frozen=True)
class Said:
    """Shares of a grid's steps: when a search said that nothing is learnt (None: never), and when it was over."""

    at: float | None
    end: float


def said(
    grid: RecordedGrid, least: float, rule: Setting, order: Sequence[int], known: Sequence[float], workers: int
) -> Said:
    """One search over a recorded grid, which is asked after each report whether a trial is above ``least`` points."""
    scheduler = rule.make(grid)
    trials: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
    spent: list[float] = []
    report = scheduler.report

    def watched(number: int, step: int, score: float, best: float | None = None, loss: float | None = None) -> Any:
        trials[number].append((step, score))
        is_late = not spent and lateness(trials.values(), len(order), grid.steps, known)
        if is_late and take_off(trials.values(), grid.steps, least) is None:
            spent.append(sum(reports[-1][0] for reports in trials.values()) / grid.cost)
        return report(number, step, score, best, loss)

    scheduler.report = watched  # type: ignore[method-assign]
    whole = replay(grid, scheduler, order, workers).share
    return Said(spent[0] if spent else None, whole)


def replays(
    grid: RecordedGrid, least: float, rule: Setting, learners: Iterable[Learner], repeats: int, workers: int
) -> list[Said]:
    """Searches in several orders; freeze-thaw decides alike in any, and is replayed in one."""
    known = [one.share for one in learners if one.share is not None and one.task != grid.task]
    once = 1 if rule.scheduler == "freeze-thaw" else repeats
    return [said(grid, least, rule, order, known, workers) for order in orders(grid, once, 0)]


def first_table(learners: Iterable[Learner]) -> Table:
    """When each took off."""
    table = Table("search or run", title="above the constant answer", title_justify="left")
    for column in ("threshold", "best", "share of the budget"):
        table.add_column(column, justify="right")
    for one in sorted(learners, key=lambda one: (one.share is None, one.share or 0.0, one.name)):
        share = "never" if one.share is None else f"{one.share:.3f}"
        table.add_row(one.name, f"{one.least:.1f}", f"{one.best:.1f}", share)
    return table


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", nargs="+", type=Path, help="Parquet files of recorded curves")
    parser.add_argument("--published", type=Path, help="CSV file of published curves")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args(given)
    grids = grids_and_shapes(chosen.curves, None)[0]
    recorded = [(grid, of_grid(grid)) for grid in grids]
    learners = [learner for _, learner in recorded] + (published(chosen.published) if chosen.published else [])
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(first_table(learners))
    shares = sorted(round(one.share, 4) for one in learners if one.share is not None)
    console.print(f"TAKE_OFFS = {tuple(shares)}")
    table = Table("scheduler", title="nothing is learnt, says a search", title_justify="left")
    for column in ("grids", "of searches %", "at % of the grid's steps", "over at %"):
        table.add_column(column, justify="right")
    replayed: dict[str, dict[str, Any]] = {}
    for kind in ("nothing is learnt", "something is learnt"):
        of_kind = [(grid, one.least) for grid, one in recorded if (one.share is None) == (kind == "nothing is learnt")]
        for rule in RULES if of_kind else ():
            found = [
                one
                for grid, least in of_kind
                for one in replays(grid, least, rule, learners, chosen.repeats, chosen.workers)
            ]
            at = [one.at for one in found if one.at is not None]
            row = {"said": len(at) / len(found), "end": statistics.fmean(one.end for one in found)}
            row |= {"at": statistics.fmean(at)} if at else {}
            replayed.setdefault(kind, {})[rule.scheduler] = {"grids": len(of_kind), **row}
            cells = [f"{100 * row[key]:.0f}" if key in row else "" for key in ("said", "at", "end")]
            table.add_row(rule.scheduler, f"{len(of_kind)}: {kind}", *cells)
    console.print(table)
    chosen.results.mkdir(parents=True, exist_ok=True)
    document = {"take-offs": {one.name: one.share for one in learners}, "replays": replayed}
    (chosen.results / "take_off.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
