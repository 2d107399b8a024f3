"""A tiny own task, four configurations of a few steps, and the command that searches them."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

ROOT = Path(__file__).parents[3]
SPACE = """
about: four configurations of a few steps
settings: {steps: STEPS, eval_every: 2, batch_size: 4, warmup_steps: 1}
grids:
  adept: {prompt_lr: [0.1, 0.3], mlp_lr: [1e-2, 1e-3], prompt_length: 4, bottleneck: 2}
  lora: {lr: [1e-2, 1e-3], rank: 2}
"""


def make_task(folder: Path, database: Path) -> Path:
    """The task and a database of MLflow in a folder, which is returned."""
    files = {split: f"{split}.csv" for split in ("train", "validation", "test")}
    for first, file in enumerate(files.values()):
        with (folder / file).open("w") as stream:
            rows = [[f"{word} number {first * 16 + i}", word] for i in range(16) for word in ("game", "mail")]
            csv.writer(stream).writerows([["text", "kind"], *rows])
    task = {"name": "toy", "template": "{text}", "label_column": "kind", "files": files}
    (folder / "toy.yaml").write_text(json.dumps(task))
    shutil.copy(database, folder / "mlflow.db")
    return folder


NUMBERS = ("--precision", "float32")
"""What these tests compare comes the same on every machine."""


def write_space(folder: Path, steps: int) -> None:
    (folder / "space.yaml").write_text(SPACE.replace("STEPS", str(steps)))


def arguments(*more: str) -> list[str]:
    return ["--task", "toy.yaml", "--backbone", "t5-nano", "--space", "space.yaml", "--name", "toy", *NUMBERS, *more]


def start(folder: Path, ray: str, *more: str, steps: int = 8) -> subprocess.Popen[str]:
    """A search in a process of its own, on the Ray at an address."""
    write_space(folder, steps)
    environment = {**os.environ, "RAY_ADDRESS": ray, "RAY_AUTH_MODE": "disabled", "ADEPT_CACHE": str(folder / "c")}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "orchestrator" / "search.py"), *arguments(*more)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=400)
    assert process.returncode == code, output
    assert not any(word in output for word in ("Traceback", "WARNING", "Warning")), output
    return output


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"the search ended without saying {words!r}")


def runs(folder: Path) -> tuple[MlflowClient, Run, dict[str, Run]]:
    """The search's parent run and its trials by number."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    trials = {run.data.tags["trial"]: run for run in found if run is not parents[0]}
    assert len(trials) == len(found) - 1, "a trial has two runs"
    return client, parents[0], trials


def record(folder: Path, name: str = "toy") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "runs" / name / "search.json").read_text())
    return found
