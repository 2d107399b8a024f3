"""Does bfloat16 arithmetic in the frozen backbone change what trials reach? Scores of both precisions, side by side.

    python -m benchmarks.precision [--tasks debsec debmatch] [--seeds 3]
    python -m benchmarks.precision --grids FLOAT32 BFLOAT16 [AGAIN]

The same configurations and seeds are trained whole in float32 and in bfloat16 (prompts, offset networks and their
optimizer are float32 in both); their best validation scores are compared in pairs: mean difference with its
interval, the rank correlation of the configurations, and whether both choose the same winner. Seconds are those of the
same stack in the same process, one precision after the other. The regret is what the winner of bfloat16 is below the
best of float32, in float32's own scores, in points, and its rank is the one that it has there; beside them stands what
float32's winner with another seed is, which is as good a choice as the method allows. With ``--grids``
nothing is trained: those grids are compared that `benchmarks.grids` has made in both precisions (``--precision``,
``--folder``), by the reports at steps that all have (``--eval-every``), and no times. A third folder has grids of
float32 once more that only round otherwise (``--together``): what changes by that changes with any machine. Writes
benchmarks/results/precision.json, or precision-grids.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmarks.units import with_units
from benchmarks.whole import train
from orchestrator.record.record import SearchRecord
from search_spaces import load_space
from trials.backbones.loading import load_backbone
from trials.backbones.precision import Precision
from trials.config import TrialConfig
from trials.data import prepare
from trials.engine import Engine
from trials.tasks import get_task

RESULTS = Path(__file__).with_name("results")
TOGETHER = 8
PAIR: tuple[Precision, Precision] = ("float32", "bfloat16")


def curves(task: str, precision: Precision, configs: list[TrialConfig]) -> tuple[list[float], float]:
    """Best validation score of each configuration, and seconds of them all."""
    on = load_backbone("t5-nano", precision=precision)
    data = prepare(get_task(task), on.tokenizer, architecture=on.facts.architecture)
    engine = Engine(on, data, typical=configs[0])
    started = time.perf_counter()
    reports = train(engine, {str(i): config for i, config in enumerate(configs)}, TOGETHER)
    return [of_one[-1].best_score for of_one in reports.values()], time.perf_counter() - started


def trained(task: str, args: argparse.Namespace) -> tuple[np.ndarray, dict[str, float]]:
    """Best scores in points, shape (precisions, seeds, configurations), and seconds by precision; trained now."""
    points = load_space("t5-nano", method="adept", d_model=256).configurations[: args.trials]
    configs = [
        TrialConfig("adept", point, args.steps, max(1, args.steps // 4), seed=seed, batch_size=16, warmup_steps=20)
        for seed in range(args.seeds)
        for point in points
    ]
    found = {precision: curves(task, precision, configs) for precision in PAIR}
    scores = np.array([best for best, _ in found.values()]).reshape(len(PAIR), args.seeds, -1)
    return scores, {precision: seconds for precision, (_, seconds) in found.items()}


def recorded(folders: Sequence[Path], precisions: Sequence[str] = PAIR) -> dict[str, np.ndarray]:
    """Task -> best scores, as `trained` has them, of the grids whose task and seed are in both folders.

    Raises:
        SystemExit: a folder's are not in its precision, none is in both, or two of the same task and seed have no
            configurations or no reports in common.
    """
    of: list[dict[str, SearchRecord]] = []
    for precision, folder in zip(precisions, folders, strict=True):
        of.append({file.parent.name: SearchRecord.load(file) for file in sorted(folder.glob("*/search.json"))})
        if wrong := [name for name, one in of[-1].items() if one.settings["precision"] != precision]:
            raise SystemExit(f"{folder}: not in {precision}: {', '.join(wrong)}")
    names = sorted(set.intersection(*map(set, of)))
    if not names:
        raise SystemExit(f"no grid is in both {folders[0]} and {folders[1]}")
    found: dict[str, list[list[list[float]]]] = {}
    for name in names:
        both = [grids[name] for grids in of]
        steps = set.intersection(*({int(r["step"]) for trial in one.trials for r in trial.reports} for one in both))
        if not steps or [t.configuration for t in both[0].trials] != [t.configuration for t in both[1].trials]:
            raise SystemExit(f"{name}: {folders[0]} and {folders[1]} have no reports or not the same trials in common")
        best = [[max(trial.score_at(step) or 0.0 for step in steps) for trial in one.trials] for one in both]
        found.setdefault(both[0].task, []).append(best)
    return {task: np.array(scores).swapaxes(0, 1) for task, scores in found.items()}


def compared(
    scores: np.ndarray, seconds: dict[str, float] | None = None, again: np.ndarray | None = None
) -> dict[str, Any]:
    """What differs between the precisions on one task.

    Args:
        scores: as `trained` has them. seconds: where both were trained side by side. again: float32's grids and the
            same ones once more, rounded otherwise.
    """
    single, half = scores
    difference = (half - single).ravel()
    mean, error = difference.mean(), difference.std(ddof=1) / len(difference) ** 0.5
    return {
        "float32": single.tolist(),
        "bfloat16": half.tolist(),
        "difference": float(mean),
        "standard_error": float(error),
        "interval_95": [float(mean + error * at) for at in stats.t.ppf([0.025, 0.975], len(difference) - 1)],
        "same_winner": int((single.argmax(1) == half.argmax(1)).sum()),
        **likeness(half, single),
        "other_seed": likeness(*np.array(list(permutations(single, 2))).swapaxes(0, 1)) if len(single) > 1 else None,
        "again": likeness(again[1], again[0]) if again is not None else None,
    } | ({"seconds": seconds} if seconds else {})


def likeness(chosen_by: np.ndarray, judged_by: np.ndarray) -> dict[str, Any]:
    """How well some grids, shape (grids, configurations), say what others of the same configurations will.

    Returns:
        ``mean`` and ``spread``, the standard deviation, of the differences of scores; the mean ``rank_correlation``,
        None where a grid's scores are all the same; and for each grid's winner its ``regret``, how far it is below the
        other grid's best in the other's scores, and its ``rank`` there.
    """
    chosen = np.take_along_axis(judged_by, chosen_by.argmax(1)[:, None], 1)
    told_apart = [(a, b) for a, b in zip(chosen_by, judged_by, strict=True) if np.ptp(a) and np.ptp(b)]
    correlations = [float(stats.spearmanr(a, b).statistic) for a, b in told_apart]
    return {
        "mean": float((chosen_by - judged_by).mean()),
        "spread": float((chosen_by - judged_by).std()),
        "rank_correlation": float(np.mean(correlations)) if correlations else None,
        "regret": (judged_by.max(1) - chosen[:, 0]).tolist(),
        "rank": (1 + (judged_by > chosen).sum(1)).tolist(),
    }


def main() -> None:
    """Train or read, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["debsec", "debmatch"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--trials", type=int, default=8, help="the first configurations of t5-nano's space")
    parser.add_argument(
        "--grids", nargs="+", type=Path, metavar="FOLDER", help="in float32, bfloat16, and float32 again"
    )
    args = parser.parse_args()
    if args.grids and len(args.grids) not in (2, 3):
        parser.error("--grids: two or three folders are meant")
    torch.set_num_threads(1)
    columns = ("trials", "difference", "95 % interval", "same winner", "spread", "rank corr.", "regret", "rank")
    table = Table("task", "grids", *columns, "seconds", "ratio")
    found: dict[str, Any]
    if args.grids:
        again = recorded([args.grids[0], args.grids[2]], ("float32", "float32")) if args.grids[2:] else {}
        measured = {task: compared(one, again=again.get(task)) for task, one in recorded(args.grids[:2]).items()}
        found = {"settings": {"grids": {task: len(one["float32"]) for task, one in measured.items()}}}
    else:
        if len(with_units(PAIR)) < len(PAIR):
            raise SystemExit(2)
        measured = {task: compared(*trained(task, args)) for task in args.tasks}
        found = {"settings": {key: value for key, value in vars(args).items() if key != "grids"}}
    found |= measured
    learnt = [one for one in measured.values() if one["rank_correlation"] is not None]
    if len(learnt) > 1:
        both = [np.concatenate([np.ravel(one[precision]) for one in learnt])[None] for precision in PAIR]
        all_pairs = compared(np.array(both))
        found["all_learnt"] = {key: all_pairs[key] for key in ("difference", "standard_error", "interval_95")}
    for task, one in measured.items():
        seeds = len(one["float32"])
        seconds = [one["seconds"][precision] for precision in PAIR] if "seconds" in one else []
        table.add_row(
            task, "bf16 - fp32", str(seeds * len(one["float32"][0])), f"{one['difference']:+.2f}",
            "{:+.2f} to {:+.2f}".format(*one["interval_95"]), f"{one['same_winner']} of {seeds}", *_cells(one),
            ", ".join(f"{each:.0f}" for each in seconds), f"{seconds[0] / seconds[1]:.2f}" if seconds else "",
        )  # fmt: skip
        for title, likened in (("fp32, other seed", one["other_seed"]), ("fp32, rounded otherwise", one["again"])):
            if likened:
                table.add_row("", title, "", f"{likened['mean']:+.2f}", "", "", *_cells(likened))
    learnt = [one for one in measured.values() if one["rank_correlation"] is not None]
    if len(learnt) > 1:
        both = [np.concatenate([np.ravel(one[precision]) for one in learnt])[None] for precision in PAIR]
        all_pairs = compared(np.array(both))
        found["all_learnt"] = {key: all_pairs[key] for key in ("difference", "standard_error", "interval_95")}
    Console(width=140).print(table)
    if overall := found.get("all_learnt"):
        print(
            "all that learn anything: {:+.2f}, {:+.2f} to {:+.2f}".format(
                overall["difference"], *overall["interval_95"]
            )
        )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"precision{'-grids' if args.grids else ''}.json").write_text(json.dumps(found, indent=1) + "\n")


def _cells(found: dict[str, Any]) -> list[str]:
    """Of `likeness`; regrets and ranks as their means."""
    correlation = found["rank_correlation"]
    means = (f"{np.mean(found[name]):.1f}" for name in ("regret", "rank"))
    return [f"{found['spread']:.1f}", "" if correlation is None else f"{correlation:.2f}", *means]


if __name__ == "__main__":
    main()
