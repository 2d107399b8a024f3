"""Kernels that a pass launches on an accelerator, counted without one (`benchmarks.launches`).

    python -m benchmarks.kernels [--backbone t5-base --precision bfloat16]

A launch costs some 5 us of a processor's time, whatever it computes: a pass of 1,000 kernels takes at least 5 ms.
Counted are a training pass (the backbone, forward and backward), a whole update of one trial, and a pass of an
evaluation over the tree of two labels; views and empty tensors are none. Writes
benchmarks/results/kernels-BACKBONE-PRECISION.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.launches import CONFIGS, META, Launches, trials_without_numbers, without_numbers
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


def counted(name: str, precision: Precision, rows: int, length: int) -> dict[str, Any]:
    """Kernels of each kind of pass, and which."""
    on = without_numbers(name, precision)
    found = {
        "training pass": training_pass(on, rows, length),
        "update": update(on, rows, length),
        "evaluation pass": evaluation_pass(on, rows, length),
    }
    return {
        what: {"kernels": seen.total, "copies": seen.copies, "by_operation": dict(seen.kernels.most_common())}
        for what, seen in found.items()
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
    found = counted(args.backbone, args.precision, args.rows, args.length)
    shape = f"{args.rows} rows of {args.length} tokens"
    table = Table("", "kernels", "launching, ms", title=f"{args.backbone}, {args.precision}, {shape}")
    for what, of_it in found.items():
        table.add_row(what, f"{of_it['kernels']:,}", f"{1e3 * LAUNCH * of_it['kernels']:.1f}")
    Console(width=100).print(table)
    out = args.out or RESULTS / f"kernels-{args.backbone}-{args.precision}.json"
    out.parent.mkdir(exist_ok=True)
    settings = {key: value for key, value in vars(args).items() if key != "out"}
    out.write_text(json.dumps({"settings": settings, "torch": torch.__version__, **found}, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main()
