"""What engines that stay loaded save each search of a sweep: seconds from its engines' start until they can train.

    python -m benchmarks.handover

Searches one after the other on one Ray, two tasks by turns, first with engines of their own, which end with each
search, then with engines that the next search takes over: their processes, libraries and backbone stay, the task's data
are its own. Data are tokenised before, as a search does that itself. Writes ``benchmarks/results/handover.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.overhead import RESULTS, plan_of
from orchestrator.plan.data import prepare_data
from orchestrator.plan.plan import Plan
from orchestrator.quiet import silence_libraries

TASKS = ("debsec", "debmatch")


def seconds_to_load(plans: list[Plan], *, stay: bool) -> list[float]:
    """Of each plan's engines, one search after the other."""
    from orchestrator.engines.kept import KeptEngines
    from orchestrator.engines.pool import EnginePool

    kept, taken = KeptEngines() if stay else None, []
    for plan in plans:
        pool = EnginePool(plan, kept=kept)
        started = time.perf_counter()
        pool.start(plan.count)
        taken.append(time.perf_counter() - started)
        pool.close()
    if kept is not None:
        kept.close()
    return taken


def main() -> None:
    """Measure both, print them side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="t5-nano")
    parser.add_argument("--devices", type=int, default=1, metavar="N")
    parser.add_argument("--searches", type=int, default=6, metavar="N", help="of either kind")
    chosen = parser.parse_args()
    silence_libraries()
    from orchestrator.tune import cluster

    with tempfile.TemporaryDirectory(prefix="handover-") as folder:
        options = {"backbone": chosen.backbone, "devices": chosen.devices}
        plans = [
            plan_of(8, 4, 1, Path(folder), name=f"search-{number}", task=TASKS[number % len(TASKS)], **options)
            for number in range(chosen.searches)
        ]
        for plan in plans[: len(TASKS)]:
            prepare_data(plan)
        cluster.connect(debug=False)
        seconds_to_load(plans[:1], stay=False)  # the first engine of a Ray waits for what Ray starts once
        apart, handed = seconds_to_load(plans, stay=False), seconds_to_load(plans, stay=True)
    rows = {"engines of its own": apart, "engines taken over": handed[1:]}
    table = Table("a search with", "searches", "median s", "least s", "most s")
    for name, values in rows.items():
        figures = [f"{value:.1f}" for value in (statistics.median(values), min(values), max(values))]
        table.add_row(name, str(len(values)), *figures)
    Console().print(table)
    facts = {"cores": os.cpu_count(), "load": os.getloadavg(), "ray": version("ray"), "torch": version("torch")}
    RESULTS.mkdir(exist_ok=True)
    found = {"machine": facts, "backbone": chosen.backbone, "devices": chosen.devices, "seconds_to_load": rows}
    (RESULTS / "handover.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
