"""Tasks that other packages bring: found, trained and scored by their own metrics, or named where they are broken."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import trials.tasks
from tests.trials.making import config
from tests.trials.tasks.printed import prepared_of, write_printed
from trials.backbones.loading import Backbone
from trials.engine import Engine, EngineSettings
from trials.errors import TaskError
from trials.tasks import get_task, task_names
from trials.tasks.metrics import METRICS


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages; what they bring is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path / "installed"))
    before = dict(METRICS)
    trials.tasks._found.cache_clear()
    yield tmp_path / "installed"
    sys.modules.pop("depot_tasks", None)
    trials.tasks._found.cache_clear()
    METRICS.clear()
    METRICS.update(before)


def install(installed: Path, source: Path) -> None:
    """What an installer makes of a package with one module: its files beside a dist-info."""
    shutil.copytree(source, installed, dirs_exist_ok=True)
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    info = installed / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"].items()
    text = "".join(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in found.items()) for group, found in points)
    (info / "entry_points.txt").write_text(text)


def test_a_task_of_a_package_is_found_trained_and_scored_by_its_own_metric(
    packages: Path, tmp_path: Path, t5: Backbone
) -> None:
    install(packages, write_printed(tmp_path, "depots"))
    assert {"depots", "depots-weight"} <= set(task_names())
    task = get_task("depots")
    assert task.package == "depot-tasks" and not task.in_a_file
    assert task.rules["examples"] == ["parcels", "order", "parcels", 1]
    assert get_task("depots-weight").answers[12] == "12"
    data = prepared_of(task, tmp_path, t5.tokenizer)
    assert data.split("train").targets == ["Ulm 2", "Bonn 1", "Ulm 1"]
    assert data.majority()["test"] == pytest.approx(200 / 3)  # "Ulm" is the town of two parcels of three
    engine = Engine(t5, data, EngineSettings(deterministic=True))
    engine.start("a", config("pt", steps=1, eval_every=1, batch_size=2))
    assert set(engine.next_report("a").validation) == {"town", "exact_match"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("TASKS = [3]", "TASKS holds 3, which is no trials.tasks.base.Task"),
        ("from trials.tasks.glue import TASKS", "there is a task of that name already"),
    ],
)
def test_a_broken_package_hides_no_other_task_and_is_named_where_one_is_missed(
    packages: Path, tmp_path: Path, text: str, problem: str
) -> None:
    source = write_printed(tmp_path, "depots")
    (source / "depot_tasks.py").write_text(text)
    install(packages, source)
    assert get_task("rte").package is None
    with pytest.raises(TaskError, match="no task is called 'depots'") as caught:
        get_task("depots")
    assert problem in caught.value.problems[1]
    assert "package depot-tasks (adept_search.tasks: depots = depot_tasks)" in caught.value.problems[1]
