"""LoRA trials one after another, each merged into the weights, against one pass with low-rank products of all.

    python -m benchmarks.batched_lora

An update of K trials, each with 16 rows of 64 tokens, three ways:

- ``merged``: for each trial B A is added to the weights, and its passes leave gradients of whole weights.
- ``one pass``: x W once for the rows of all trials, and (x A_k) B_k for those of trial k, K trials' tokens a pass.
- ``equal memory``: the same in passes of no more tokens than a trial's alone.

Measured are processor seconds (one thread; the least of several updates, the ways in turn, for other work on the
machine takes caches and clock) and the memory that an update needs beside the backbone. For an accelerator the kernels
of an update are counted on torch's device without numbers, on T5-base's shape: at 5 us each they are its floor.
Gradients of the three are compared. Writes benchmarks/results/batched_lora.json; rows of other settings stay in it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.kernels import LAUNCH
from benchmarks.launches import Launches, trials_without_numbers, without_numbers
from benchmarks.workload import MadeRows, backbone
from trials.backbones.loading import Backbone
from trials.batching.passes import PassCost
from trials.config import TrialConfig
from trials.memory import forget_peak, give_back, peak
from trials.methods.base.module import make_method
from trials.stack.step import Stack
from trials.trial import Trial

RESULTS = Path(__file__).with_name("results")
WAYS = ("merged", "one pass", "equal memory")
ROWS, LENGTH = 16, 64
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of glibc's mallopt


def config(rank: int, seed: int) -> TrialConfig:
    """A trial of a rank."""
    return TrialConfig("lora", {"lr": 1e-4, "rank": rank}, 1000, 100, seed=seed, batch_size=ROWS)


def made(on: Backbone, rank: int, count: int) -> list[Trial]:
    """Trials away from their start, where half of the gradients are zero."""
    found = []
    for seed in range(count):
        of = config(rank, seed)
        trial = Trial(of, make_method(of, on.surroundings(LENGTH)))
        for parameter in trial.method.parameters():
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
        found.append(trial)
    return found


def stacks(on: Backbone, way: str, count: int, rows: MadeRows) -> list[tuple[Stack, slice]]:
    """The stacks that an update takes, and which trials each holds."""
    most = ROWS * LENGTH * (count if way == "one pass" else 1)
    apart = [slice(k, k + 1) for k in range(count)] if way == "merged" else [slice(count)]
    return [(Stack(on, rows, PassCost(256, most, on.grain)), these) for these in apart]


def choose(on: Backbone, way: str) -> None:
    """Have LoRA share passes, or, as on the stock lane, not."""
    on.facts = replace(on.facts, lane="stock" if way == "merged" else "fast")


def update(on: Backbone, way: str, made_stacks: Sequence[tuple[Stack, slice]], trials: Sequence[Trial]) -> None:
    """One of each trial."""
    choose(on, way)
    for stack, these in made_stacks:
        stack.step(trials[these])


def gradients(on: Backbone, way: str, rank: int, count: int, rows: MadeRows) -> list[torch.Tensor]:
    """Of each trial, float64, all its parameters in one."""
    choose(on, way)
    trials, found = made(on, rank, count), []
    for stack, these in stacks(on, way, count, rows):
        (of_group,) = stack.gradients(trials[these])[1]
        found += list(torch.cat([g.flatten(1) for g in of_group.values()], dim=1).double())
    return found


def measured(on: Backbone, rank: int, count: int, repeats: int) -> dict[str, Any]:
    """Seconds, bytes and differences of each way, for K trials."""
    libc = ctypes.CDLL(None)
    libc.mallopt(MMAP_THRESHOLD, 1 << 30)  # as the engines of a search have it
    libc.mallopt(TRIM_THRESHOLD, (1 << 31) - 1)
    rows = MadeRows([LENGTH] * 4 * ROWS, len(on.embedding))
    trials = {way: made(on, rank, count) for way in WAYS}
    of = {way: stacks(on, way, count, rows) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(repeats + 1):
        for way in WAYS:
            started = time.process_time()
            update(on, way, of[way], trials[way])
            seconds[way].append(time.process_time() - started)
    libc.mallopt(MMAP_THRESHOLD, 1 << 16)  # what is free is the system's again, so that a peak is what is in use
    memory = {}
    for way in WAYS:
        give_back()
        forget_peak()
        before = peak()
        update(on, way, of[way], trials[way])
        memory[way] = peak() - before
    whole = {way: gradients(on, way, rank, count, rows) for way in WAYS}
    errors = {
        way: max(float((a - b).norm() / b.norm()) for a, b in zip(whole[way], whole["merged"], strict=True))
        for way in WAYS
    }
    return {
        way: {
            "seconds_a_trial_step": min(seconds[way][1:]) / count,
            "bytes": memory[way],
            "error": errors[way],
        }
        for way in WAYS
    }


def counted(rank: int, count: int, name: str = "t5-base") -> dict[str, dict[str, float]]:
    """Kernels of a trial-step on an accelerator, and the least milliseconds that launching them takes."""
    on = without_numbers(name, "bfloat16")
    rows = MadeRows([LENGTH] * 4 * ROWS, 8000)
    found = {}
    for way in WAYS[:2]:
        several = 1 if way == "merged" else count  # each of them launches the same
        trials = trials_without_numbers(on, [config(rank, seed) for seed in range(several)])
        of = stacks(on, way, several, rows)
        for _ in range(2):  # what is made once and kept counts not
            with Launches() as seen:
                update(on, way, of, trials)
        kernels = seen.total / several
        found[way] = {"kernels_a_trial_step": kernels, "floor_milliseconds": 1e3 * LAUNCH * kernels}
    return found


def _in_a_fork(name: str, rank: int, count: int, repeats: int, into: Any) -> None:
    torch.set_num_threads(1)
    into.put(measured(backbone(name, "float32", "cpu"), rank, count, repeats))


def write(out: Path, processor: Sequence[dict[str, Any]], accelerator: Sequence[dict[str, Any]]) -> None:
    """Put rows into a file, in the place of those of the same settings."""
    before = json.loads(out.read_text()) if out.exists() else {}
    whole: dict[str, Any] = {"rows": ROWS, "tokens": LENGTH, "torch": torch.__version__}
    for part, rows in (("processor", processor), ("accelerator", accelerator)):
        keys = ("backbone", "rank", "trials")
        now = {tuple(row.get(key, "") for key in keys): row for row in [*before.get(part, []), *rows]}
        whole[part] = [now[key] for key in sorted(now)]
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(whole, indent=1) + "\n")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["t5-nano", "t5-small-shape"])
    parser.add_argument("--ranks", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 4, 8], metavar="K")
    parser.add_argument("--repeats", type=int, default=3, help="updates of which the fastest counts")
    parser.add_argument("--out", type=Path, default=RESULTS / "batched_lora.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    fork = multiprocessing.get_context("fork")
    found: list[dict[str, Any]] = []
    table = Table("", "rank", "K", *(f"{way}: s" for way in WAYS), *(f"{way}: MiB" for way in WAYS), "error")
    for name in args.backbones:
        for rank in args.ranks:
            for count in args.counts:
                queue = fork.Queue()
                child = fork.Process(target=_in_a_fork, args=(name, rank, count, args.repeats, queue))
                child.start()
                row = queue.get()
                child.join()
                found.append({"backbone": name, "rank": rank, "trials": count, **row})
                table.add_row(
                    name, str(rank), str(count),
                    *(f"{row[way]['seconds_a_trial_step']:.3f}" for way in WAYS),
                    *(f"{row[way]['bytes'] / 2**20:.0f}" for way in WAYS),
                    f"{max(row[way]['error'] for way in WAYS):.0e}",
                )  # fmt: skip
    launches = [{"rank": rank, "trials": k, **counted(rank, k)} for rank in args.ranks for k in args.counts]
    of_launches = Table("t5-base, bfloat16", "K", *(f"{way}: kernels, ms" for way in WAYS[:2]))
    for row in launches:
        cells = (f"{row[w]['kernels_a_trial_step']:,.0f}, {row[w]['floor_milliseconds']:.1f}" for w in WAYS[:2])
        of_launches.add_row(f"rank {row['rank']}", str(row["trials"]), *cells)
    console = Console(width=140)
    console.print(table, of_launches)
    write(args.out, found, launches)
    print(args.out)


if __name__ == "__main__":
    main()
