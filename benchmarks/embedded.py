"""What the embedded demo shows: ADePT against PT and the untrained backbone, the winner against its grid, and the time.

    python -m benchmarks.embedded --task debsec

Runs, one after another on this machine: the demo (`orchestrator/search.py`, with early stopping), the same grid without
early stopping, and PT's grid without it. Then every trial's best adapter is scored on the test split, which a search
itself never does, to see where the winner stands among all of them. About twenty minutes on two cores. Prints a table
and writes ``benchmarks/results/embedded-TASK.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.engines.build import build_engine, test_scores
from orchestrator.plan.engine_spec import EngineSpec
from orchestrator.record.record import SearchRecord
from orchestrator.record.selection import choose_winner
from orchestrator.store.checkpoints import adapter_files
from trials.config import TrialConfig
from trials.methods.base.module import make_method

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
RUNS = ROOT / "runs" / "benchmarks"


def search(task: str, name: str, *more: str) -> SearchRecord:
    """Run one search by the documented command (or take it up where it was left) and read its record."""
    command = [sys.executable, str(ROOT / "orchestrator" / "search.py"), "--task", task, "--name", f"{task}-{name}"]
    command += ["--precision", "float32"]  # as `engine_for` has it
    subprocess.run([*command, "--output", str(RUNS), *more], check=True, cwd=ROOT)
    return SearchRecord.load(RUNS / f"{task}-{name}" / "search.json")


@cache
def engine_for(task: str, backbone: str, max_source_length: int) -> Any:
    """The engine that scores a search's adapters."""
    return build_engine(
        EngineSpec(task=task, backbone=backbone, data_dir=None, max_source_length=max_source_length), "cpu"
    )


def engine_of(record: SearchRecord) -> Any:
    """The engine for what a search was about."""
    return engine_for(record.task, record.backbone, int(record.settings["max_source_length"]))


def on_test(record: SearchRecord) -> dict[int, float]:
    """The test score of every trial's best adapter, by trial number."""
    storage, engine = RUNS / record.name / "tune", engine_of(record)
    return {
        trial.number: test_scores(engine, adapter_files(storage, trial.number))["metrics"][record.metric]
        for trial in record.trials
    }


def untrained(record: SearchRecord) -> float:
    """The backbone's own answers on the test split: no prompt, no offset."""
    engine = engine_of(record)
    config = TrialConfig("pt", {"prompt_lr": 1.0, "prompt_length": 0}, steps=1, eval_every=1)
    method = make_method(config, engine.backbone.surroundings(engine.data.max_source_length))
    return engine.score(method, "test").metrics[record.metric]


def measure(task: str) -> dict[str, Any]:
    """Run everything; scores in percent, times in seconds."""
    demo = search(task, "demo")
    grid = search(task, "grid", "--scheduler", "none")
    pt = search(task, "pt", "--method", "pt", "--scheduler", "none")
    scores, pt_scores = on_test(grid), on_test(pt)
    winner, pt_winner = choose_winner(grid).winner, choose_winner(pt).winner
    if demo.test is None or winner is None or pt_winner is None:
        raise SystemExit("error: a search found no winner; see its table above")
    n = demo.test.n
    best = demo.test.score
    return {
        "task": task,
        "metric": demo.metric,
        "n_test": n,
        "standard_error": 100 * (best / 100 * (1 - best / 100) / n) ** 0.5,
        "majority": demo.majority["test"],
        "untrained_backbone": untrained(demo),
        "pt_winner": pt_scores[pt_winner.number],
        "pt_best_on_test": max(pt_scores.values()),
        "demo_winner": best,
        "grid_winner": scores[winner.number],
        "grid_median": statistics.median(scores.values()),
        "grid_on_test": scores,
        "pt_on_test": pt_scores,
        "demo_seconds": demo.wall_seconds,
        "grid_seconds": grid.wall_seconds,
        "demo_steps": sum(t.step for t in demo.trials),
        "grid_steps": sum(t.step for t in grid.trials),
        "settings": demo.settings,
        "versions": demo.provenance,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="debsec")
    task = parser.parse_args().task
    found = measure(task)
    table = Table("on test", "score", title=f"{task} on t5-nano, {found['metric']}, n = {found['n_test']}")
    for key in ("majority", "untrained_backbone", "pt_winner", "grid_median", "grid_winner", "demo_winner"):
        table.add_row(key.replace("_", " "), f"{found[key]:.1f}")
    console = Console()
    console.print(table)
    gap = found["demo_winner"] - found["grid_median"]
    above_pt = found["demo_winner"] - found["pt_winner"]
    ratio = found["grid_seconds"] / found["demo_seconds"]
    for line in (
        f"winner above the grid's median by {gap:.1f} points, {gap / found['standard_error']:.1f} standard errors; "
        f"above PT's winner by {above_pt:.1f}",
        f"demo {found['demo_seconds']:.0f} s and {found['demo_steps']:,} steps, whole grid "
        f"{found['grid_seconds']:.0f} s and {found['grid_steps']:,} steps: {ratio:.2f} times the time",
    ):
        console.print(line)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"embedded-{task}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
