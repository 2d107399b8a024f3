"""Whole searches with real Ray, real MLflow and real interruptions, on the embedded backbone and a tiny own task."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from orchestrator.store.predictions import read_predictions
from orchestrator.summarizer.results.mlflow_searches import read_store
from orchestrator.tune import runner
from tests.commands import adept
from tests.orchestrator.run.toy_task import arguments, finish, make_task, record, runs, start, wait_for, write_space
from trials import Engine, TrialConfig, describe, get_task, load_adapter, load_backbone, prepare

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("engines_kept")]


@pytest.fixture(scope="module")
def finished(engines_kept: None, tmp_path_factory: pytest.TempPathFactory, fresh_database: Path) -> tuple[Path, str]:
    """A search: its folder, which each test leaves as it was, and its output."""
    folder = make_task(tmp_path_factory.mktemp("finished"), fresh_database)
    write_space(folder, steps=8)
    with pytest.MonkeyPatch.context() as patch:
        # Its first two trials learn late: whether the record is looked at just then must not be left to chance.
        patch.setattr(runner, "WRITTEN", 600.0)
        return folder, adept(folder, "search", *arguments(*ALONE, *FEW))


FEW = ("--devices", "1", "--max-concurrent", "2")  # each engine and each trial at a time is one more process
ALONE = ("--scheduler", "none", "--deterministic")


@pytest.fixture
def folder(tmp_path: Path, fresh_database: Path) -> Path:
    return make_task(tmp_path, fresh_database)


def assert_whole(folder: Path, trained: int = 4) -> None:
    """What every finished search leaves behind, however it got there."""
    saved = record(folder)
    assert [t["status"] in ("finished", "stopped early") for t in saved["trials"]] == [True] * trained
    assert saved["test"]["n"] == 32 and saved["test"]["one_example"] > 0
    client, parent, trials = runs(folder)
    assert sorted(trials) == [str(number) for number in range(1, trained + 1)]
    assert {run.info.status for run in [parent, *trials.values()]} == {"FINISHED"}
    for trial in saved["trials"]:
        run = trials[str(trial["number"])]
        assert run.data.tags["status"] == trial["status"]
        points = client.get_metric_history(run.info.run_id, "validation/accuracy")
        assert sorted(p.step for p in points) == sorted({r["step"] for r in trial["reports"]})
        assert all(run.data.params[name] == str(value) for name, value in trial["configuration"].items())
    given = read_predictions(folder / "runs" / "toy" / "predictions.parquet")[saved["test"]["trial_number"]]
    with (folder / "test.csv").open() as stream:
        rows = [row["text"] for row in csv.DictReader(stream)]
    assert load_adapter(folder / "runs" / "toy" / "best_adapter").predict(rows) == list(given.given)


def test_one_command_gives_the_table_the_adapter_and_the_experiment(finished: tuple[Path, str]) -> None:
    folder, output = finished
    assert_whole(folder)
    assert "Winner" in output and "Test" in output and "load_adapter" in output
    assert "nothing is learnt here" not in output
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


def test_a_finished_search_is_shown_again_and_is_no_search_of_more_steps(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    here = folder / "runs" / "toy"
    before = record(folder)["trials"]
    (here / ".summary.tex.0123.tmp").write_text("a kill came as the table was written")
    again = adept(folder, "search", *arguments(*ALONE))
    assert "is finished" in again and "Winner" in again
    assert not list(here.glob(".*.tmp")) and record(folder)["trials"] == before
    write_space(folder, steps=10)
    refused = adept(folder, "search", *arguments(*ALONE), code=2)
    write_space(folder, steps=8)
    assert 'then ["none", 8, 4], now ["none", 10, 4]), trials; put it back' in " ".join(refused.split())


def test_a_trial_reports_what_it_would_report_alone(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    backbone, task = load_backbone("t5-nano"), get_task(str(folder / "toy.yaml"))
    data = prepare(task, backbone.tokenizer, architecture=backbone.facts.architecture, cache_dir=folder / "c")
    engine = Engine(backbone, data)
    for trial in record(folder)["trials"]:
        engine.start("alone", TrialConfig("adept", trial["configuration"], 8, 2, batch_size=4, warmup_steps=1))
        for report in trial["reports"]:
            alone = engine.next_report("alone").as_dict()
            assert report["step"] == alone["step"]
            assert report["train/loss"] == pytest.approx(alone["train/loss"], rel=1e-4)
            assert report["score"] == pytest.approx(alone["score"], abs=100 / 32)  # one example
        engine.stop("alone")


def test_a_trial_is_verified_by_its_run_and_by_its_number(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    _, _, tracked = runs(folder)
    by_run = adept(folder, "verify", tracked["2"].info.run_id)
    assert "verified: 4 reports, every number the same to the last bit" in by_run
    file = folder / "runs" / "toy" / "search.json"
    whole = file.read_text()
    document = json.loads(whole)
    next(t for t in document["trials"] if t["number"] == 3)["reports"][1]["train/loss"] += 1e-6
    file.write_text(json.dumps(document))
    assert "NOT verified: the search was deterministic" in adept(folder, "verify", "toy/3", code=1)
    file.write_text(whole)
    assert "has no trial 9" in adept(folder, "verify", "toy/9", code=2)
    unknown = f"tyo: there is no such search in {folder / 'runs'} (did you mean 'toy'?)"
    assert unknown in " ".join(adept(folder, "verify", "tyo/1", code=2).split())


def test_a_searcher_learns_from_an_earlier_search_and_finished_trials_are_reused(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(finished[0], tmp_path / "copy"))
    (folder / "runs" / "toy").rename(folder / "runs" / "before")
    output = adept(folder, "search", *arguments(*ALONE, "--reuse", "--seeds", "2"))
    trials = {trial["number"]: trial for trial in record(folder)["trials"]}
    assert all(trials[n]["trial_id"].startswith("reused-") for n in range(1, 5))
    assert not trials[5]["trial_id"].startswith("reused-") and trials[5]["seed"] == 43
    assert "trained before, in search toy" in output

    (folder / "runs" / "toy").rename(folder / "runs" / "reused")
    proposed = ("--searcher", "tpe", "--samples", "3", "--scheduler", "median", "--warm-start", *FEW)
    output = adept(folder, "search", *arguments(*proposed, "--name", "learned"))
    assert "warm start: toy: 4 of its " in " ".join(output.split())
    learned = record(folder, "learned")
    rates = [trial["configuration"]["prompt_lr"] for trial in learned["trials"]]
    assert len(rates) == 3 and all(0.1 <= rate <= 0.3 for rate in rates) and len(set(rates)) == 3
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (search,) = client.search_runs(["1"], "tags.search = 'learned' AND tags.kind = 'search'")
    assert search.data.metrics["steps_trained"] == sum(trial["reports"][-1]["step"] for trial in learned["trials"])


def test_promotion_then_further_seeds_then_a_trial_again(folder: Path) -> None:
    write_space(folder, steps=8)
    options = (
        "--scheduler",
        "promotion",
        "--reduction-factor",
        "2",
        "--grace-period",
        "4",
        "--deterministic",
        *FEW,
        "--slots",
        "1",
    )
    adept(folder, "search", *arguments(*options))
    assert record(folder)["seed_tests"] == []
    first = by_number(folder)
    assert sorted(first) == [1, 2, 3, 4]
    assert {trial["status"] for trial in first.values()} == {"finished", "stopped early"}

    more = (*options, "--seeds", "2", "--top", "2")
    output = adept(folder, "search", *arguments(*more))
    assert "over 2 seeds (42: " in " ".join(output.split()) and "mean" in output
    trials = by_number(folder)
    assert {number: trial for number, trial in trials.items() if number <= 4} == first, "a trial was trained again"
    assert [(trials[n]["seed"], trials[n]["status"]) for n in (5, 6)] == [(43, "finished")] * 2
    saved = record(folder)
    tested = [saved["test"]["trial_number"], *(test["trial_number"] for test in saved["seed_tests"])]
    assert [trials[number]["seed"] for number in tested] == [42, 43]
    assert trials[tested[0]]["configuration"] == trials[tested[1]]["configuration"]
    assert "is finished" in adept(folder, "search", *arguments(*more))

    adept(folder, "resume", "toy", "--rerun", "5,2")
    again = by_number(folder)
    for number in (2, 5):
        assert again[number]["trial_id"] != trials[number]["trial_id"]
        assert [r["score"] for r in again[number]["reports"]] == [r["score"] for r in trials[number]["reports"]]
    client, parent, tracked = runs(folder)
    assert sorted(tracked) == ["1", "2", "3", "4", "5", "6"]
    assert {run.info.status for run in [parent, *tracked.values()]} == {"FINISHED"}
    assert parent.data.metrics["seeds"] == 2
    for name, run in tracked.items():
        points = client.get_metric_history(run.info.run_id, "score")
        assert sorted(point.step for point in points) == [r["step"] for r in again[int(name)]["reports"]]
    assert "no trial of search toy has failed" in adept(folder, "resume", "toy", "--rerun", "failed", code=2)


def test_a_search_stopped_from_another_terminal_keeps_everything_and_the_same_command_goes_on(
    ray_address: str, folder: Path
) -> None:
    process = start(folder, ray_address, *FEW, steps=24)
    wait_for(process, "new best")
    assert "adept-search resume toy" in " ".join(adept(folder, "stop", "toy").split())
    output = finish(process, code=130)
    assert f"Go on with the same command, or: adept-search resume toy --output {folder / 'runs'}" in output
    seen = adept(folder, "watch", "toy")
    assert "new best" in seen and "not running" in seen
    _, parent, trials = runs(folder)
    assert {run.info.status for run in [parent, *trials.values()]} <= {"KILLED", "FINISHED"}
    whole = (folder / "train.csv").read_bytes()
    (folder / "train.csv").write_bytes(whole + b"one row more,game\r\n")
    same = arguments(*FEW)
    assert "train: train.csv (was " in " ".join(adept(folder, "search", *same, code=2).split())
    (folder / "train.csv").write_bytes(whole)
    adept(folder, "search", *same)
    assert_whole(folder)


def test_a_killed_driver_of_a_method_inside_the_backbone_is_resumed_by_name_alone(
    ray_address: str, folder: Path
) -> None:
    process = start(folder, ray_address, "--method", "lora", "--devices", "1", steps=24)
    wait_for(process, "new best")
    process.kill()
    process.communicate()
    assert not (folder / "runs" / "toy" / "best_adapter").exists(), "it had ended before it was killed"
    output = adept(folder, "search", "--resume", "--name", "toy")
    assert "Winner" in output
    assert_whole(folder, trained=2)
    saved = record(folder)
    assert saved["method"] == "lora"
    # t5-nano: 8 attentions, two weights of each, factors of rank 2
    facts = describe("t5-nano")
    assert set(saved["parameters"].values()) == {16 * 2 * (facts.width + facts.inner)}
    assert load_adapter(folder / "runs" / "toy" / "best_adapter").description["peft_type"] == "LORA"


def by_number(folder: Path) -> dict[int, dict[str, Any]]:
    return {trial["number"]: trial for trial in record(folder)["trials"]}
