"""Finished searches with real adapters, trained in this process: what a search leaves, without Ray."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.record.record import SearchRecord, TestResult, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.store.checkpoints import adapter_folder, keep, read_files, write_files
from orchestrator.store.layout import ADAPTER, OPTIONS, TUNE
from tests.faults.small_search import TASK
from trials import Engine, TrialConfig, get_task, load_backbone, prepare
from trials.engine import EngineSettings

STEPS, EVERY = 3, 3


def engine_of(home: Path) -> Engine:
    """Of the task in `tests.faults.small_search.make_task`'s folder, on t5-nano."""
    backbone = load_backbone("t5-nano")
    data = prepare(
        get_task(home / "task.yaml"), backbone.tokenizer, architecture=backbone.facts.architecture,
        cache_dir=home / "cache",
    )  # fmt: skip
    return Engine(backbone, data, EngineSettings(deterministic=True))


def train_search(
    engine: Engine, home: Path, method: str, configurations: Sequence[Mapping[str, Any]], name: str = ""
) -> SearchRecord:
    """Train each configuration, keep its checkpoint, test the best by validation: `home`/runs/NAME.

    The trial with the lowest number wins ties.
    """
    folder = home / "runs" / (name or method)
    trials = []
    for number, configuration in enumerate(configurations, 1):
        config = TrialConfig(
            method, dict(configuration), steps=STEPS, eval_every=EVERY, batch_size=4, warmup_steps=1, seed=42
        )
        engine.start("a", config)
        reports = [engine.next_report("a").as_dict() for _ in range(STEPS // EVERY)]
        with tempfile.TemporaryDirectory() as made:
            engine.save("a", Path(made))
            keep(folder / TUNE / "attempt-1" / f"trial-{number}", read_files(Path(made)), reports)
        engine.stop("a")
        trials.append(TrialRecord(f"t{number}", number, dict(configuration), 42, TrialStatus.FINISHED, reports))
    winner = max(trials, key=lambda trial: (trial.best_score or 0.0, -trial.number))
    best = adapter_folder(folder / TUNE, winner.number)
    assert isinstance(best, Path)
    write_files(folder / ADAPTER, read_files(best))
    from trials import load_adapter

    scored = engine.score(load_adapter(folder / ADAPTER, engine.backbone).method, "test")
    n = len(scored.targets)
    record = SearchRecord(
        name=name or method,
        task=TASK,
        method=method,
        backbone="t5-nano",
        recipe="released_code",
        metric="accuracy",
        settings={"steps": STEPS, "eval_every": EVERY, "batch_size": 4},
        sizes={"train": 64, "validation": 48, "test": n},
        parameters={trial.number: 1_000 + trial.number for trial in trials},
        trials=trials,
        test=TestResult(winner.number, scored.metrics["accuracy"], scored.metrics, n, 100.0 / n, winner.best_step or 0),
        provenance={
            "started": f"2026-03-0{1 + len(name or method) % 8}T10:00:00+00:00",
            "command": f"adept-search search --task {home / 'task.yaml'} --space space.yaml --steps {STEPS}",
        },
        adapter=str(folder / ADAPTER),
    )
    record.save(folder / "search.json")
    options = {"task": str(home / "task.yaml"), "backbone": "t5-nano", "method": method}
    (folder / OPTIONS).write_text(json.dumps(options))
    return record
