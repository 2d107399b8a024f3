"""What the orchestration itself costs: searches of empty trials, whose engine reports at once and never loads torch.

    python -m benchmarks.overhead

Everything else is what every search goes through: Ray Tune, the engine pool, checkpoints, early stopping's journal, the
record, and MLflow on SQLite. Each number of trials has a driver of its own. Prints the seconds and the driver's memory
a trial, and how both grow; writes ``benchmarks/results/overhead.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import uuid
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from rich.console import Console
from rich.table import Table

from orchestrator.plan.engine_spec import EngineSpec
from orchestrator.plan.plan import Plan
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.quiet import silence_libraries
from orchestrator.record.record import SearchRecord
from orchestrator.tracking.tracker import End, Tracker
from orchestrator.tune.progress import Progress
from trials.config import Report, TrialConfig

if TYPE_CHECKING:
    from orchestrator.engines.actor import Build
    from orchestrator.tune.runner import Search

RESULTS = Path(__file__).parent / "results"
FILES = {"adapter/adapter_model.safetensors": 1_000, "training.safetensors": 1_000}  # bytes of a checkpoint
LAST_SHARE = 0.2  # of the trials, whose time is compared with the mean: what grows shows at the end


class NullEngine:
    """Holds trials and reports for them at once."""

    slots_to_fill, note = 4, ""

    def __init__(self) -> None:
        self.trials: dict[str, tuple[TrialConfig, int]] = {}
        self.waiting: dict[str, Report] = {}

    @property
    def busy(self) -> bool:
        """Whether a trial has no report."""
        return len(self.waiting) < len(self.trials)

    def start(self, trial_id: str, config: TrialConfig, checkpoint: Path | None = None) -> None:
        """Hold a trial."""
        step = json.loads((checkpoint / "training.json").read_text())["step"] if checkpoint else 0
        self.trials[trial_id] = config, step

    def stop(self, trial_id: str) -> None:
        """Let a trial go."""
        del self.trials[trial_id]
        self.waiting.pop(trial_id, None)

    def advance(self) -> list[str]:
        """A report for each trial that has none."""
        reported = [key for key in self.trials if key not in self.waiting]
        for key in reported:
            config, step = self.trials[key]
            step += config.eval_every
            score = 100 * math.modf(1e4 * float(config.hyperparameters["prompt_lr"]))[0] * step / config.steps
            self.trials[key] = config, step
            self.waiting[key] = Report(
                step=step, score=score, best_score=score, best_step=step, train_loss=1.0,
                validation={"accuracy": score}, learning_rates={"prompt": 0.1, "mlp": 0.01},
                status="running" if step < config.steps else "finished",
            )  # fmt: skip
        return reported

    def take(self, trial_id: str) -> Report | None:
        """A trial's report."""
        return self.waiting.pop(trial_id, None)

    def save(self, trial_id: str, folder: Path) -> None:
        """A checkpoint of the usual form."""
        for name, size in FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(bytes(size))
        (folder / "training.json").write_text(json.dumps({"step": self.trials[trial_id][1]}))


def null_engine(spec: EngineSpec, device: str) -> NullEngine:
    """What the pool is given in the place of `orchestrator.engines.build.build_engine`."""
    return NullEngine()


class TimedProgress(Progress):
    """Notes when trials end."""

    ends: list[float]

    def ended(self, *arguments: Any, **more: Any) -> None:
        """A trial ended."""
        super().ended(*arguments, **more)
        self.ends.append(time.perf_counter())


def plan_of(trials: int, steps: int, eval_every: int, folder: Path, **options: Any) -> Plan:
    """A search of so many configurations that need no data and teach nothing."""
    grid = {"prompt_lr": [round(1e-4 * (place + 1), 4) for place in range(trials)], "mlp_lr": 1e-3}
    space = {
        "about": "empty trials",
        "settings": {"steps": steps, "eval_every": eval_every, "batch_size": 1, "warmup_steps": 0},
        "grids": {"adept": {**grid, "prompt_length": 4, "bottleneck": 2}},
    }
    (folder / "space.yaml").write_text(json.dumps(space))  # JSON is YAML
    options |= {"space": folder / "space.yaml", "output": folder}
    settings, problems = read_settings({key: str(value) for key, value in options.items()})
    return make_plan(settings, problems)


def search_of(plan: Plan, folder: Path, tracker: Tracker, progress: Progress, build: Build) -> Search:
    """The search of a plan, tracked, with engines that somebody else makes."""
    from orchestrator.tune.runner import Search

    record = SearchRecord(
        name=plan.name,
        task=plan.task.name,
        method="adept",
        backbone=plan.facts.name,
        recipe="released_code",
        metric="accuracy",
        uid=uuid.uuid4().hex,
    )
    tracker.start(record)

    def keep() -> None:
        record.save(folder / "search.json")
        tracker.put(record)

    return Search(plan, folder / "tune", progress, record, keep, build)


def measure(trials: int, reports: int, scheduler: str) -> dict[str, Any]:
    """One search in this process, from the start of its engines to MLflow's last word."""
    silence_libraries()
    from orchestrator.tune import cluster

    driver = psutil.Process()
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        folder = Path(name)
        plan = plan_of(trials, reports, 1, folder, scheduler=scheduler, name="empty")
        with (folder / "log").open("w") as log, Tracker.open(f"sqlite:///{folder / 'mlflow.db'}", "empty") as tracker:
            progress = TimedProgress(trials, plan.steps, "accuracy", Console(file=log))
            progress.ends = []
            cluster.connect(debug=False)
            search = search_of(plan, folder, tracker, progress, null_engine)
            search.pool.start(trials)
            memory, started = driver.memory_info().rss, time.perf_counter()
            busy = -time.process_time()
            search.fit()
            trained = time.perf_counter()
            tracker.end(search.record, End())
            undelivered = tracker.close(600)
            ended = time.perf_counter()
            busy += time.process_time()
            grown = driver.memory_info().rss - memory
        record, ends = search.record, sorted(progress.ends)
        if len(record.trials) != trials or any(len(t.reports) < 1 for t in record.trials) or undelivered:
            raise RuntimeError(f"the search is not whole: {len(record.trials)} trials; MLflow lacks {undelivered[:3]}")
    last = max(2, round(LAST_SHARE * trials))
    return {
        "trials": trials,
        "reports": sum(len(trial.reports) for trial in record.trials),
        "scheduler": scheduler,
        "seconds_to_first_end": ends[0] - started,
        "seconds_searching": trained - started,
        "seconds_of_tracking_after": ended - trained,
        "seconds_a_trial": (ended - started) / trials,
        "seconds_a_trial_at_the_end": (ends[-1] - ends[-last]) / (last - 1),
        "driver_cpu_seconds_a_trial": busy / trials,
        "driver_bytes_before": memory,
        "driver_bytes_grown": grown,
    }


def main() -> None:
    """Measure each number of trials in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 300, 1000], metavar="N")
    parser.add_argument("--reports", type=int, default=1, metavar="N", help="of each trial")
    parser.add_argument("--scheduler", default="promotion")
    parser.add_argument("--only", action="store_true", help="measure here, print JSON; used by the command itself")
    chosen = parser.parse_args()
    if chosen.only:
        print(json.dumps(measure(chosen.trials[0], chosen.reports, chosen.scheduler)))
        return
    console, rows = Console(), []
    more = ["--only", "--reports", str(chosen.reports), "--scheduler", chosen.scheduler]
    for trials in chosen.trials:
        command = [sys.executable, "-m", "benchmarks.overhead", "--trials", str(trials), *more]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[1])
        rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
    titles = ("s a trial", "s a trial at the end", "driver's CPU s a trial", "driver MB", "KB a trial")
    table = Table("trials", "reports", *titles)
    for row in rows:
        times = [
            f"{row[key]:.3f}" for key in ("seconds_a_trial", "seconds_a_trial_at_the_end", "driver_cpu_seconds_a_trial")
        ]
        memory = [f"{row['driver_bytes_before'] / 1e6:,.0f}", f"{row['driver_bytes_grown'] / 1e3 / row['trials']:,.0f}"]
        table.add_row(f"{row['trials']:,}", f"{row['reports']:,}", *times, *memory)
    console.print(table)
    facts = {"cores": os.cpu_count(), "load": os.getloadavg(), "ray": version("ray"), "mlflow": version("mlflow")}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "overhead.json").write_text(json.dumps({"machine": facts, "searches": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
