"""How near a stacked step comes to what the device can do.

    python -m benchmarks.roofline [--backbone t5-base-shape --device cuda --precision bfloat16]

The floor counts the operations that no implementation can avoid: every encoder matrix forward, and backward to its
input, for each real token of prompt and source (no padding), and attention's products at each row's own length. The
ceilings are measured here and now: the fastest large matrix product in this precision and in float32, and copying
memory. Writes benchmarks/results/roofline-BACKBONE.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.workload import MadeRows, backbone, flops_per_token, rte_lengths, trials
from trials.backbones.loading import Backbone
from trials.backbones.precision import DTYPES
from trials.stack.devices import wait
from trials.stack.measuring import measure
from trials.stack.step import Stack

RESULTS = Path(__file__).with_name("results")


def matrix_rate(device: torch.device, dtype: torch.dtype, width: int) -> float:
    """Operations a second of the product of a tall matrix with a (width, 4 width) one: the step's own shapes."""
    a = torch.randn(4096 if device.type == "cpu" else 65_536, width, device=device).to(dtype)
    b = torch.randn(width, 4 * width, device=device).to(dtype)
    return 2.0 * a.shape[0] * width * 4 * width / fastest(lambda: a @ b, device)


def copy_rate(device: torch.device) -> float:
    """Bytes a second, read and written, of a copy larger than the caches."""
    a = torch.empty(1 << 26, device=device)
    b = torch.empty_like(a)
    return 2.0 * a.nbytes / fastest(lambda: b.copy_(a), device)


def fastest(work: object, device: torch.device, times: int = 8) -> float:
    """Seconds of the fastest of some runs."""
    best = float("inf")
    for _ in range(times):
        wait(device)
        started = time.perf_counter()
        work()  # type: ignore[operator]
        wait(device)
        best = min(best, time.perf_counter() - started)
    return best


def attention_flops(on: Backbone, lengths: list[int]) -> float:
    """Scores and contexts, forward and backward (twice), of every layer at each row's own length."""
    if hasattr(on, "t5"):
        inner, layers = on.t5.heads * on.t5.width, len(on.t5.encoder)
    else:
        config = on.model.config  # type: ignore[attr-defined]
        inner, layers = config.hidden_size, config.num_hidden_layers
    return 3.0 * layers * sum(4.0 * n * n * inner for n in lengths)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="t5-nano")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--stack", type=int, default=8, help="trials")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON [benchmarks/results/roofline-BACKBONE-DEVICE-PRECISION.json]")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    on = backbone(args.backbone, args.precision, args.device)
    stack = Stack(on, MadeRows(rte_lengths(), len(on.embedding)))
    made = trials(on, args.stack, args.batch_size)
    stack.cost = measure(on, stack.train, made[0].config).cost
    stack.step(made)
    rates = []
    floor = 0.0
    for _ in range(args.steps):
        lengths = [
            t.method.prompt_length + len(source)
            for t in made
            for source in stack.train.batch(t.next_rows(len(stack.train)))[0]
        ]
        floor = sum(lengths) * flops_per_token(on) + attention_flops(on, lengths)
        wait(on.device)
        started = time.perf_counter()
        stack.step(made)
        wait(on.device)
        rates.append(floor / (time.perf_counter() - started))
    ceiling = matrix_rate(on.device, DTYPES[args.precision], on.facts.width)
    single = matrix_rate(on.device, torch.float32, on.facts.width)
    memory = copy_rate(on.device)
    best = max(rates)
    found = {
        "settings": {key: value for key, value in vars(args).items() if key != "out"},
        "step_gflop_floor": floor / 1e9,
        "step_gflops_per_second": best / 1e9,
        "matrix_gflops_per_second": ceiling / 1e9,
        "matrix_gflops_per_second_float32": single / 1e9,
        "copy_gib_per_second": memory / 2**30,
        "share_of_ceiling": best / ceiling,
        "times_float32_ceiling": best / single,
        "tokens_in_a_pass": stack.cost.most,
    }
    table = Table("", "GFLOP/s", "share", title=f"{args.backbone}, {args.precision}, {args.device}, K = {args.stack}")
    table.add_row("matrix product, this precision", f"{ceiling / 1e9:.0f}", "1.00")
    table.add_row("matrix product, float32", f"{single / 1e9:.0f}", f"{single / ceiling:.2f}")
    table.add_row(f"stacked step (floor {floor / 1e9:.0f} GFLOP)", f"{best / 1e9:.0f}", f"{best / ceiling:.2f}")
    console = Console(width=100)
    console.print(table)
    console.print(f"memory copies at {memory / 2**30:.1f} GiB/s")
    name = args.backbone.split("/")[-1]
    out = args.out or RESULTS / f"roofline-{name}-{args.device}-{args.precision}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main()
