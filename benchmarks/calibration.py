"""Whether the calibration of a night predicts the pace of training, on a quiet machine and on a shared one.

    python -m benchmarks.calibration [--rounds 8]

In one process on one core take short turns: training (`t5-nano`, two stacked trials), the reference of
`orchestrator.nights.calibration`, and a mix of single operations at the same shapes. Beside them nothing, a process
that computes on the same core (half as fast), two of them (a third as fast), or one that only moves memory on another
core. What is asked: does training divided by the calibration stay where it is? Writes
benchmarks/results/calibration.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median, stdev

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.workload import MadeRows, backbone, trials
from orchestrator.nights import calibration
from orchestrator.record.provenance import describe_hardware
from trials.stack.measuring import measure
from trials.stack.step import Stack

RESULTS = Path(__file__).with_name("results")
COMPUTES = "import torch; torch.set_num_threads(1); a = torch.randn(256, 256)\nwhile True: a = (a @ a).tanh()"
MOVES = "import torch; torch.set_num_threads(1); a = torch.randn(1 << 25); b = a.clone()\nwhile True: b.copy_(a)"
CONDITIONS: dict[str, tuple[list[str], int]] = {
    "nothing": ([], 0),
    "one on the same core": ([COMPUTES], 0),
    "two on the same core": ([COMPUTES, COMPUTES], 0),
    "memory moved on another core": ([MOVES], 1),
}
"""What runs beside it: programs, and the place of their core among those that this process may use."""


def training(count: int = 2) -> Callable[[], object]:
    """One step of stacked trials."""
    on = backbone("t5-nano", "float32", "cpu")
    stack = Stack(on, MadeRows([24] * 512, len(on.embedding)))
    made = trials(on, count, 4)
    stack.cost = measure(on, stack.train, made[0].config).cost
    return lambda: stack.step(made)


def operations() -> Callable[[], None]:
    """One round of the mix: products, batched products, softmax, elementwise work, copies."""
    rows = torch.randn(352, 256)
    wide, back = torch.randn(256, 512), torch.randn(512, 256)
    heads = torch.randn(32, 44, 64)
    memory = torch.randn(1 << 20)

    def mix() -> None:
        for _ in range(4):
            hidden = ((rows @ wide).relu() @ back) * rows
            hidden.add_(rows).pow(2).mean(-1).rsqrt()
            weights = (heads @ heads.transpose(1, 2)).softmax(-1)
            _ = weights @ heads
            memory.clone().add_(1.0)

    return mix


def all_arms() -> dict[str, Callable[[], object]]:
    """Training, the reference and the mix, warm; made once, since a stack measures how to divide its rows then."""
    torch.set_num_threads(1)
    reference = calibration.Reference()
    arms: dict[str, Callable[[], object]] = {
        "training": training(),
        "reference": lambda: reference.block(1),
        "operations": operations(),
    }
    for warm in arms.values():
        warm()
    return arms


def measured(
    arms: dict[str, Callable[[], object]], beside: tuple[list[str], int], rounds: int, turns: int, cores: list[int]
) -> list[dict[str, float]]:
    """Paces of training, the reference and the mix in each round, in which they take short turns."""
    core = cores[beside[1] % len(cores)]
    rivals = [
        subprocess.Popen([sys.executable, "-c", program], preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        for program in beside[0]
    ]
    try:
        if rivals:
            time.sleep(10)  # until they compute
        found = []
        for _ in range(rounds):
            seconds: dict[str, list[float]] = {name: [] for name in arms}
            for _ in range(turns):
                for name, work in arms.items():
                    started = time.perf_counter()
                    work()
                    seconds[name].append(time.perf_counter() - started)
            means = {name: 1 / mean(times) for name, times in seconds.items()}
            found.append({**means, "reference, median": 1 / median(seconds["reference"])})
        return found
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()


def spread(values: list[float]) -> float:
    """Coefficient of variation."""
    return stdev(values) / mean(values)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="in each condition [%(default)s]")
    parser.add_argument("--turns", type=int, default=16, help="of each in a round [%(default)s]")
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    made = all_arms()
    found = {name: measured(made, beside, args.rounds, args.turns, cores) for name, beside in CONDITIONS.items()}
    arms = ("reference", "reference, median", "operations")
    table = Table("beside", "training", *(f"training / {arm}: CV, off by" for arm in arms))
    base = {arm: median(one["training"] / one[arm] for one in found["nothing"]) for arm in arms}
    pace = median(one["training"] for one in found["nothing"])
    for name, rounds in found.items():
        cells = []
        for arm in arms:
            ratios = [one["training"] / one[arm] for one in rounds]
            cells.append(f"{spread(ratios):.1%}, {median(ratios) / base[arm] - 1:+.1%}")
        paces = [one["training"] for one in rounds]
        table.add_row(name, f"{median(paces) / pace:.0%}, CV {spread(paces):.1%}", *cells)
    Console().print(table)
    document = {"hardware": describe_hardware(), "rounds": found}
    (RESULTS / "calibration.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
