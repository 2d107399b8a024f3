"""The makespan of a whole grid of 24 configurations: ours, ours without what makes it fast, and the peer.

    python -m benchmarks.makespan --data-dir DATA
    python -m benchmarks.makespan --data-dir DATA --backbone t5-small-shape --batch-size 8 --steps 240 --peer-trials 4

Each arm is a command as a user would type it, one after another on this machine, with a folder, a tracking store and a
cache of tokenised data of its own; its time is the command's, from start to end. All arms train the same number of
configurations for the same steps, with the same batches, warm-up and evaluations. What differs in the peer's favour: it
tunes the prompt alone (ours also trains an offset network), keeps no checkpoint, tracks nothing and tests no winner.

`--peer-trials N` (and `--peer-steps`) run only a part of the peer's grid; its makespan is then extrapolated from what
was measured (start-up, seconds a step, seconds an evaluation) and marked so. Prints a table and writes
``benchmarks/results/makespan-TASK-BACKBONE.json`` after every run.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.arms import ARMS, ROOT, ArmRun, Grid, run_arm
from benchmarks.t5_shapes import SHAPES, SUFFIX, shape_of, write_shape
from orchestrator.plan.resolve import make_plan
from orchestrator.plan.settings import SearchSettings
from orchestrator.record import provenance
from trials.backbones.describe import describe
from trials.errors import UserError
from trials.tasks import get_task

RESULTS = ROOT / "benchmarks" / "results"
RUNS = ROOT / "runs" / "benchmarks"
SPACE = ROOT / "benchmarks" / "spaces" / "t5-nano-24.yaml"
DEFAULT_ARMS = ("stopping", "none", "serial", "process", "peer")
TOLERANCE = 1e-6  # points


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="rte")
    parser.add_argument("--data-dir", type=Path, help="the task's data in the hub's layout [the hub]")
    shapes = ", ".join(f"{name}{SUFFIX}" for name in SHAPES)
    parser.add_argument("--backbone", default="t5-nano", help="t5-nano, a hub id, a folder, or, of t5-nano's "
                        f"weights grown, {shapes}")  # fmt: skip
    parser.add_argument("--tokenizer", type=Path, help="folder of the tokenizer for grown weights [t5-nano's]")
    parser.add_argument("--space", type=Path, default=SPACE, help="file with 24 configurations of ADePT")
    parser.add_argument("--steps", type=int, help="updates of a trial [the space's]")
    parser.add_argument("--eval-every", type=int, help="[the space's]")
    parser.add_argument("--batch-size", type=int, help="[the space's]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42], help="every arm is run with each")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(DEFAULT_ARMS))
    parser.add_argument("--peer-trials", type=int, help="measure only the peer's first N trials and extrapolate; "
                        "a multiple of those that run at once, at best of 4, for every prompt length")  # fmt: skip
    parser.add_argument("--peer-steps", type=int, help="measure only N steps of each of the peer's trials (at least "
                        "two evaluations) and extrapolate")  # fmt: skip
    parser.add_argument("--ours", default="", metavar="OPTIONS", help="further options for our commands, in quotes")
    parser.add_argument("--peer", default="", metavar="OPTIONS", help="further options for the peer, in quotes")
    parser.add_argument("--out", type=Path, help="JSON [benchmarks/results/makespan-TASK-BACKBONE.json]")
    return parser.parse_args(arguments)


def grid_of(args: argparse.Namespace) -> Grid:
    """The grid, resolved as a search resolves it.

    Raises:
        UserError: what a search would refuse, and a peer's part that is none.
    """
    backbone = args.backbone
    if shape := shape_of(backbone):
        tokenizer = f"-{args.tokenizer.name}" if args.tokenizer else ""
        folder = RUNS / "grown" / f"{backbone}{tokenizer}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        backbone = str(write_shape(shape, folder, args.tokenizer))
    task, backbone = (str(Path(n).resolve()) if Path(n).exists() else n for n in (args.task, backbone))
    asked = ("data_dir", "steps", "eval_every", "batch_size")
    settings = SearchSettings(
        task=task, backbone=backbone, space=str(args.space), **{key: getattr(args, key) for key in asked}
    )
    plan = make_plan(settings)
    training, count = plan.training, len(plan.trials)
    peer_trials, peer_steps = args.peer_trials or count, args.peer_steps or training.steps
    problems = []
    if count != 24 and any(ARMS[arm].peer for arm in args.arms):
        problems.append(f"--space {args.space}: has {count} configurations, the peer's grid has 24")
    if not 1 <= peer_trials <= count:
        problems.append(f"--peer-trials {peer_trials}: must be 1 to {count}")
    every = training.eval_every
    if peer_steps != training.steps and (peer_steps % every or not 2 * every <= peer_steps < training.steps):
        problems.append(
            f"--peer-steps {peer_steps}: must be a multiple of --eval-every ({every}), at least twice that (the first "
            f"steps of a process are slow, the second stretch shows the pace) and at most {training.steps}"
        )
    if problems:
        raise UserError(problems)
    return Grid(
        task=task,
        backbone=backbone,
        space=args.space.resolve(),
        data_dir=args.data_dir.resolve() if args.data_dir else None,
        configurations=count,
        steps=training.steps,
        eval_every=training.eval_every,
        batch_size=training.batch_size,
        warmup_steps=training.warmup_steps,
        max_source_length=plan.max_source_length,
        peer_trials=peer_trials,
        peer_steps=peer_steps,
        ours=tuple(shlex.split(args.ours)),
        theirs=tuple(shlex.split(args.peer)),
    )


def ratios(runs: Sequence[ArmRun]) -> dict[str, dict[str, float]]:
    """Median makespan of each arm (``seconds``), and how many times the others' it is faster, by arm."""
    arms = dict.fromkeys(run.arm for run in runs)
    median = {arm: statistics.median(run.seconds for run in runs if run.arm == arm) for arm in arms}
    return {
        arm: {"seconds": own, **{f"faster than {other}": median[other] / own for other in arms if other != arm}}
        for arm, own in median.items()
    }


def near_full_grid(runs: Sequence[ArmRun]) -> tuple[int, int]:
    """In how many seeds early stopping's winner is within one validation example of the full grid's; of how many."""
    scores = {(run.arm, run.seed): run for run in runs}
    pairs = [(run, scores["none", run.seed]) for run in runs if run.arm == "stopping" and ("none", run.seed) in scores]
    near = sum(
        stopped.winner_score is not None
        and full.winner_score is not None
        and full.winner_score - stopped.winner_score <= (full.one_example or 0) + TOLERANCE
        for stopped, full in pairs
    )
    return near, len(pairs)


def table_of(runs: Sequence[ArmRun], title: str) -> Table:
    """Medians over the seeds; ``~`` marks an extrapolated makespan."""
    table = Table(title=title, title_justify="left")
    for name in ("arm", "makespan", "x peer", "x one after another", "steps", "winner", "workers MiB", "all MiB"):
        table.add_column(name, justify="left" if name == "arm" else "right")
    for arm, found in ratios(runs).items():
        own = [run for run in runs if run.arm == arm]
        mark = "~" if own[0].extrapolated else ""
        scores = [run.winner_score for run in own if run.winner_score is not None]
        table.add_row(
            ARMS[arm].title + (f" ({own[0].trials} trials measured)" if mark else ""),
            f"{mark}{found['seconds']:,.1f} s",
            *(f"{found[key]:.2f}" if key in found else "" for key in ("faster than peer", "faster than serial")),
            f"{statistics.median(run.steps for run in own):,.0f}",
            f"{statistics.median(scores):.1f}" if scores else "-",
            *(
                f"{statistics.median(run.memory[key] for run in own) / 2**20:,.0f}"
                for key in ("workers", "all_processes")
            ),
        )
    return table


def document_of(grid: Grid, runs: Sequence[ArmRun]) -> dict[str, Any]:
    """Everything measured, without anything that names the machine or its folders."""
    shown = {key: value for key, value in asdict(grid).items() if key not in ("data_dir", "space", "backbone", "task")}
    near, pairs = near_full_grid(runs)
    return {
        "grid": {
            "task": get_task(grid.task).name,
            **shown,
            "backbone": describe(grid.backbone).name,
            "space": grid.space.name,
        },
        "arms": {run.arm: ARMS[run.arm].title for run in runs},
        "median": ratios(runs),
        "winner_within_one_example_of_full_grid": {"seeds": near, "of": pairs},
        "runs": [asdict(run) for run in runs],
        "versions": provenance.collect(command=["benchmarks.makespan"]),
    }


def main() -> None:
    """Measure, print, write."""
    args = options()
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        grid = grid_of(args)
    except UserError as error:
        raise SystemExit("error: " + "\n  ".join(error.problems)) from error
    task, name = get_task(grid.task).name, describe(grid.backbone).name
    out = args.out or RESULTS / f"makespan-{task}-{name}.json"
    folder = RUNS / "makespan" / time.strftime("%Y%m%d-%H%M%S")
    runs: list[ArmRun] = []
    for seed in args.seeds:
        for arm in args.arms:
            console.print(f"{ARMS[arm].title}, seed {seed} ...", end=" ")
            runs.append(run_arm(arm, grid, seed, folder / f"{arm}-{seed}"))
            console.print(f"{runs[-1].command_seconds:,.1f} s", highlight=False)
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(document_of(grid, runs), indent=1) + "\n")
    console.print(
        table_of(
            runs,
            f"{task} on {name}: {grid.configurations} configurations x {grid.steps:,} steps of {grid.batch_size} "
            f"rows, {grid.steps // grid.eval_every} evaluations each",
        )
    )
    if any(run.extrapolated for run in runs):
        console.print(
            f"~ extrapolated to {grid.configurations} trials of {grid.steps:,} steps from {grid.peer_trials} trials of "
            f"{grid.peer_steps:,}: start-up + steps + evaluations, as measured"
        )
    near, pairs = near_full_grid(runs)
    if pairs:
        console.print(f"winner with early stopping within one example of the full grid's: {near} of {pairs} seeds")


if __name__ == "__main__":
    main()
