"""Whole searches whose checkpoints are in a storage: none of them needs the folder that another machine had."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from orchestrator.plan.search_folder import checkpoints_of
from orchestrator.record.errors import StorageError
from orchestrator.record.record import SearchRecord
from orchestrator.store.paths import StoragePath
from orchestrator.tune import runner
from orchestrator.tune.progress import Progress
from tests.orchestrator.searching_toys import empty_record, toy_plan
from tests.orchestrator.toy_engine import build_toy

if TYPE_CHECKING:
    from orchestrator.plan.plan import Plan
    from tests.orchestrator.s3_server import S3

ROOT = Path(__file__).parents[3]
RATES = [0.1, 0.2, 0.3, 0.4]


def search(plan: Plan, folder: Path, record: SearchRecord, patience: float = 60.0) -> None:
    shown = io.StringIO()
    with Progress(len(plan.trials), plan.steps, "accuracy", Console(file=shown, width=200)) as progress:
        place = checkpoints_of(plan)
        assert isinstance(place, StoragePath)
        checkpoints = replace(place, patience=patience)
        made = runner.Search(plan, folder / "tune", progress, record, lambda: None, build_toy, checkpoints=checkpoints)
        try:
            made.fit()
        finally:
            made.pool.close()


def test_trials_keep_their_checkpoints_in_the_storage_and_a_short_absence_ends_nothing(
    ray_local: None, s3: S3, tmp_path: Path
) -> None:
    plan = toy_plan(tmp_path, RATES, steps=10, storage=s3.uri)
    record = empty_record()
    away = threading.Thread(target=be_away, args=(s3,))
    away.start()
    search(plan, tmp_path, record)
    away.join()
    assert {trial.status for trial in record.trials} == {"finished"}
    assert [[report["step"] for report in trial.reports] for trial in record.trials] == [list(range(1, 11))] * 4
    kept = {name.rpartition("/")[0] for name in s3.names() if name.endswith("training.json")}
    assert kept == {
        f"toy/tune/attempt-1/trial-{number}/checkpoint_step_{step:09d}" for number in range(1, 5) for step in (9, 10)
    }
    assert not list(tmp_path.rglob("training.json"))


def test_a_storage_that_stays_away_ends_the_search_and_no_trial_fails_for_it(
    ray_local: None, s3: S3, tmp_path: Path
) -> None:
    plan = toy_plan(tmp_path, RATES[:2], steps=30, storage=s3.uri)
    record = empty_record()
    away = threading.Thread(target=be_away, args=(s3, 60))
    away.start()
    with pytest.raises(StorageError, match=r"does not do what it is asked: s3://searches/here/toy.* the same command"):
        search(plan, tmp_path, record, patience=1.0)
    back.set()
    away.join()
    assert "failed" not in {trial.status for trial in record.trials}
    recorded = {trial.number: trial.step for trial in record.trials}
    search(plan, tmp_path, record)
    for trial in record.trials:
        steps = [report["step"] for report in trial.reports]
        assert steps == list(range(1, 31)) and trial.status == "finished"
    attempts = {name.split("/")[2] for name in s3.names() if "/attempt-" in name}
    assert attempts == {"attempt-1", "attempt-2"} and max(recorded.values()) < 30


back = threading.Event()


def be_away(s3: S3, seconds: float = 2.0) -> None:
    """For some seconds, or until `back`, when the first checkpoints are there."""
    while not s3.names():
        time.sleep(0.1)
    s3.stop()
    back.wait(seconds)
    back.clear()
    s3.start()


TASK = """
{name: toy, template: "{text}", label_column: kind,
 files: {train: train.csv, validation: validation.csv, test: test.csv}}
"""
SPACE = """
about: four configurations of a few steps
settings: {steps: 40, eval_every: 2, batch_size: 4, warmup_steps: 1}
grids:
  adept: {prompt_lr: [0.1, 0.3], mlp_lr: [1e-2, 1e-3], prompt_length: 4, bottleneck: 2}
"""


@pytest.mark.cluster
def test_a_head_that_is_lost_with_its_disk_is_followed_by_another(s3: S3, tmp_path: Path) -> None:
    alone = begin(tmp_path / "alone", s3.uri.replace("/here", "/alone"))
    expected = ended(alone, tmp_path / "alone")

    process = begin(tmp_path / "lost", s3.uri)
    wait_for(lambda: sum(name.endswith("reports.json") for name in s3.names()) >= 4)
    wait_for(lambda: "toy/mirror.json" in s3.names())
    time.sleep(3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not any("toy/best_adapter" in name for name in s3.names()), "it had ended before it was killed"
    shutil.rmtree(tmp_path / "lost" / "runs")

    another = begin(tmp_path / "another", s3.uri)
    found = ended(another, tmp_path / "another")
    assert found["trials"] == expected["trials"]
    assert found["test"] == expected["test"]
    shutil.rmtree(tmp_path / "another" / "runs")
    by_name = [sys.executable, "-m", "orchestrator", "resume", "toy", "--storage", s3.uri]
    output = finished(started(by_name, tmp_path / "another"))
    assert "is finished" in output and "Winner" in output
    assert (tmp_path / "another" / "runs" / "toy" / "best_adapter" / "adapter_config.json").exists()


def begin(folder: Path, uri: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    (folder / "space.yaml").write_text(SPACE)
    for split in ("train", "validation", "test"):
        rows = [f"{word} number {i} of {split},{word}" for i in range(16) for word in ("game", "mail")]
        (folder / f"{split}.csv").write_text("\n".join(["text,kind", *rows]))
    (folder / "toy.yaml").write_text(TASK)
    command = [sys.executable, str(ROOT / "orchestrator" / "search.py"), "--storage", uri, "--name", "toy"]
    command += ["--space", "space.yaml", "--task", "toy.yaml", "--backbone", "t5-nano", "--deterministic"]
    return started(command, folder)


def started(command: list[str], folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "RAY_ADDRESS": "local", "RAY_AUTH_MODE": "disabled"}
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def finished(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0 and "Traceback" not in output, output
    return output


def ended(process: subprocess.Popen[str], folder: Path) -> dict[str, object]:
    """What the record of a search says that must not depend on how often it was interrupted."""
    finished(process)
    record = json.loads((folder / "runs" / "toy" / "search.json").read_text())
    trials = {
        trial["number"]: (
            trial["status"],
            [(report["step"], report["score"], report["train/loss"]) for report in trial["reports"]],
        )
        for trial in record["trials"]
    }
    return {"trials": trials, "test": record["test"]["metrics"]}


def wait_for(condition: object, seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.2)
