"""Searches with a test score that a test chooses: four trials of five reports, the second one stopped early."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.record.record import SearchRecord, TestResult
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.saved_searches import FoundSearches
from tests.orchestrator.made_records import make_record, make_trial


def searched(
    score: float | None = 80.0,
    task: str = "rte",
    method: str = "adept",
    seed: int = 42,
    day: int = 1,
    n: int = 139,
    metrics: Mapping[str, float] | None = None,
    **fields: Any,
) -> FoundSearch:
    """A search whose winner has this test score; None: the test split was not read."""
    trials = [
        make_trial(1, [50.0, 60.0, 70.0, 75.0, 78.0]),
        make_trial(2, [45.0, 50.0], "stopped early", reason="rank 4 of 4 at step 2,000"),
        make_trial(3, [48.0, 55.0, 62.0, 66.0, 70.0]),
        make_trial(4, [40.0, 50.0, 60.0, 61.0, 62.0]),
    ]
    given: dict[str, Any] = {
        "name": f"{task}-{method}-{seed}",
        "task": task,
        "method": method,
        "parameters": {number: 76_000 + number for number in range(1, 5)},
        "wall_seconds": 120.0,
        "provenance": {"command": f"search.py --task {task} --method {method} --seed {seed} --data-dir data"},
        **fields,
    }
    record = make_record(*given.pop("trials", trials), **given)
    for trial in record.trials:
        trial.seed = seed
        trial.trial_id = f"{record.name}-{day}-{trial.number}"
    if score is not None:
        values = dict(metrics or {record.metric: score})
        record.test = TestResult(1, score, values, n, 100.0 / n if n else float("nan"), 5_000)
    return FoundSearch(record, datetime(2026, 3, day, tzinfo=UTC), f"runs/{record.name}/search.json")


def sweep(seeds: Iterable[int] = (42, 43, 44), noise: float = 1.0) -> list[FoundSearch]:
    """Four tasks by three methods: adept is 2 points above dept and 12 above pt, on every task."""
    dice = random.Random(7)
    levels = {"rte": 78.0, "boolq": 76.0, "sst2": 92.0, "own task": 60.0}
    gains = {"adept": 2.0, "dept": 0.0, "pt": -10.0}
    return [
        searched(level + gain + dice.gauss(0, noise), task, method, seed, n=400)
        for task, level in levels.items()
        for method, gain in gains.items()
        for seed in seeds
    ]


def found(*searches: FoundSearch) -> FoundSearches:
    """As if these had been read."""
    return FoundSearches(tuple(searches))


def long_search(trials: int) -> SearchRecord:
    """A search of so many trials."""
    dice = random.Random(3)
    made = [
        make_trial(
            number,
            [50.0 + dice.random() * step for step in range(1, 6 if number % 3 else 3)],
            "finished" if number % 3 else "stopped early",
            configuration={"prompt_lr": 0.3 / number, "prompt_length": number % 80},
        )
        for number in range(1, trials + 1)
    ]
    return searched(trials=made, parameters={number: 1_000 + number for number in range(1, trials + 1)}).record
