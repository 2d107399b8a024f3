"""The sweeps that come with the project."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.summarizer.results.published import method_key, task_key
from orchestrator.summarizer.tables.paper_layouts import chosen
from orchestrator.sweep.sweep_file import read_and_plan
from sweeps import sweep_names
from trials.errors import UserError
from trials.methods import get_method, method_names
from trials.tasks import registered

AFTER_ANOTHER = "methods-transfer"


@pytest.mark.parametrize("name", sorted({*sweep_names()} - {AFTER_ANOTHER}))
def test_they_can_be_planned(name: str) -> None:
    sweep, searches = read_and_plan(name)
    assert sweep.about and searches


def test_transfers_want_the_sweep_whose_prompts_they_start_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(UserError) as raised:
        read_and_plan(AFTER_ANOTHER)
    assert all(re.search(task, "\n".join(raised.value.problems)) for task in ("debsec", "debmatch"))
    _, before = read_and_plan("methods")
    assert {("debsec", "pt"), ("debmatch", "pt")} <= {(search.key.task, search.key.method) for search in before}


def test_the_demo_is_small() -> None:
    _, searches = read_and_plan("demo")
    assert {len({search.key.task for search in searches}), len({search.key.method for search in searches})} == {2}
    assert all(search.plan.task.embedded and search.plan.facts.name == "t5-nano" for search in searches)
    assert sum(search.plan.steps for search in searches) < 1_000


@pytest.mark.parametrize("name", [name for name in sweep_names() if name.startswith("paper-table-")])
def test_those_of_the_paper_have_every_task_and_method_of_their_table_that_is_known(name: str) -> None:
    _, searches = read_and_plan(name)
    (layout,) = chosen([name.rpartition("-")[2]])
    known = {task_key(task.published_as or task.name) for task in registered().values()}
    assert {task_key(search.key.task) for search in searches} == set(layout.tasks) & known
    rows = {method_key(row.measured_as or row.match.get("method", "")) for row in layout.rows}
    alone = [name for name in method_names() if not get_method(name).sources[0]]  # a transfer wants source prompts
    assert {method_key(search.key.method) for search in searches} == rows & {method_key(name) for name in alone}
