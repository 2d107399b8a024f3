"""Where a search's things are: the same in every working folder, and given anew after they have moved."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.command_lines import command_line, resume_command
from orchestrator.engines.hosts import paths_read
from orchestrator.plan.options import Given
from orchestrator.plan.places import to_keep, with_absolute_paths
from orchestrator.plan.plan import Plan
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.plan.search_folder import SearchFolder
from orchestrator.run.resume import resumed_options
from orchestrator.store.layout import DEFINITION, OPTIONS
from orchestrator.store.twin_files import write_twice
from trials.backbones.facts import DEFAULT, EMBEDDED
from trials.errors import UserError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a blank in its name, and nothing in the environment."""
    for name in ("MLFLOW_TRACKING_URI", "ADEPT_OUTPUT", "ADEPT_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "my work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def options(**given: str | None) -> Given:
    keys = ("task", "method", "backbone", "space", "data_dir", "tracking_uri", "output", "storage", "name", "steps")
    return {key: given.get(key) for key in keys}


def planned(**given: str | None) -> Plan:
    settings, problems = read_settings(with_absolute_paths(options(**given)))
    return make_plan(settings, problems)


def test_paths_become_absolute_and_names_stay_names(here: Path) -> None:
    for name in ("debsec", "t5-nano"):
        (here / name).mkdir()
    (here / "my.yaml").touch()
    names = options(task="debsec", backbone="t5-nano", space="t5-nano")
    assert with_absolute_paths(names) == names
    found = with_absolute_paths(options(task="my.yaml", space="my.yaml", data_dir=".", backbone="none", output="x"))
    assert found["task"] == found["space"] == str(here / "my.yaml") and found["data_dir"] == str(here)
    assert found["backbone"] == "none"  # it is not there: the message shows it as it was typed
    assert found["output"] == str(here / "x")
    assert with_absolute_paths(options(tracking_uri="sqlite:///x.db"))["tracking_uri"] == f"sqlite:///{here}/x.db"


def test_what_an_environment_decides_is_kept_but_for_secrets(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert to_keep(options())["output"] == str(here / "runs")
    assert to_keep(options())["tracking_uri"] == f"sqlite:///{here}/mlflow.db"
    monkeypatch.setenv("ADEPT_OUTPUT", "elsewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert to_keep(options())["output"] == str(here / "elsewhere")
    assert to_keep(options())["tracking_uri"] == "http://host:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://joe:hunter2@host/mlflow")
    assert to_keep(options())["tracking_uri"] is None


def begun(folder: Path, **given: str | None) -> None:
    (folder / "mine").mkdir(parents=True)
    write_twice(folder / "mine" / OPTIONS, to_keep(options(name="mine", **given)))
    Path("mlflow.db").touch()


def test_a_search_is_taken_up_from_elsewhere(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "task.yaml").touch()
    (here / "data").mkdir()
    begun(here / "runs", task="task.yaml", data_dir="data", steps="8")
    monkeypatch.chdir("/")
    given = options(name="mine", output=str(here / "runs"))
    found = resumed_options(given)
    assert (found["task"], found["steps"]) == (str(here / "task.yaml"), "8")
    assert found["tracking_uri"] == f"sqlite:///{here}/mlflow.db"

    here.rename(tmp_path / "moved")
    there = tmp_path / "moved"
    with pytest.raises(UserError) as error:
        resumed_options(options(name="mine", output=str(there / "runs")))
    assert [problem.partition(":")[0] for problem in error.value.problems] == ["--task", "--data-dir", "--tracking-uri"]
    monkeypatch.chdir(there)
    places = {"task": "task.yaml", "data_dir": "data", "tracking_uri": "sqlite:///mlflow.db"}
    found = resumed_options(options(name="mine", **places))
    assert (found["task"], found["data_dir"]) == (str(there / "task.yaml"), str(there / "data"))
    assert found["output"] == str(there / "runs")
    with pytest.raises(UserError, match="was started with 8"):
        resumed_options(options(name="mine", **places, steps="9"))


def test_a_store_with_a_password_is_asked_for_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://joe:hunter2@host/mlflow")
    begun(here / "runs")
    (here / "runs" / "mine" / "search.json").write_text(json.dumps({"tracking_uri": "postgresql://host/mlflow"}))
    assert resumed_options(options(name="mine"))["tracking_uri"] is None
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(UserError, match="set MLFLOW_TRACKING_URI"):
        resumed_options(options(name="mine"))
    # One of before, which kept what was typed: where the record says, not a new database in this folder.
    write_twice(here / "runs" / "mine" / OPTIONS, options(name="mine", task="debsec"))
    before = f"sqlite:///{here}/old.db"
    (here / "runs" / "mine" / "search.json").write_text(json.dumps({"tracking_uri": before}))
    (here / "old.db").touch()
    assert resumed_options(options(name="mine"))["tracking_uri"] == before


def test_a_backbone_that_moved_is_known_by_its_weights(here: Path) -> None:
    shutil.copytree(EMBEDDED / "t5-nano", here / "my t5")
    plan = planned(backbone="my t5", name="mine")
    write_twice(plan.folder / DEFINITION, plan.definition)
    (here / "my t5").rename(here / "other")
    SearchFolder(plan.folder).previous(planned(backbone="other", name="mine"))
    weights = here / "other" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match=r"another backbone .*, revision of the backbone's weights"):
        SearchFolder(plan.folder).previous(planned(backbone="other", name="mine"))


def test_a_folder_called_like_the_embedded_backbone_is_the_users(here: Path) -> None:
    """A name without a path is the embedded one's, whatever folders there are."""
    shutil.copytree(EMBEDDED / DEFAULT, here / DEFAULT)
    plan, embedded = (planned(backbone=one, name="mine", space=DEFAULT) for one in (f"./{DEFAULT}", DEFAULT))
    assert plan.spec.backbone == str(here / DEFAULT) and paths_read(plan) == [str(here / DEFAULT)]
    assert embedded.spec.backbone == DEFAULT and paths_read(embedded) == []
    write_twice(plan.folder / DEFINITION, plan.definition)
    (here / DEFAULT).rename(here / "other")
    SearchFolder(plan.folder).previous(planned(backbone="other", name="mine", space=DEFAULT))  # known by its weights


def test_a_name_of_our_own_making_is_one_that_we_take(here: Path) -> None:
    shutil.copytree(EMBEDDED / "t5-nano", here / ("my t5 ü" + "x" * 90))
    name = planned(backbone="my t5 ü" + "x" * 90).name
    assert planned(name=name).name == name and "my-t5-x" in name


def test_commands_are_quoted_and_complete(here: Path) -> None:
    command = resume_command("mine", Path("my runs"), "s3://bucket/it's here")
    words = ["adept-search", "resume", "mine", "--output", str(here / "my runs"), "--storage", "s3://bucket/it's here"]
    assert shlex.split(command) == words
    assert command_line("watch", "mine", output=None) == "adept-search watch mine"


def test_resume_takes_new_places(here: Path) -> None:
    begun(here / "runs", task="debsec")
    result = CliRunner().invoke(app, ["resume", "mine", "--task", "gone.yaml", "--backbone", "t6"])
    assert result.exit_code == 2 and "gone.yaml: no such task file" in result.stderr and "t6" in result.stderr
