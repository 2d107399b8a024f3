"""A small real search, an MLflow server of its own, and how to start, kill and ask both."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import IO

import pyarrow.parquet

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "trials" / "embedded" / "debsec"
TASK = "chaos"  # also the experiment's name
ROWS = {"train": 64, "validation": 48, "test": 48}
WORDS = 12  # of a text
STEPS, EVERY = 24, 2
SPACE = f"""
about: six configurations of a few steps
settings: {{steps: {STEPS}, eval_every: {EVERY}, batch_size: 4, warmup_steps: 1}}
grids:
  adept: {{prompt_lr: [0.03, 0.1, 0.3], mlp_lr: [1e-2, 1e-3], prompt_length: 4, bottleneck: 2}}
"""
SHORT = SPACE.replace(f"steps: {STEPS}", f"steps: {STEPS // 2}").replace("[1e-2, 1e-3]", "1e-2")
"""Half of the configurations, each of half the steps: a quarter of the reports."""
MARK = "ADEPT_FAULTS"  # an environment variable that all processes of one search inherit
START_SECONDS = 300


def make_task(folder: Path, space: str | None = None) -> None:
    """A few rows of the embedded task, as an own task that is evaluated in a moment, and a space [`SPACE`]."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {split: f"{split}.csv" for split in ROWS}
    for split, file in files.items():
        rows = pyarrow.parquet.read_table(EMBEDDED / f"{split}.parquet").slice(0, ROWS[split]).to_pylist()
        with (folder / file).open("w", newline="") as stream:
            csv.writer(stream).writerows(
                [["text", "kind"], *([" ".join(row["text"].split()[:WORDS]), row["label_name"]] for row in rows)]
            )
    task = {"name": TASK, "template": "{text}", "label_column": "kind", "files": files}
    (folder / "task.yaml").write_text(json.dumps(task))
    (folder / "space.yaml").write_text(space or SPACE)


class Search:
    """One search by its command, started as often as needed.

    Args:
        folder: of the task; the search writes below it.
        more: further options.

    Attributes:
        arguments: of ``adept-search``.
        output: what all starts have printed.
    """

    def __init__(self, folder: Path, name: str, tracking_uri: str, more: tuple[str, ...] = ()) -> None:
        self.folder = folder / "runs" / name
        self.name = name
        self.tracking_uri = tracking_uri
        self.mark = uuid.uuid4().hex
        self.log = folder / f"{name}.log"
        self.starts = 0
        self.arguments = ["search", "--task", "task.yaml", "--backbone", "t5-nano", "--space", "space.yaml"]
        self.arguments += ["--name", name, "--precision", "float32", "--tracking-uri", tracking_uri]
        self.arguments += ["--devices", "1", "--max-concurrent", "3", *more]
        self.command = [sys.executable, str(ROOT / "orchestrator" / "search.py"), *self.arguments[1:]]
        self._working_folder = folder

    def start(self, ray: str = "local") -> subprocess.Popen[bytes]:
        """The driver, in a process group of its own, on a Ray of its own or at an address."""
        environment = {
            **os.environ,
            MARK: self.mark,
            "RAY_ADDRESS": ray,
            "RAY_AUTH_MODE": "disabled",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "ADEPT_CACHE": str(self._working_folder / "cache"),
        }
        self.starts += 1
        with self.log.open("ab") as log:
            log.write(f"--- start {self.starts}\n".encode())
            log.flush()
            return subprocess.Popen(
                self.command, cwd=self._working_folder, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def last_output(self) -> str:
        """What the latest start has printed."""
        return self.output.rpartition("--- start ")[2]


class Server:
    """An MLflow server on SQLite, in a process group of its own: it forks workers, and all must end."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.uri = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        # What `mlflow server --workers 1` starts when it has imported all of MLflow for itself.
        self.command = [sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(self.port)]
        self.command += ["mlflow.server.fastapi_app:app"]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def up(self) -> bool:
        return self.process is not None

    def begin(self) -> None:
        """Start it without waiting until it answers."""
        from mlflow import server

        options = {
            server.BACKEND_STORE_URI_ENV_VAR: f"sqlite:///{self.folder / 'mlflow.db'}",
            server.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
            server.ARTIFACTS_DESTINATION_ENV_VAR: str(self.folder / "artifacts"),
            server.SERVE_ARTIFACTS_ENV_VAR: "true",
        }
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self.folder.mkdir(parents=True, exist_ok=True)
        log: IO[bytes]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **options, **quiet},
                start_new_session=True,
                stdout=log,
                stderr=log,
            )

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        if self.process is None:
            self.begin()
        end = time.monotonic() + START_SECONDS
        while not self.answers():
            if time.monotonic() > end:
                log = (self.folder / "server.log").read_text()
                raise RuntimeError(f"the MLflow server did not start: {log[-2000:]}")
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether it could be used now: one that has just begun takes seconds to get there."""
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=10)
            self.process = None
