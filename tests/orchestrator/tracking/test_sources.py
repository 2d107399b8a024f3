"""Source prompts by name: in folders, in the store, kept with a search; and what is said where they cannot be used."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from safetensors.numpy import save_file

from orchestrator.plan.plan import Plan
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.plan.search_folder import SearchFolder
from orchestrator.plan.sources import SOURCES
from orchestrator.record.record import SearchRecord
from orchestrator.tracking.registry import Registry, champion_of
from orchestrator.tracking.sources import StoredSources
from trials.backbones.describe import describe
from trials.backbones.facts import EMBEDDED
from trials.data_facts import DataIdentity
from trials.errors import UserError

FACTS = describe("t5-nano")


def adapter(folder: Path, value: float = 1.0, rows: int = 100, task: str = "sst2", **other: Any) -> Path:
    """An adapter of prompt tuning on t5-nano, all of whose numbers are equal."""
    folder.mkdir(parents=True)
    width = other.pop("width", FACTS.width)
    save_file({"prompt_embeddings": np.full((rows, width), value, np.float32)}, folder / "adapter_model.safetensors")
    description = {
        "base_model_name_or_path": "t5-nano",
        "backbone_revision": FACTS.revision,
        "trial": {
            "method": other.pop("method", "pt"),
            "hyperparameters": {"prompt_lr": 0.1, "prompt_length": rows},
            "steps": 4,
            "eval_every": 2,
        },
        "task": task,
        "template": "{text}",
        "labels": {"0": "0", "1": "1"},
        "max_source_length": 16,
        "max_target_length": 2,
        "validation_score": 50.0,
        **other,
    }
    (folder / "adapter_config.json").write_text(json.dumps(description))
    return folder


def planned(method: str = "spot", **given: str) -> Plan:
    settings, problems = read_settings({"task": "debmatch", "method": method, **given})
    return make_plan(settings, problems, StoredSources())


def values(plan: Plan) -> list[float]:
    """The number that each source is full of."""
    return [float(np.frombuffer(source.numbers, "<f4")[0]) for source in plan.sources]


def problems(**given: str) -> str:
    with pytest.raises(UserError) as caught:
        planned(**given)
    return "\n".join(caught.value.problems)


def test_sources_are_found_in_folders_and_by_a_searchs_name(here: Path) -> None:
    adapter(here / "runs" / "sst2-pt" / "best_adapter", 1.0)
    adapter(here / "elsewhere" / "mine" / "best_adapter", 2.0, task="mnli")
    adapter(here / "qqp", 3.0)
    plan = planned("attempt", sources="sst2-pt,elsewhere/mine,qqp")
    assert values(plan) == [1.0, 2.0, 3.0]
    assert plan.trials[0].config.sources == ("sst2-pt", "mine", "qqp")
    assert plan.parameters["sources"] == plan.definition["sources"] == "sst2-pt,mine,qqp"
    assert [source.name for source in plan.spec.sources] == ["sst2-pt", "mine", "qqp"]
    assert "sources" not in planned("pt").definition  # searches of before keep their names


def test_a_tasks_name_means_its_best_prompt_of_prompt_tuning_on_this_backbone(here: Path) -> None:
    for name, value, score in (("a", 1.0, 60.0), ("b", 2.0, 70.0)):
        adapter(here / "runs" / name / "best_adapter", value, validation_score=score)
    adapter(here / "runs" / "c" / "best_adapter", 3.0, validation_score=90.0, base_model_name_or_path="t5-base")
    adapter(here / "runs" / "d" / "best_adapter", 4.0, validation_score=90.0, method="spot")
    plan = planned(sources="sst2")
    assert values(plan) == [2.0] and plan.sources[0].origin == "search b"


def run_of(client: MlflowClient, experiment: str, **tags: str) -> str:
    run = client.create_run(experiment, tags={k.replace("__", "."): v for k, v in tags.items()})
    return str(run.info.run_id)


@pytest.fixture
def store(here: Path, tracking_uri: str) -> tuple[MlflowClient, str]:
    """A store with one finished search of prompt tuning on sst2, whose trial 2 won."""
    client = MlflowClient(tracking_uri=tracking_uri)
    experiment = client.create_experiment("sst2", artifact_location=(here / "artifacts").as_uri())
    parent = run_of(client, experiment, kind="search", search="old-pt", status="finished", winner__trial="2")
    for name, value in (("task", "sst2"), ("method", "pt"), ("backbone", "t5-nano")):
        client.log_param(parent, name, value)
    client.log_metric(parent, "validation/accuracy", 80.0)
    client.set_tag(parent, "search_id", "u1")
    for trial, number in (("1", 5.0), ("2", 6.0)):
        more = {"mlflow__parentRunId": parent, "adapter": "4"}
        child = run_of(client, experiment, kind="trial", trial=trial, **more)
        client.log_artifacts(child, str(adapter(here / f"made-{trial}", number)), "adapter")
    return client, tracking_uri


def test_a_source_comes_from_the_store_where_its_search_left_it(store: tuple[MlflowClient, str]) -> None:
    _, uri = store
    for name, method in (("sst2", "spot"), ("old-pt", "spot"), ("sst2", "pt")):
        plan = planned(method, sources=name, tracking_uri=uri)
        assert values(plan) == [6.0]
        assert re.fullmatch(r"search old-pt \(run \w{8}\)", plan.sources[0].origin)


def test_the_champion_of_a_task_goes_before_other_searches(store: tuple[MlflowClient, str], here: Path) -> None:
    client, uri = store
    registry = Registry(client, "here")
    version = registry.add("sst2", "t5-nano", adapter(here / "best", 7.0), "u1", {}, "")
    registry.move(version.model, champion_of("pt"), version, {}, "")
    assert values(planned("pt", sources="sst2", tracking_uri=uri)) == [7.0]
    plan = planned(sources="sst2", tracking_uri=uri)
    assert values(plan) == [7.0] and "champion models:/adept-sst2-t5-nano/1" in plan.sources[0].origin


def begun(plan: Plan) -> None:
    record = SearchRecord(
        name=plan.name,
        task="debmatch",
        method="spot",
        backbone="t5-nano",
        recipe="released_code",
        metric="accuracy",
        settings=plan.recorded,
    )
    SearchFolder(plan.folder).begin(plan, {}, record, DataIdentity())


def test_a_search_that_has_begun_keeps_its_sources(here: Path) -> None:
    """Whatever the name means by now, or nothing at all."""
    source = adapter(here / "runs" / "sst2-pt" / "best_adapter", 1.0)
    before = planned(sources="sst2-pt")
    begun(before)
    shutil.rmtree(source)
    assert planned(sources="sst2-pt").sources == before.sources
    adapter(source, 9.0)
    again = planned(sources="sst2-pt")
    assert again.sources == before.sources and again.name == before.name
    assert values(planned(sources="sst2-pt", name="other")) == [9.0]
    damaged = (before.folder / SOURCES).read_bytes()
    (before.folder / SOURCES).write_bytes(damaged[:-4] + b"\1\2\3\4")
    assert "the numbers of sst2-pt are not those that were written" in problems(sources="sst2-pt")


def test_a_transfer_without_sources_says_what_there_is(here: Path) -> None:
    adapter(here / "runs" / "sst2-pt" / "best_adapter")
    found = problems()
    assert "--method spot starts from one source prompt, and none is given: name them with --sources" in found
    assert "there are sst2-pt" in found


def test_everything_that_is_wrong_with_sources_comes_at_once(here: Path) -> None:
    """Together with what is wrong elsewhere."""
    adapter(here / "runs" / "sst2-pt" / "best_adapter")
    adapter(here / "network", method="adept")
    adapter(here / "other", backbone_revision="0" * 16, base_model_name_or_path="t5-base")
    adapter(here / "narrow", width=8)
    adapter(here / "diverged", value=float("nan"))
    named = "sst2-tp,./network,./other,./narrow,./diverged,./nowhere"
    found = problems(method="attempt", sources=named, grace_period="7")
    for message in (
        "--grace-period 7: must be a multiple",
        "--sources: sst2-tp: no search, and no task with a trained prompt, is called so in",
        "did you mean 'sst2-pt'?",
        "source network (adapter ",
        "was learnt by adept, which is more than a soft prompt in front; take one of ",
        "was trained on other weights than those of t5-nano, on t5-base",
        "is 8 wide, and the embeddings of t5-nano are 256",
        "holds numbers that are not finite",
        "./nowhere: no adapter is there",
    ):
        assert message in found
    assert len(found.splitlines()) == 7


def test_a_source_of_another_length_is_refused_by_the_space(here: Path) -> None:
    adapter(here / "short", rows=20)
    found = problems(sources="./short")
    assert found == (
        "search space t5-nano: spot: prompt_length 100 is not that of its source prompts: short (20); the space must "
        "give theirs"
    )


def test_sources_that_no_method_takes_and_names_that_stand_twice(here: Path) -> None:
    assert "--sources sst2: --method lamp starts from no source prompts (methods that transfer: " in problems(
        method="lamp", sources="sst2"
    )
    adapter(here / "sst2" / "best_adapter")
    assert "sst2 stands twice" in problems(method="attempt", sources="sst2/best_adapter,sst2")


def test_a_task_whose_prompts_are_of_another_backbone(here: Path) -> None:
    adapter(here / "runs" / "x" / "best_adapter", base_model_name_or_path="t5-base")
    assert "sst2: its prompts are of t5-base, and none of t5-nano; train one: adept-search search" in problems(
        sources="sst2"
    )


@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("folder", ["my t5", "t5-base", "t5-nano"])
def test_the_command_that_trains_a_source_runs_in_every_working_folder(here: Path, folder: str, others: bool) -> None:
    """On a backbone in a folder, which may be called like a known one."""
    shutil.copytree(EMBEDDED / "t5-nano", here / "models" / folder)
    if others:
        adapter(here / "runs" / "x" / "best_adapter", base_model_name_or_path="t5-large")
    found = problems(sources="sst2", backbone=f"models/{folder}")
    printed = re.search(r"adept-search search .*", found)
    assert printed, found
    where = str(here / "models" / folder)
    assert shlex.split(printed[0])[2:] == ["--task", "sst2", "--method", "pt", "--backbone", where]


@pytest.mark.parametrize("name", ["t5-nano", "t5-base"])
def test_the_command_that_trains_a_source_has_a_known_backbone_by_its_name(here: Path, name: str) -> None:
    found = problems(sources="sst2", backbone=name)
    assert found.endswith(f"adept-search search --task sst2 --method pt --backbone {name}")
