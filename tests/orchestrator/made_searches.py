"""Searches as they really look, made from a seed: curves that rise and bloom late, rungs that stop most of them."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.record.record import SearchRecord, TestResult, TrialRecord
from orchestrator.record.selection import choose_winner
from orchestrator.record.status import TrialStatus

STEPS, EVERY, GRACE, ETA = 30_000, 1_000, 8_000, 3
VALIDATION, TEST = 138, 139
GRID: dict[str, Sequence[Any]] = {
    "prompt_lr": [0.3, 0.4, 0.5],
    "mlp_lr": [1e-4, 1e-5],
    "prompt_length": [20, 40, 60, 80],
}
BOTTLENECK = {20: 39, 40: 29, 60: 19, 80: 9}
PROVENANCE = {
    "data fingerprint": "d1cbe256eb54d102",
    "backbone revision": "5e0016d32b56936c",
    "git_commit": "cd42a33c2b962f37d3e1f20716f71168307a0d76-dirty",
    "version/ray": "2.60.0",
    "version/torch": "2.13.0",
    "python": "3.11.7",
    "cpu": "AMD EPYC, 2 cores",
    "command": "search.py --task rte --name 'my search'",
}


def made_search(
    task: str = "rte", method: str = "adept", seed: int = 42, level: float = 70.0, **fields: Any
) -> SearchRecord:
    """A search of the paper's 24 configurations for T5-base, with halving at 8,000 and 24,000 of 30,000 steps.

    Args:
        level: roughly where good trials end, in points.
    """
    configurations = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    for configuration in configurations:
        configuration["bottleneck"] = BOTTLENECK[configuration["prompt_length"]]
    return search_of(configurations, task, method, seed, level, **fields)


def search_of(
    configurations: Sequence[Mapping[str, Any]],
    task: str = "rte",
    method: str = "adept",
    seed: int = 42,
    level: float = 70.0,
    steps: int = STEPS,
    every: int = EVERY,
    **fields: Any,
) -> SearchRecord:
    """A search of these configurations; the good ones have a high prompt rate, then a high second rate."""
    dice = random.Random(f"{task} {method} {seed}")
    grace = max(every, steps * GRACE // STEPS // every * every)
    halving: dict[int, list[float]] = {step: [] for step in (grace, ETA * grace) if step < steps}
    trials = [
        _trial(number, configuration, seed, level, dice, halving, steps, every)
        for number, configuration in enumerate(configurations, 1)
    ]
    record = SearchRecord(
        name=f"{task}-{method}-seed{seed}",
        task=task,
        method=method,
        backbone="t5-base",
        recipe="released_code",
        metric="accuracy",
        settings={
            "steps": steps,
            "eval_every": every,
            "batch_size": 32,
            "scheduler": "asha",
            "grace_period": grace,
            "reduction_factor": 3,
        },
        parameters={trial.number: 76_000 + trial.number for trial in trials},
        sizes={"train": 2490, "validation": VALIDATION, "test": TEST},
        majority={"validation": 50.7, "test": 54.7},
        trials=trials,
        wall_seconds=9_000.0,
        provenance=dict(PROVENANCE),
        adapter=f"runs/{task}-{method}-seed{seed}/best_adapter",
        tracking_uri="http://user:secret@tracking.example:5000",
    )
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def with_test(record: SearchRecord, seed: int = 0) -> SearchRecord:
    """The record with its winner's test score: the validation score, less a little."""
    best = choose_winner(record).winner
    assert best is not None and best.best_score is not None
    right = round((best.best_score - random.Random(seed).uniform(0, 3)) / 100 * TEST)
    score = 100.0 * right / TEST
    record.test = TestResult(best.number, score, {"accuracy": score}, TEST, 100.0 / TEST, best.best_step or 0)
    return record


def made_sweep() -> list[SearchRecord]:
    """Four tasks, four methods, three seeds; one search is still running."""
    tasks = {"rte": 70.0, "cola": 62.0, "boolq": 78.0, "sst2": 90.0}
    gains = {"adept": 2.0, "dept": 0.5, "pt": -6.0, "lora": 1.5}
    small = [{"prompt_lr": rate, "mlp_lr": other} for rate in (0.3, 0.5) for other in (1e-4, 1e-5)]
    found = []
    for task, method, seed in itertools.product(tasks, gains, (42, 43, 44)):
        record = search_of(small, task, method, seed, tasks[task] + gains[method], 3_000, 500)
        unfinished = (task, method, seed) == ("sst2", "lora", 44)
        found.append(record if unfinished else with_test(record, seed))
    return found


def _trial(
    number: int,
    configuration: Mapping[str, Any],
    seed: int,
    level: float,
    dice: random.Random,
    halving: dict[int, list[float]],
    steps: int,
    every: int,
) -> TrialRecord:
    rate = next((float(v) for k, v in configuration.items() if k.endswith("_lr")), 0.3)
    other = [float(v) for k, v in configuration.items() if k.endswith("_lr")][1:]
    top = level - 40 * abs(math.log10(rate / 0.4)) + (2.5 * math.log10(other[0] / 1e-5) if other else 0)
    top += dice.gauss(0, 2)
    bloom = dice.uniform(0.03, 0.3) * steps
    trial = TrialRecord(f"t{seed}_{number:05d}", number, dict(configuration), seed, TrialStatus.FINISHED)
    best, best_step = -math.inf, 0
    for step in range(every, steps + 1, every):
        share = 0.0 if step < bloom else 1 - math.exp(-3.0 * (step - bloom) / (steps - bloom))
        score = 100 * round((50 + (top - 50) * share + dice.gauss(0, 1.2)) / 100 * VALIDATION) / VALIDATION
        if number == 11 and step > steps // 6:
            score = math.nan
        if math.isfinite(score) and score > best:
            best, best_step = score, step
        trial.reports.append({
            "step": step, "score": score, "best_score": best, "best_step": best_step, "seconds/train": 55.0,
            "seconds/evaluation": 4.0, "status": "running",
        })  # fmt: skip
        if not math.isfinite(score):
            trial.status, trial.reason = TrialStatus.DIVERGED, f"at step {step}: its score is not a number"
            return trial
        if step in halving:
            came = halving[step]
            came.append(best)
            rank = 1 + sum(earlier > best for earlier in came)
            if rank > math.ceil(len(came) / ETA):
                trial.status = TrialStatus.STOPPED_EARLY
                trial.reason = f"at step {step}: {best:.1f}, rank {rank} of {len(came)}"
                return trial
    return trial
