"""Packed rows against padded ones in each precision, in one engine alone and in two beside each other.

    python -m benchmarks.packing [--task debsec] [--precision bfloat16 float32] [--engines 1 2]

An engine is a process of one thread on a core of its own, as in a search. It trains four configurations of ADePT
together, with two reports each; the second report's part counts, since in bfloat16 each new shape of a product is
compiled first. What an engine alone gains by packed rows two might lose to each other, if they waited for memory. Each
way of passing rows has its turn in each round, and its fastest round counts: seconds of training a trial-step, and of
an evaluation, as the reports have them. Writes benchmarks/results/packing.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.units import with_units
from benchmarks.whole import train
from orchestrator.record.provenance import describe_hardware
from search_spaces import load_space
from trials.backbones.loading import load_backbone
from trials.backbones.precision import Precision
from trials.backbones.t5.forward import T5
from trials.batching.passes import ANY, COARSE
from trials.config import TrialConfig
from trials.data import prepare
from trials.engine import Engine
from trials.tasks import get_task

RESULTS = Path(__file__).with_name("results")
TOGETHER = 4
WAYS = ("packed", "padded")
FIGURES = ("train", "evaluation")


def in_engine(task: str, precision: Precision, way: str, steps: int) -> dict[str, float]:
    """Seconds of a trial-step and of an evaluation, in this process."""
    if way == "padded":
        T5.grain = COARSE if precision == "bfloat16" else ANY  # type: ignore[assignment, method-assign]
    on = load_backbone("t5-nano", precision=precision)
    data = prepare(get_task(task), on.tokenizer, architecture=on.facts.architecture)
    points = load_space("t5-nano", method="adept", d_model=on.facts.width).configurations[:TOGETHER]
    configs = {
        str(number): TrialConfig("adept", point, steps, steps // 2, batch_size=16, warmup_steps=steps // 4)
        for number, point in enumerate(points)
    }
    reports = train(Engine(on, data, typical=configs["0"]), configs, TOGETHER).values()
    second = [of_one[1] for of_one in reports]
    trial_steps = len(configs) * (steps // 2)
    return {
        "train": sum(report.train_seconds for report in second) / trial_steps,
        "evaluation": sum(report.evaluation_seconds for report in second) / len(configs),
    }


def side_by_side(engines: int, *arguments: str) -> dict[str, float]:
    """`in_engine` of so many processes at the same time, each on its core: the mean of them."""
    cores = sorted(os.sched_getaffinity(0))
    if engines > len(cores):
        raise SystemExit(f"--engines {engines}: only {len(cores)} cores are to be had")
    command = [sys.executable, "-m", "benchmarks.packing", "--inside", *arguments]
    processes = [
        subprocess.Popen(["taskset", "-c", str(core), *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for core in cores[:engines]
    ]
    found = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
    return {figure: sum(one[figure] for one in found) / engines for figure in FIGURES}


def main() -> None:
    """Take turns, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="debsec")
    parser.add_argument("--precision", nargs="+", choices=["bfloat16", "float32"], default=["bfloat16", "float32"])
    parser.add_argument("--engines", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--inside", nargs=4, metavar=("TASK", "PRECISION", "WAY", "STEPS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        torch.set_num_threads(1)
        task, precision, way, steps = args.inside
        print(json.dumps(in_engine(task, precision, way, int(steps))))
        return
    precisions = with_units(args.precision)
    cells = list(product(precisions, args.engines, WAYS))
    best = {cell: dict.fromkeys(FIGURES, float("inf")) for cell in cells}
    for _ in range(args.rounds):
        for cell in cells:
            precision, engines, way = cell
            found = side_by_side(engines, args.task, precision, way, str(args.steps))
            best[cell] = {figure: min(best[cell][figure], found[figure]) for figure in FIGURES}
    table = Table("precision", "engines", *(f"{way}: s a trial-step, an evaluation" for way in WAYS), "padded / packed")
    for precision, engines in product(precisions, args.engines):
        packed, padded = (best[precision, engines, way] for way in WAYS)
        table.add_row(
            precision,
            str(engines),
            *(", ".join(f"{one[figure]:.3f}" for figure in FIGURES) for one in (packed, padded)),
            ", ".join(f"{padded[figure] / packed[figure]:.2f}" for figure in FIGURES),
        )
    Console(width=120).print(table)
    RESULTS.mkdir(exist_ok=True)
    settings = {key: value for key, value in vars(args).items() if key != "inside"} | {
        "processor": describe_hardware().get("cpu")
    }
    seconds = {
        f"{precision}, {engines} engines, {way}": best[precision, engines, way] for precision, engines, way in cells
    }
    (RESULTS / "packing.json").write_text(json.dumps({"settings": settings, "seconds": seconds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
