"""What the orchestration costs as trials and engines grow: real Ray actors, with engines that only pretend to train.

    python -m benchmarks.scale                                 # the table of docs/scale.md
    python -m benchmarks.scale --trials 1000 --engines 10

An engine is a Ray actor like any other search's, in a process of its own that never loads torch; an update of all its
trials takes ``--update`` seconds, in which it sleeps. So a machine with few cores holds many of them, as far as its
memory goes, and what a search takes longer than the updates alone is the orchestration's. Each search has a driver and
a Ray of its own. Writes ``benchmarks/results/scale.json``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.overhead import RESULTS, NullEngine, plan_of, search_of
from orchestrator.plan.engine_spec import EngineSpec
from orchestrator.quiet import silence_libraries
from orchestrator.tracking.tracker import End, Tracker
from orchestrator.tune.progress import Progress

REPORTS = 2  # of a trial
EVERY = 10  # updates between two of them
SEARCHES = ((100, 4), (300, 4), (100, 12), (1000, 4))  # trials and engines


class PretendingEngine(NullEngine):
    """Holds trials, and lets the time of an update pass for all of them together."""

    def __init__(self, slots: int, update: float) -> None:
        super().__init__()
        self.slots_to_fill = slots
        self.update = update

    def advance(self) -> list[str]:
        """All updates up to the next reports at once: those in between cost the orchestration nothing."""
        time.sleep(EVERY * self.update)
        return super().advance()


def pretending_engine(spec: EngineSpec, device: str) -> PretendingEngine:
    """What the pool is given in the place of `orchestrator.engines.build.build_engine`."""
    assert spec.slots is not None
    return PretendingEngine(spec.slots, float(os.environ["SCALE_UPDATE"]))


class TimedProgress(Progress):
    """Notes when the first report came."""

    first: float | None = None

    def reported(self, number: int, report: Any) -> None:
        """A trial reported."""
        super().reported(number, report)
        self.first = self.first or time.perf_counter()


def measure(trials: int, engines: int, slots: int, update: float) -> dict[str, Any]:
    """One search in this process, from the start of Ray to MLflow's last word."""
    silence_libraries()
    os.environ["SCALE_UPDATE"] = str(update)
    import ray

    from orchestrator.tune import cluster

    for key, value in (cluster.HOST_ENVIRONMENT | cluster.WORKER_ENVIRONMENT).items():
        os.environ.setdefault(key, value)
    begun = time.perf_counter()
    options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    ray.init(address="local", num_cpus=engines, **options)
    driver = psutil.Process()
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        few = {"devices": engines, "slots": slots, "memory_limit": 0.001}  # it is not for memory that they are few
        plan = plan_of(trials, EVERY * REPORTS, EVERY, folder, scheduler="none", name="scale", **few)
        with (folder / "log").open("w") as log, Tracker.open(f"sqlite:///{folder / 'mlflow.db'}", "scale") as tracker:
            progress = TimedProgress(trials, plan.steps, "accuracy", Console(file=log))
            search = search_of(plan, folder, tracker, progress, pretending_engine)
            search.pool.start(trials)
            loaded, memory, busy = time.perf_counter(), driver.memory_info().rss, -time.process_time()
            at_once = search.pool.at_once(trials)
            search.fit()
            trained = time.perf_counter()
            processes = uss_of_ray()
            tracker.end(search.record, End())
            undelivered = tracker.close(600)
            told = time.perf_counter()
            busy += time.process_time()
            grown = driver.memory_info().rss - memory
        record = search.record
        reports = [report for trial in record.trials for report in trial.reports]
        if len(record.trials) != trials or len(reports) != trials * REPORTS or undelivered or progress.first is None:
            raise RuntimeError(f"the search is not whole: {len(record.trials)} trials, {len(reports)} reports")
    alone = trials * REPORTS * EVERY * update / at_once
    return {
        "trials": trials,
        "engines": engines,
        "at_once": at_once,
        "seconds_to_engines": loaded - begun,
        "seconds_to_first_report": progress.first - loaded,
        "seconds_searching": trained - loaded,
        "seconds_of_updates_alone": alone,
        "overhead_seconds_a_trial": (trained - loaded - alone) / trials,
        "reports_a_second": len(reports) / (trained - loaded),
        "mlflow_values_a_second": sum(len(report) for report in reports) / (told - loaded),
        "driver_cpu_share": busy / (told - loaded),
        "driver_cpu_seconds_a_report": busy / len(reports),
        "driver_bytes_before": memory,
        "driver_bytes_a_trial": grown / trials,
        "bytes_of_an_engine": processes["EngineActor"],
        "bytes_of_a_trials_actor": processes["TrialActor"],
    }


def uss_of_ray() -> dict[str, float]:
    """Mean bytes that are a process's own, by the class of its actor."""
    found: dict[str, list[int]] = {"EngineActor": [], "TrialActor": []}
    titles = {"EngineActor": ("ray::EngineActor",), "TrialActor": ("ray::TrialActor", "ray::ResourceTrainable")}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            title = " ".join(process.cmdline()[:1])
            for name, sizes in found.items():
                if title.startswith(titles[name]):
                    sizes.append(process.memory_full_info().uss)
    return {name: sum(sizes) / len(sizes) if sizes else float("nan") for name, sizes in found.items()}


def main() -> None:
    """Measure each search in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, metavar="N")
    parser.add_argument("--engines", type=int, metavar="N")
    parser.add_argument("--slots", type=int, default=2, metavar="N", help="trials an engine holds")
    parser.add_argument("--update", type=float, default=0.05, metavar="SECONDS", help="of all trials of an engine")
    parser.add_argument("--only", action="store_true", help="measure here, print JSON; used by the command itself")
    chosen = parser.parse_args()
    if chosen.only:
        print(json.dumps(measure(chosen.trials, chosen.engines, chosen.slots, chosen.update)))
        return
    rows = []
    searches = ((chosen.trials or 100, chosen.engines or 4),) if chosen.trials or chosen.engines else SEARCHES
    for trials, engines in searches:
        command = [sys.executable, "-m", "benchmarks.scale", "--only", "--trials", str(trials)]
        command += ["--engines", str(engines), "--slots", str(chosen.slots), "--update", str(chosen.update)]
        load = os.getloadavg()[0]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[1])
        rows.append({**json.loads(done.stdout.strip().splitlines()[-1]), "load_before": load})
        Console().print(table_of(rows))
    facts = {"cores": os.cpu_count(), "ray": version("ray"), "mlflow": version("mlflow"), "update": chosen.update}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scale.json").write_text(json.dumps({"machine": facts, "searches": rows}, indent=1) + "\n")


def table_of(rows: list[dict[str, Any]]) -> Table:
    """For the terminal."""
    columns = {
        "trials": ("trials", 1, ",.0f"),
        "engines": ("engines", 1, ",.0f"),
        "at once": ("at_once", 1, ",.0f"),
        "first report s": ("seconds_to_first_report", 1, ".1f"),
        "overhead s a trial": ("overhead_seconds_a_trial", 1, ".3f"),
        "reports/s": ("reports_a_second", 1, ".1f"),
        "MLflow values/s": ("mlflow_values_a_second", 1, ",.0f"),
        "driver CPU": ("driver_cpu_share", 1, ".0%"),
        "ms a report": ("driver_cpu_seconds_a_report", 1e3, ".1f"),
        "driver KB a trial": ("driver_bytes_a_trial", 1e-3, ",.0f"),
        "load before": ("load_before", 1, ".1f"),
    }
    table = Table(*columns)
    for row in rows:
        table.add_row(*(format(factor * row[key], form) for key, factor, form in columns.values()))
    return table


if __name__ == "__main__":
    main()
