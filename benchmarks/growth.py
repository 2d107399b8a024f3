"""How a stacked step's cost grows: with source length, with model size, with the number of trials.

    python -m benchmarks.growth [--device cuda --precision bfloat16]

Seconds a trial-step and the exponent between neighbouring sizes (1 is linear). The number of trials goes up to 1,000 in
one stack, far beyond what anybody should hold at once, to show that nothing in it grows faster than the work. How a
whole search of 1,000 trials behaves is `benchmarks.overhead`'s. Writes benchmarks/results/growth.json.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.workload import MadeRows, backbone, flops_per_token, rte_lengths, trials
from trials.backbones.loading import Backbone
from trials.stack.devices import wait
from trials.stack.measuring import measure
from trials.stack.step import Stack

RESULTS = Path(__file__).with_name("results")


def seconds_of(on: Backbone, lengths: list[int], count: int, batch_size: int, times: int) -> float:
    """The fastest of some steps of a stack."""
    stack = Stack(on, MadeRows(lengths, len(on.embedding)))
    made = trials(on, count, batch_size)
    stack.cost = measure(on, stack.train, made[0].config).cost
    stack.step(made[:1])
    best = float("inf")
    for _ in range(times):
        wait(on.device)
        started = time.perf_counter()
        stack.step(made)
        wait(on.device)
        best = min(best, time.perf_counter() - started)
    return best


def main() -> None:
    """Measure each axis, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    parser.add_argument("--models", nargs="+", default=["t5-nano", "t5-small-shape", "t5-base-shape"])
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    console = Console(width=100)
    nano = backbone("t5-nano", args.precision, args.device)
    found: dict[str, Any] = {"settings": vars(args)}

    def show(title: str, rows: list[tuple[str, float, float]]) -> None:
        table = Table("size", "seconds a trial-step", "exponent", title=title)
        for i, (name, size, seconds) in enumerate(rows):
            before = rows[i - 1] if i else None
            slope = math.log(seconds / before[2]) / math.log(size / before[1]) if before else float("nan")
            table.add_row(name, f"{seconds:.4f}", f"{slope:.2f}" if before else "")
        console.print(table)
        found[title] = [{"size": size, "name": name, "seconds": seconds} for name, size, seconds in rows]

    show(
        "source length (tokens and prompt), t5-nano, 4 trials, batch 8",
        [(str(n), n + 50, seconds_of(nano, [n] * 400, 4, 8, 3) / 4) for n in args.lengths],
    )
    rows = []
    for name in args.models:
        on = backbone(name, args.precision, args.device)
        size = flops_per_token(on) / 4
        rows.append((name, size, seconds_of(on, rte_lengths(), 2, 8, 2) / 2))
    show("model size (encoder weights), RTE's lengths, 2 trials, batch 8", rows)
    rows = []
    for count in args.trials:
        seconds = seconds_of(nano, [12] * 400, count, 1, 2)
        rows.append((str(count), float(count), seconds))
    show("trials in one stack, batch 1 (seconds of the whole step)", rows)
    found["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"peak memory of all of it: {found['peak_memory_mib']:.0f} MiB")
    RESULTS.mkdir(exist_ok=True)
    out = RESULTS / f"growth-{args.device}-{args.precision}.json"
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main()
