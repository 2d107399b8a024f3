"""Whole searches with real Ray, real MLflow and real interruptions, on the embedded backbone and a tiny own task."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.store.predictions import read_predictions
from orchestrator.summarizer.results.mlflow_searches import read_store
from trials import Engine, TrialConfig, describe, get_task, load_adapter, load_backbone, prepare

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SPACE = """
about: four configurations of a few steps
settings: {steps: STEPS, eval_every: 2, batch_size: 4, warmup_steps: 1}
grids:
  adept: {prompt_lr: [0.1, 0.3], mlp_lr: [1e-2, 1e-3], prompt_length: 4, bottleneck: 2}
  lora: {lr: [1e-2, 1e-3], rank: 2}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {split: f"{split}.csv" for split in ("train", "validation", "test")}
    for first, file in enumerate(files.values()):
        with (tmp_path / file).open("w") as stream:
            rows = [[f"{word} number {first * 16 + i}", word] for i in range(16) for word in ("game", "mail")]
            csv.writer(stream).writerows([["text", "kind"], *rows])
    task = {"name": "toy", "template": "{text}", "label_column": "kind", "files": files}
    (tmp_path / "toy.yaml").write_text(json.dumps(task))
    return tmp_path


def start(folder: Path, *more: str, steps: int = 8) -> subprocess.Popen[str]:
    (folder / "space.yaml").write_text(SPACE.replace("STEPS", str(steps)))
    command = [sys.executable, str(ROOT / "orchestrator" / "search.py"), "--task", "toy.yaml"]
    command += ["--backbone", "t5-nano", "--space", "space.yaml", "--name", "toy", *more]
    environment = {**os.environ, "RAY_ADDRESS": "local", "RAY_AUTH_MODE": "disabled", "ADEPT_CACHE": str(folder / "c")}
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == code, output
    assert "Traceback" not in output, output
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


def record(folder: Path) -> dict:
    return json.loads((folder / "runs" / "toy" / "search.json").read_text())


def assert_whole(folder: Path) -> None:
    """What every finished search leaves behind, however it got there."""
    saved = record(folder)
    assert [t["status"] in ("finished", "stopped early") for t in saved["trials"]] == [True] * 4
    assert saved["test"]["n"] == 32 and saved["test"]["one_example"] > 0
    client, parent, trials = runs(folder)
    assert sorted(trials) == ["1", "2", "3", "4"]
    assert {run.info.status for run in [parent, *trials.values()]} == {"FINISHED"}
    for trial in saved["trials"]:
        run = trials[str(trial["number"])]
        assert run.data.tags["status"] == trial["status"]
        points = client.get_metric_history(run.info.run_id, "validation/accuracy")
        assert sorted(p.step for p in points) == sorted({r["step"] for r in trial["reports"]})
        assert run.data.params["prompt_lr"] == str(trial["configuration"]["prompt_lr"])
    adapter = folder / "runs" / "toy" / "best_adapter"
    assert set(load_adapter(adapter).predict(["game number 3", "mail number 5"])) <= {"0", "1", ""} | {
        str(i) for i in range(10)
    }


def test_one_command_gives_the_table_the_adapter_and_the_experiment(folder: Path) -> None:
    output = finish(start(folder))
    assert_whole(folder)
    assert "Winner" in output and "Test" in output and "load_adapter" in output
    assert "WARNING" not in output and "Warning" not in output
    here = folder / "runs" / "toy"
    assert "| 1" in (here / "summary.md").read_text()
    page = (here / "report.html").read_text()
    assert "read once" in page and '<section id="data"' in page
    assert "\ndata: train: " in output and record(folder)["data_report"]["splits"]["test"]["rows"] == 32
    with (here / "summary.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 4
    client, parent, trials = runs(folder)
    winner = trials[str(record(folder)["test"]["trial_number"])]
    names = {a.path for a in client.list_artifacts(winner.info.run_id, "adapter")}
    assert names == {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"}
    assert {"recipe", "split_seed", "data_fingerprint", "backbone_revision"} <= parent.data.tags.keys()
    assert parent.data.metrics["test/n"] == 32
    assert parent.data.tags["finding"] in ("learnt", "not confirmed", "tie", "nothing learnt")
    assert parent.data.tags["finding.headline"] in (here / "summary.md").read_text().replace("\\", "")
    given = read_predictions(here / "predictions.parquet")[record(folder)["test"]["trial_number"]]
    right = sum(one == gold for one, gold in zip(given.given, given.gold, strict=True))
    assert 100.0 * right / 32 == record(folder)["test"]["score"]
    (kept,) = read_store(f"sqlite:///{folder / 'mlflow.db'}").searches
    assert kept.answers == given

    before = time.monotonic()
    (here / ".summary.tex.0123.tmp").write_text("a kill came as the table was written")
    again = finish(start(folder))
    assert "is finished" in again and "Winner" in again
    assert not list(here.glob(".*.tmp"))
    assert time.monotonic() - before < 30
    assert "another steps" not in again
    refused = finish(start(folder, steps=10), code=2)
    assert "another trials" in refused or "another" in refused


def test_a_trial_reports_what_it_would_report_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADEPT_CACHE", str(folder / "c"))
    finish(start(folder, "--scheduler", "none", "--slots", "4"))
    backbone, task = load_backbone("t5-nano"), get_task(str(folder / "toy.yaml"))
    data = prepare(task, backbone.tokenizer, architecture=backbone.facts.architecture)
    engine = Engine(backbone, data)
    for trial in record(folder)["trials"]:
        engine.start("alone", TrialConfig("adept", trial["configuration"], 8, 2, batch_size=4, warmup_steps=1))
        for report in trial["reports"]:
            alone = engine.next_report("alone").as_dict()
            assert report["step"] == alone["step"]
            assert report["train/loss"] == pytest.approx(alone["train/loss"], rel=1e-4)
            assert report["score"] == pytest.approx(alone["score"], abs=100 / 32)  # one example
        engine.stop("alone")


def test_ctrl_c_keeps_everything_and_the_same_command_goes_on(folder: Path) -> None:
    process = start(folder, steps=60)
    wait_for(process, "new best")
    process.send_signal(signal.SIGINT)
    output = finish(process, code=130)
    assert f"Go on with the same command, or: adept-search resume toy --output {folder / 'runs'}" in output
    _, parent, trials = runs(folder)
    assert {run.info.status for run in [parent, *trials.values()]} <= {"KILLED", "FINISHED"}
    whole = (folder / "train.csv").read_bytes()
    (folder / "train.csv").write_bytes(whole + b"one row more,game\r\n")
    assert "train: train.csv (was " in finish(start(folder, steps=60), code=2)
    (folder / "train.csv").write_bytes(whole)
    finish(start(folder, steps=60))
    assert_whole(folder)


def test_a_killed_driver_is_resumed_by_name_alone(folder: Path) -> None:
    process = start(folder, steps=60)
    wait_for(process, "new best")
    time.sleep(3)
    process.kill()
    process.communicate()
    command = [sys.executable, "-m", "orchestrator", "search", "--resume", "--name", "toy"]
    environment = {**os.environ, "RAY_ADDRESS": "local", "RAY_AUTH_MODE": "disabled", "ADEPT_CACHE": str(folder / "c")}
    resumed = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    finish(resumed)
    assert_whole(folder)


def test_a_method_inside_the_backbone_is_searched_stopped_and_resumed(folder: Path) -> None:
    process = start(folder, "--method", "lora", steps=40)
    wait_for(process, "new best")
    process.send_signal(signal.SIGINT)
    finish(process, code=130)
    output = finish(start(folder, "--method", "lora", steps=40))
    assert "1 slot(s) each" in output and "Winner" in output
    saved = record(folder)
    assert saved["method"] == "lora" and saved["test"]["n"] == 32
    assert [trial["status"] in ("finished", "stopped early") for trial in saved["trials"]] == [True] * 2
    # t5-nano: 8 attentions, two weights of each, factors of rank 2
    facts = describe("t5-nano")
    assert set(saved["parameters"].values()) == {16 * 2 * (facts.width + facts.inner)}
    adapter = load_adapter(folder / "runs" / "toy" / "best_adapter")
    assert adapter.description["peft_type"] == "LORA"
    assert len(adapter.predict(["game number 3", "mail number 5"])) == 2
