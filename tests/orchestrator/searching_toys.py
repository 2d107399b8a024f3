"""Whole searches with real Ray and toys in the engines."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from orchestrator.plan.plan import Plan
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.record.record import SearchRecord
from orchestrator.tune import runner
from orchestrator.tune.progress import Progress
from tests.orchestrator.toy_engine import build_toy


def toy_plan(folder: Path, rates: list[float], steps: int = 4, **options: object) -> Plan:
    """A search of a trial for each rate, which reports at every step unless ``eval_every`` says otherwise."""
    grid = {"prompt_lr": rates, "mlp_lr": 1e-3, "prompt_length": 4, "bottleneck": 2}
    settings = {"steps": steps, "eval_every": 1, "batch_size": 1, "warmup_steps": 0}
    file = folder / "space.yaml"
    file.write_text(json.dumps({"about": "a toy", "settings": settings, "grids": {"adept": grid}}))
    given = {"space": file, "output": folder, "name": "toy", "scheduler": "none", **options}
    made, problems = read_settings({key: str(value) for key, value in given.items()})
    return make_plan(made, problems)


def searched(plan: Plan, folder: Path) -> tuple[SearchRecord, str]:
    """Run a whole search; its record and what was shown."""
    record, shown = empty_record(), io.StringIO()
    search_with(plan, folder, record, shown)
    return record, shown.getvalue()


def search_with(plan: Plan, folder: Path, record: SearchRecord, shown: io.StringIO) -> None:
    """Run a whole search, with what it records and shows at hand though it raises."""
    with Progress(len(plan.trials), plan.steps, "accuracy", Console(file=shown, width=200)) as progress:
        search = runner.Search(plan, folder / "tune", progress, record, lambda: None, build_toy)
        try:
            search.fit()
        finally:
            search.pool.close()


def empty_record() -> SearchRecord:
    """A search's record before its first trial."""
    return SearchRecord(
        name="toy", task="debsec", method="adept", backbone="t5-nano", recipe="released_code", metric="accuracy"
    )
