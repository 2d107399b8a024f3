"""How fast and how faithfully a search is written to MLflow: made-up trials through the project's own tracker.

    python -m benchmarks.tracking                          # SQLite in a temporary folder
    python -m benchmarks.tracking --uri http://HOST:5000   # a server; its user and password in the environment, as ever

Each trial has a run with its parameters, its reports, an adapter and an end. Nothing waits between them, so what is
measured is the writer alone. Then every run is read back and compared with the record: what is missing, what is
there twice, what differs. Prints runs a minute; writes ``benchmarks/results/tracking-NAME.json`` with ``--name``.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from rich.console import Console
from rich.table import Table

from orchestrator.quiet import silence_libraries
from orchestrator.record.provenance import describe_hardware
from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.tracking.pages import find_runs
from orchestrator.tracking.tracker import End, Tracker

RESULTS = Path(__file__).parent / "results"
LEARNING_RATES = {"learning_rate/prompt": 0.3, "learning_rate/mlp": 1e-3}


def report(trial: int, step: int) -> dict[str, Any]:
    """A report such as a trial makes: eight numbers, every one unlike those of other trials and steps."""
    score = 100 * math.modf(0.618 * trial + 0.01 * step)[0]
    return {
        "step": step, "score": score, "best_score": score, "best_step": step, "status": "running",
        "train_loss": 1 / (trial + step), "validation/accuracy": score, "validation/f1": score / 2, **LEARNING_RATES,
    }  # fmt: skip


def trained(name: str, trials: int, reports: int) -> SearchRecord:
    """The record of a search that has ended."""
    record = SearchRecord(
        name=name, task="benchmark", method="adept", backbone="t5-nano", recipe="", metric="accuracy", uid=name
    )
    for number in range(1, trials + 1):
        configuration = {"prompt_lr": 0.3, "mlp_lr": 1e-3, "prompt_length": number}
        made = [report(number, 100 * place) for place in range(1, reports + 1)]
        record.trials.append(TrialRecord(f"t{number}", number, configuration, 42, TrialStatus.FINISHED, made))
    return record


def write(uri: str | None, name: str, trials: int, reports: int, adapter: Path, folder: Path) -> dict[str, Any]:
    """Write a search; seconds until the store has everything, and what it did not take.

    Args:
        adapter: folder that is every trial's adapter.
        folder: where the artifacts and, without a URI, the store are.
    """
    store = uri or f"sqlite:///{folder / 'mlflow.db'}"
    tracker = Tracker.open(store, "benchmark", artifact_root=folder / "artifacts")
    record = trained(name, trials, reports)
    begun = time.perf_counter()
    tracker.start(record, {"task": "benchmark", "trials": trials}, find_adapter=lambda number: adapter)
    tracker.end(record, End(figures={"test/accuracy": 61.5}, winner={"prompt_length": 1}))
    handed = time.perf_counter() - begun
    left = tracker.close(timeout=1200.0)
    return {"handed_seconds": handed, "seconds": time.perf_counter() - begun, "left": len(left)}


def compare(uri: str, name: str, trials: int, reports: int) -> Mapping[str, int]:
    """What the store holds against the record: numbers of trials and of points of curves."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("benchmark")
    assert experiment is not None
    condition = f"tags.search = '{name}' AND tags.kind = 'trial'"
    found = list(find_runs(client, [experiment.experiment_id], condition))
    copies = Counter(int(run.data.tags["trial"]) for run in found)
    faults = Counter(
        runs_missing=sum(trial not in copies for trial in range(1, trials + 1)),
        runs_twice=sum(count - 1 for count in copies.values()),
        runs_not_ended=sum(run.info.status != "FINISHED" for run in found),
        points_wrong=0,
        adapters_missing=0,
    )
    for run in found:
        trial = int(run.data.tags["trial"])
        made = [(100 * place, report(trial, 100 * place)["score"]) for place in range(1, reports + 1)]
        kept = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "score")]
        faults["points_wrong"] += len(set(made) ^ set(kept)) + len(kept) - len(set(kept))
        faults["adapters_missing"] += not client.list_artifacts(run.info.run_id, "adapter")
    return faults


def main() -> None:
    """Run the benchmark and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--uri", help="tracking URI of a server or a database [SQLite in a temporary folder]")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--reports", type=int, default=16, help="reports a trial")
    parser.add_argument("--adapter-bytes", type=int, default=50_000)
    parser.add_argument("--name", help="keep the figures as benchmarks/results/tracking-NAME.json")
    given = parser.parse_args()
    silence_libraries()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        adapter = folder / "adapter"
        adapter.mkdir()
        (adapter / "adapter_model.safetensors").write_bytes(bytes(given.adapter_bytes))
        (adapter / "adapter_config.json").write_text("{}")
        name = f"tracking-{time.time_ns()}"
        figures = write(given.uri, name, given.trials, given.reports, adapter, folder)
        uri = given.uri or f"sqlite:///{folder / 'mlflow.db'}"
        figures |= compare(uri, name, given.trials, given.reports)
    figures |= {"trials": given.trials, "reports": given.reports, "adapter_bytes": given.adapter_bytes}
    figures["runs_a_minute"] = round(60 * given.trials / figures["seconds"], 1)
    table = Table("", "", title=given.name or "", show_header=False)
    for key, value in figures.items():
        table.add_row(key.replace("_", " "), f"{value:,.4g}" if isinstance(value, float) else f"{value:,}")
    Console().print(table)
    if given.name:
        facts = {**figures, "mlflow": version("mlflow"), **describe_hardware()}
        (RESULTS / f"tracking-{given.name}.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
