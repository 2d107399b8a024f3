"""Kernels that a pass launches on an accelerator, and the bytes that they move, counted without one.

    python -m benchmarks.kernels [--backbone t5-base --precision bfloat16]

A launch costs some 5 us of a processor's time, whatever it computes: a pass of 1,000 kernels takes at least 5 ms. What
its kernels read and write takes at least its bytes by the card's bandwidth. Counted (`benchmarks.launches`) are a
training pass (the backbone, forward and backward), a whole update of one trial, and a pass of an evaluation over the
tree of two labels; T5 operation by operation (plain) and in fused kernels; views and empty tensors are none. ``chains``
are the kernels between two products that come at least `OFTEN` times a pass, with how often they read and write a
token's activations. Writes benchmarks/results/kernels-BACKBONE-PRECISION.json.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.launches import CONFIGS, META, Launches, trials_without_numbers, without_numbers
from benchmarks.t5_shapes import SHAPES
from benchmarks.workload import MadeRows
from trials.backbones.answers import AnswerTree
from trials.backbones.base import Backbone, Inputs
from trials.backbones.precision import DTYPES, Precision
from trials.batching.dropout import Dropout
from trials.batching.passes import PassCost
from trials.config import TrialConfig, Value
from trials.stack.step import Stack

RESULTS = Path(__file__).with_name("results")
LAUNCH = 5e-6  # seconds
BANDWIDTH = {"H100": 3.35e12, "A100": 2.04e12}  # bytes a second: SXM, 80 GB (NVIDIA's data sheets)
OFTEN = 10  # times a pass that a chain is one of every layer
LABELS = [[30, 1], [31, 1]]


def made_inputs(on: Backbone, rows: int, length: int, answer: int) -> Inputs:
    """Rows without numbers."""
    x = torch.empty(rows, length, on.facts.width, device=META)
    ends = torch.empty(rows, dtype=torch.int64, device=META)
    return Inputs(x, ends, ends - (answer if on.embeds_answers else 0))


def training_pass(on: Backbone, rows: int, length: int) -> Launches:
    """Forward and backward through the backbone."""
    inputs = made_inputs(on, rows, length, 2)
    inputs.embeddings.requires_grad_()
    targets = torch.ones(rows, 2, dtype=torch.int64, device=META)
    for _ in range(2):  # what is made once and kept counts not
        with Launches() as seen:
            dropout = Dropout(torch.empty(rows, dtype=torch.int32, device=META))
            on.token_losses(inputs, targets, dropout).sum().backward()
    return seen


def evaluation_pass(on: Backbone, rows: int, length: int) -> Launches:
    """The tree of two labels."""
    inputs = made_inputs(on, rows, length, 1)
    tree = AnswerTree(LABELS)
    for _ in range(2):
        with torch.no_grad(), Launches() as seen:
            on.choices(on.tree_logits(inputs, tree)[0])
    return seen


def update(on: Backbone, rows: int, length: int) -> Launches:
    """All of one trial's step, in one pass."""
    chosen: dict[str, Value] = {"prompt_lr": 0.3, "mlp_lr": 1e-4, "prompt_length": 20, "bottleneck": 30}
    config = TrialConfig("adept", chosen, 1000, 100, batch_size=rows)
    made = trials_without_numbers(on, [config])
    stack = Stack(on, MadeRows([length - 20] * (2 * rows), 8000), PassCost(256, 1 << 20))
    for _ in range(2):
        with Launches() as seen:
            stack.step(made)
    return seen


def counted(name: str, precision: Precision, rows: int, length: int, fused: bool = False) -> dict[str, Any]:
    """Kernels and bytes of each kind of pass, and which."""
    on = without_numbers(name, precision, fused)
    found = {
        "training pass": training_pass(on, rows, length),
        "update": update(on, rows, length),
        "evaluation pass": evaluation_pass(on, rows, length),
    }
    return {what: described(seen) for what, seen in found.items()}


def described(seen: Launches) -> dict[str, Any]:
    """What a pass has launched, as JSON has it."""
    found: Counter[tuple[str, float, float]] = Counter()
    for chain in seen.chains:
        reads, writes = chain.passes
        found[" ".join(chain.names), round(reads, 1), round(writes, 1)] += 1
    chains = [
        {"kernels": names, "times": times, "reads": reads, "writes": writes}
        for (names, reads, writes), times in found.most_common()
        if times >= OFTEN
    ]
    return {
        "kernels": seen.total,
        "copies": seen.copies,
        "bytes": seen.bytes,
        "chains": chains,
        "by_operation": dict(seen.kernels.most_common()),
    }


def main() -> None:
    """Count, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="t5-base", choices=list(CONFIGS))
    parser.add_argument("--precision", default="bfloat16", choices=list(DTYPES))
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=64, help="tokens of each row")
    parser.add_argument("--out", type=Path, help="JSON [benchmarks/results/kernels-BACKBONE-PRECISION.json]")
    args = parser.parse_args()
    ways = {"plain": False, "fused": True} if args.backbone in SHAPES else {"plain": False}
    found = {way: counted(args.backbone, args.precision, args.rows, args.length, fused) for way, fused in ways.items()}
    shape = f"{args.rows} rows of {args.length} tokens"
    moving = [f"moving, {card}, ms" for card in BANDWIDTH]
    title = f"{args.backbone}, {args.precision}, {shape}"
    table = Table("", "", "kernels", "launching, ms", "GiB", *moving, title=title)
    for what in next(iter(found.values())):
        for way, of_way in found.items():
            kernels, moved = of_way[what]["kernels"], of_way[what]["bytes"]
            least = [f"{1e3 * moved / rate:.1f}" for rate in BANDWIDTH.values()]
            table.add_row(what, way, f"{kernels:,}", f"{1e3 * LAUNCH * kernels:.1f}", f"{moved / 2**30:.1f}", *least)
    Console(width=110).print(table)
    out = args.out or RESULTS / f"kernels-{args.backbone}-{args.precision}.json"
    out.parent.mkdir(exist_ok=True)
    settings = {key: value for key, value in vars(args).items() if key != "out"}
    out.write_text(json.dumps({"settings": settings, "torch": torch.__version__, **found}, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main()
