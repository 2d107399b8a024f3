"""``adept-search sweep``: messages, exit codes, and a small sweep that is killed, goes on and is taken over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from orchestrator.record.record import RECORD, SearchRecord
from orchestrator.store.lock import LOCK
from tests.commands import adept
from tests.orchestrator.typed_commands import typed

TINY = """
tasks: [debsec, debmatch]
methods: [pt]
backbones: [t5-nano]
options: {steps: 8, eval_every: 4, samples: 2, batch_size: 4, devices: 1, precision: float32}
"""


def test_the_plan_shows_each_search_and_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY + "time_limit: 2h\n")
    code, out, _ = typed("sweep", "tiny.yaml", "--plan", "--price", "2", "--output", "results")
    assert code == 0
    for text in ("debmatch", "debsec", "2 searches: 2 to run, 0 unchanged and taken over", "at 2 a device-hour"):
        assert text in out
    assert f"would write to {tmp_path / 'results' / 'tiny'}" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.yaml"]


def test_wrong_files_and_options_end_with_2_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY.replace("debmatch", "debmatsh").replace("pt", "ptt"))
    code, _, err = typed("sweep", "tiny.yaml")
    assert code == 2 and "tiny.yaml:2: tasks[1]: no task is called 'debmatsh' (did you mean 'debmatch'?)" in err
    assert "tiny.yaml:3: methods[0]: method 'ptt'" in err
    (tmp_path / "tiny.yaml").write_text(TINY)
    assert typed("sweep", "tiny.yaml", "--run", "a/b")[0] == 2
    assert typed("sweep", "tiny.yaml", "--price", "cheap", "--plan")[0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.yaml"]


def sweep(folder: Path, ray: str, *words: str) -> subprocess.Popen[str]:
    """In a process of its own, on the Ray at an address."""
    command = [sys.executable, "-m", "orchestrator", "sweep", "tiny.yaml", *words]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "RAY_ADDRESS": ray},
    )  # fmt: skip


def make_tasks(folder: Path) -> None:
    """Two own tasks of a few rows, `one.yaml` and `other.yaml`, and their sweep."""
    for name in ("one", "other"):
        files = {split: f"{name}-{split}.csv" for split in ("train", "validation", "test")}
        for split, file in files.items():
            rows = [f"{word} number {i} of {split},{word}" for i in range(16) for word in ("game", "mail")]
            (folder / file).write_text("\n".join(["text,kind", *rows]) + "\n")
        task = {"name": name, "template": "{text}", "label_column": "kind", "files": files}
        (folder / f"{name}.yaml").write_text(json.dumps(task))
    (folder / "tiny.yaml").write_text(TINY.replace("debsec, debmatch", "one.yaml, other.yaml"))


def state_of(folder: Path, run: str) -> dict[str, Any]:
    return json.loads((folder / "runs" / "tiny" / run / "sweep.json").read_text())


def trained(folder: Path) -> dict[str, list[tuple[int, str, int]]]:
    """What each search's record has of its trials, by the search's name: number, run and steps."""
    records = [SearchRecord.load(path) for path in folder.glob(f"runs/tiny/*/*/{RECORD}")]
    return {record.name: [(one.number, one.trial_id, one.step) for one in record.trials] for record in records}


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_the_next_run_takes_everything_over(
    ray_address: str, default_database: Path, tmp_path: Path
) -> None:
    make_tasks(tmp_path)
    first = sweep(tmp_path, ray_address, "--run", "one")
    until = time.monotonic() + 500
    try:
        while "finished" not in {one["status"] for one in _searches(tmp_path)} and time.monotonic() < until:
            assert first.poll() is None, first.communicate()[0]
            time.sleep(0.2)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    (done,) = [one for one in _searches(tmp_path) if one["status"] == "finished"]
    before = trained(tmp_path)[done["name"]]
    written = (Path(done["folder"]) / RECORD).stat().st_mtime_ns

    adept(tmp_path, "sweep", "tiny.yaml")  # the same command without a name: the run that was cut off
    state = state_of(tmp_path, "one")
    assert [one["status"] for one in state["searches"]] == ["finished"] * 2 and state["ended"]
    assert trained(tmp_path)[done["name"]] == before
    assert (Path(done["folder"]) / RECORD).stat().st_mtime_ns == written
    report = tmp_path / "runs" / "tiny" / "one" / "report"
    tasks = {row["task"] for row in json.loads((report / "summary.json").read_text())["searches"]}
    assert tasks == {"one", "other"} and (report / "report.html").is_file()

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'tiny'")
    runs = client.search_runs([experiment.experiment_id])
    (above,) = [run for run in runs if run.data.tags["kind"] == "sweep"]
    below = [run for run in runs if run.data.tags["kind"] == "search"]
    assert above.info.status == "FINISHED" and len(below) == 2
    assert {run.data.tags["mlflow.parentRunId"] for run in below} == {above.info.run_id}

    out = adept(tmp_path, "sweep", "tiny.yaml", "--run", "two")
    assert {one["status"] for one in state_of(tmp_path, "two")["searches"]} == {"taken over"}
    assert "unchanged since run one, taken over: one, pt on t5-nano" in " ".join(out.split())
    assert not list((tmp_path / "runs" / "tiny" / "two").glob(f"*/{RECORD}"))
    assert not (tmp_path / "runs" / "tiny" / LOCK).read_bytes()


def _searches(folder: Path) -> list[dict[str, Any]]:
    try:
        return state_of(folder, "one")["searches"]
    except FileNotFoundError:
        return []
