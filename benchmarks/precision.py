"""Does bfloat16 arithmetic in the frozen backbone change what trials reach? Scores of both precisions, side by side.

    python -m benchmarks.precision [--tasks debsec debmatch] [--seeds 3]

The same configurations and seeds are trained whole in float32 and in bfloat16 (prompts, offset networks and their
optimizer are float32 in both); their best validation scores are compared in pairs: mean difference with its standard
error, the rank correlation of the configurations, and whether both choose the same winner. Seconds are those of the
same stack in the same process, one precision after the other. Writes benchmarks/results/precision.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmarks.whole import train
from search_spaces import load_space
from trials.backbones.loading import load_backbone
from trials.backbones.precision import DTYPES, Precision
from trials.config import TrialConfig
from trials.data import prepare
from trials.engine import Engine
from trials.tasks import get_task

RESULTS = Path(__file__).with_name("results")
TOGETHER = 8


def curves(task: str, precision: Precision, configs: list[TrialConfig]) -> tuple[list[float], float]:
    """Best validation score of each configuration, and seconds of them all."""
    on = load_backbone("t5-nano", precision=precision)
    data = prepare(get_task(task), on.tokenizer, architecture=on.facts.architecture)
    engine = Engine(on, data, typical=configs[0])
    started = time.perf_counter()
    reports = train(engine, {str(i): config for i, config in enumerate(configs)}, TOGETHER)
    return [of_one[-1].best_score for of_one in reports.values()], time.perf_counter() - started


def main() -> None:
    """Train, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["debsec", "debmatch"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--trials", type=int, default=8, help="the first configurations of t5-nano's space")
    args = parser.parse_args()
    torch.set_num_threads(1)
    points = load_space("t5-nano", method="adept", d_model=256).configurations[: args.trials]
    table = Table("task", "trials", "bf16 - fp32", "SE", "rank corr.", "same winner", "fp32 s", "bf16 s", "ratio")
    found: dict[str, Any] = {"settings": vars(args)}
    for task in args.tasks:
        configs = [
            TrialConfig("adept", point, args.steps, max(1, args.steps // 4), seed=seed, batch_size=16, warmup_steps=20)
            for seed in range(args.seeds)
            for point in points
        ]
        scores: dict[str, np.ndarray] = {}
        seconds: dict[str, float] = {}
        for precision in DTYPES:
            best, seconds[precision] = curves(task, precision, configs)
            scores[precision] = np.array(best).reshape(args.seeds, -1)
        single, half = scores["float32"], scores["bfloat16"]
        difference = (half - single).ravel()
        error = float(difference.std(ddof=1) / len(difference) ** 0.5)
        rank = float(np.mean([stats.spearmanr(a, b).statistic for a, b in zip(single, half, strict=True)]))
        same = int((single.argmax(1) == half.argmax(1)).sum())
        found[task] = {
            "float32": single.tolist(),
            "bfloat16": half.tolist(),
            "difference": float(difference.mean()),
            "standard_error": error,
            "rank_correlation": rank,
            "same_winner": same,
            "seconds": seconds,
        }
        a, b = seconds["float32"], seconds["bfloat16"]
        table.add_row(
            task, str(len(difference)), f"{difference.mean():+.2f}", f"{error:.2f}", f"{rank:.2f}",
            f"{same} of {args.seeds}", f"{a:.0f}", f"{b:.0f}", f"{a / b:.2f}",
        )  # fmt: skip
    Console(width=110).print(table)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "precision.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
