"""Trial-steps a second and peak memory against the number of stacked trials, on rows of RTE's real lengths.

    python -m benchmarks.throughput                                        # t5-nano on one CPU core
    python -m benchmarks.throughput --backbone t5-base-shape --device cuda --batch-size 32

Each K runs in a process of its own, so that its peak memory is its own; the processes of K = 1 and of the largest K are
compared as "24 trials in one engine" against "24 processes". Writes benchmarks/results/throughput-BACKBONE.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results")


def one(args: argparse.Namespace) -> dict[str, float]:
    """Train K stacked trials for a while in this process."""
    import torch

    from benchmarks.workload import MadeRows, backbone, flops_per_token, rte_lengths, trials
    from trials.stack.devices import wait
    from trials.stack.measuring import measure
    from trials.stack.step import Stack

    torch.set_num_threads(args.threads)
    on = backbone(args.backbone, args.precision, args.device)
    vocabulary = len(on.embedding)
    stack = Stack(on, MadeRows(rte_lengths(), vocabulary))
    made = trials(on, args.one, args.batch_size)
    measured = measure(on, stack.train, made[0].config)
    stack.cost = measured.cost
    stack.step(made)
    steps, tokens = 0, 0.0
    best = float("inf")
    wait(on.device)
    begun = time.perf_counter()
    while time.perf_counter() - begun < args.seconds or steps < 2:
        started = time.perf_counter()
        rows = [len(stack.train.batch([i])[0][0]) for t in made for i in t.next_rows(len(stack.train))]
        prompts = sum(t.method.prompt_length * args.batch_size for t in made)
        stack.step(made)
        wait(on.device)
        best = min(best, time.perf_counter() - started)
        tokens += sum(rows) + prompts
        steps += 1
    seconds = time.perf_counter() - begun
    memory = torch.cuda.max_memory_allocated() if on.device.type == "cuda" else private_memory()
    return {
        "trials": args.one,
        "trial_steps_per_second": steps * args.one / seconds,
        "best_trial_steps_per_second": args.one / best,
        "real_tokens_per_second": tokens / seconds,
        "gflops_per_second": tokens * flops_per_token(on) / seconds / 1e9,
        "peak_memory_mib": memory / 2**20,
        "tokens_in_a_pass": measured.cost.most,
        "seconds": seconds,
    }


def private_memory() -> float:
    """Peak resident bytes of this process: what a process of its own costs."""
    import resource

    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Measure each K, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="t5-nano", help="t5-nano, a folder, or t5-small-shape and the like")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to train at each K")
    parser.add_argument("--stacks", type=int, nargs="+", default=[1, 2, 4, 8, 16, 24], metavar="K")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="JSON [benchmarks/results/throughput-BACKBONE-DEVICE-PRECISION.json]")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(args)))
        return
    found = []
    for k in args.stacks:
        command = [sys.executable, "-m", "benchmarks.throughput", *sys.argv[1:], "--one", str(k)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **MALLOC})
        found.append(json.loads(done.stdout.splitlines()[-1]))
        print(f"K = {k}: {found[-1]['trial_steps_per_second']:.2f} trial-steps a second", file=sys.stderr)
    first = found[0]
    title = f"{args.backbone}, {args.precision}, {args.device}, batch {args.batch_size}, RTE's lengths"
    table = Table(
        "K", "trial-steps/s", "against K = 1", "GFLOP/s", "peak MiB", "K processes' MiB", "ratio", title=title
    )
    for row in found:
        apart = first["peak_memory_mib"] * row["trials"] / first["trials"]
        table.add_row(
            str(row["trials"]),
            f"{row['trial_steps_per_second']:.2f}",
            f"{row['trial_steps_per_second'] / first['trial_steps_per_second']:.2f}",
            f"{row['gflops_per_second']:.0f}",
            f"{row['peak_memory_mib']:.0f}",
            f"{apart:.0f}",
            f"{row['peak_memory_mib'] / apart:.2f}",
        )
    Console(width=110).print(table)
    name = args.backbone.split("/")[-1]
    out = args.out or RESULTS / f"throughput-{name}-{args.device}-{args.precision}.json"
    out.parent.mkdir(exist_ok=True)
    settings = {key: value for key, value in vars(args).items() if key != "out"}
    out.write_text(json.dumps({"settings": settings, "stacks": found}, indent=1) + "\n")
    print(out)


MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(8 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}
"""As the engines of a search have it."""


if __name__ == "__main__":
    main()
