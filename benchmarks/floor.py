"""How long the arms of a measured makespan must take at least on this machine, by its matrix rate alone.

    python -m benchmarks.floor benchmarks/results/makespan-rte-t5-nano.json --data-dir DATA

Counts the operations that no implementation can avoid (as `benchmarks.roofline` does) for what each arm of the file has
trained: ours at each row's own length with each prompt of the grid, the peer at the length to which it pads; training
forward and backward to the input, evaluation forward only. Divided by the rate of a large matrix product on one core,
measured here and now in each precision, and by the cores: start, end, norms, softmax and the decoder are not in it.
The times beside the floors are those of the file, and compare with them only if it was measured on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.arms import ARMS
from benchmarks.makespan import SPACE
from benchmarks.roofline import attention_flops, matrix_rate
from benchmarks.workload import backbone, flops_per_token
from search_spaces import load_space
from trials.backbones.loading import Backbone
from trials.backbones.precision import DTYPES
from trials.data import prepare
from trials.tasks import get_task

SAMPLE = 256  # training rows whose lengths stand for all


def operations(on: Backbone, lengths: list[int]) -> tuple[float, float]:
    """Of a row on average, in training and in evaluation."""
    products, attention = sum(lengths) * flops_per_token(on), attention_flops(on, lengths)
    return (products + attention) / len(lengths), (products / 2 + attention / 3) / len(lengths)


def floors(measured: dict[str, Any], on: Backbone, data_dir: Path | None) -> dict[str, float]:
    """Operations of each arm's training and evaluations."""
    grid = measured["grid"]
    data = prepare(
        get_task(grid["task"]),
        on.tokenizer,
        architecture=on.facts.architecture,
        data_dir=data_dir,
        max_source_length=grid["max_source_length"],
    )
    points = load_space(str(SPACE.with_name(grid["space"])), method="adept", d_model=on.facts.width).configurations
    prompts = [int(point["prompt_length"]) for point in points]
    train, validation = data.split("train"), data.split("validation")
    sample = np.random.default_rng(0).permutation(len(train))[:SAMPLE].tolist()
    rows = {"train": train.batch(sample)[0], "validation": validation.batch(range(len(validation)))[0]}
    found = {}
    for run in measured["runs"]:
        padded = grid["max_source_length"] if ARMS[run["arm"]].peer else None
        lengths = {split: [m + (padded or len(row)) for m in prompts for row in rows[split]] for split in rows}
        steps = grid["configurations"] * grid["steps"] if run["extrapolated"] else run["steps"]
        trained = steps * grid["batch_size"] * operations(on, lengths["train"])[0]
        evaluated = steps // grid["eval_every"] * len(validation) * operations(on, lengths["validation"])[1]
        found[run["arm"]] = trained + evaluated
    return found


def main() -> None:
    """Count, measure the rates, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="a result of benchmarks.makespan")
    parser.add_argument("--data-dir", type=Path, help="the task's data in the hub's layout [the hub]")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    torch.set_num_threads(1)
    measured = json.loads(args.file.read_text())
    on = backbone(measured["grid"]["backbone"], "float32", "cpu")
    rates = {name: matrix_rate(on.device, dtype, on.facts.width) for name, dtype in DTYPES.items()}
    found = floors(measured, on, args.data_dir)
    table = Table(
        "arm", "TFLOP", *(f"floor, {name}" for name in rates), "measured there", title=f"{args.cores} core(s) here"
    )
    seconds = {run["arm"]: run["seconds"] for run in measured["runs"]}
    for arm, count in found.items():
        least = [f"{count / rate / args.cores:,.0f} s" for rate in rates.values()]
        table.add_row(ARMS[arm].title, f"{count / 1e12:,.1f}", *least, f"{seconds[arm]:,.0f} s")
    console = Console(width=110)
    console.print(table)
    console.print("; ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s a core" for name, rate in rates.items()))


if __name__ == "__main__":
    main()
