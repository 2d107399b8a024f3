"""A search goes on as it was begun, also where an option that was not given meant something else then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.console import PlainConsole
from orchestrator.plan.former_defaults import as_begun
from orchestrator.plan.plan import Plan
from orchestrator.plan.search_folder import SearchFolder, stored
from orchestrator.record.record import SearchRecord, TestResult
from orchestrator.run import run
from orchestrator.run.run import run_search
from orchestrator.store.layout import DEFINITION, OPTIONS, TUNE
from orchestrator.store.twin_files import copy_of
from orchestrator.sweep.expand import planned
from orchestrator.sweep.runs import moved_into
from tests.orchestrator.plan.planning import plan
from tests.orchestrator.typed_commands import typed
from trials.data_facts import DataIdentity

GIVEN = {"task": "debsec", "method": "pt", "backbone": "t5-nano", "steps": "120", "eval_every": "10", "samples": "2"}


def begun(rank_by: str = "score", tested: bool = False, **given: Any) -> Plan:
    """A search with a folder; of an earlier version, where it names nothing to rank by and that meant scores."""
    made = plan(**GIVEN, rank_by=rank_by, **given)
    record = SearchRecord(
        name=made.name, task="debsec", method="pt", backbone="t5-nano", recipe="released_code", metric="accuracy",
        settings=made.recorded,
    )  # fmt: skip
    record.test = TestResult(1, 75.0, {"accuracy": 75.0}, 12, 25.0, 120) if tested else None
    options = {key: str(value) for key, value in {**GIVEN, **given}.items()}
    SearchFolder(made.folder).begin(made, options, record, DataIdentity())
    return made


def test_the_same_command_finds_what_it_began_before(here: Path) -> None:
    assert (plan(**GIVEN).rank_by, plan(**GIVEN).grace_period) == ("loss", 20)
    before = begun()
    now = plan(**GIVEN)
    assert (now.name, now.definition, now.folder) == (before.name, before.definition, before.folder)
    assert (now.rank_by, now.grace_period, "rank_by" in now.recorded) == ("score", 30, False)
    assert SearchFolder(now.folder).previous(now) is not None
    assert plan(**GIVEN, seed=7).rank_by == "loss"
    asked = plan(**GIVEN, rank_by="loss")
    assert asked.rank_by == "loss" and asked.name != before.name


def test_a_search_that_has_begun_with_the_defaults_of_now_goes_before(here: Path) -> None:
    begun()
    assert begun("loss").name == plan(**GIVEN).name


@pytest.mark.parametrize("damage", ["one", "both", "gone"])
def test_a_search_whose_definition_is_damaged_is_not_begun_anew(here: Path, damage: str) -> None:
    before = begun()
    files = [before.folder / DEFINITION, copy_of(before.folder / DEFINITION)]
    if damage == "gone":
        (before.folder / TUNE / "attempt-1").mkdir(parents=True)
        for file in files:
            file.unlink()
    for file in files[: {"one": 1, "both": 2, "gone": 0}[damage]]:
        file.write_text("{")
    assert plan(**GIVEN).name == before.name


def test_one_with_a_name_of_its_own_goes_on_as_it_was_begun_or_is_refused(here: Path) -> None:
    before = begun(name="mine")
    assert plan(**GIVEN, name="mine").definition == before.definition
    code, _, err = typed("search", *flags(), "--name", "mine", "--rank-by", "loss")
    assert code == 2 and 'then none, now "loss"' in " ".join(err.split())


def test_one_that_is_in_its_storage_alone_is_found_there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = (here / "storage").as_uri()
    before = begun(storage=uri)
    place = stored(before)
    assert place is not None
    (place / DEFINITION).write_bytes((before.folder / DEFINITION).read_bytes())
    now = plan(**GIVEN, storage=uri, output=here / "elsewhere")
    assert now.rank_by == "loss"  # planning asks no storage
    taken_up: list[Plan] = []
    monkeypatch.setattr(run, "take_up", taken_up.append)
    monkeypatch.setattr(run, "prepare_data", lambda plan: pytest.fail(plan.name))
    with pytest.raises(pytest.fail.Exception, match=before.name):
        run_search(now, {}, PlainConsole(quiet=True), quiet=True)
    assert [(one.name, one.rank_by) for one in taken_up] == [(before.name, "score")]


def test_a_sweep_asks_in_the_folder_of_its_run_alone(here: Path) -> None:
    begun()  # by a command of its own, beside the sweep
    alone = planned({**GIVEN}, {"output": str(here / "runs")})
    assert alone.plan.rank_by == "score"
    assert moved_into(alone, here / "runs" / "small" / "one").plan.rank_by == "loss"
    cut_off = begun(output=here / "runs" / "small" / "one")
    assert moved_into(alone, here / "runs" / "small" / "one").plan.name == cut_off.name
    assert as_begun(moved_into(alone, here / "two").plan).rank_by == "loss"


@pytest.mark.parametrize("command", ["search", "resume"])
def test_a_finished_one_shows_its_table(here: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    before = begun(tested=True)
    assert "rank_by" not in json.loads((before.folder / OPTIONS).read_text())
    shown: list[Plan] = []
    monkeypatch.setattr(run, "show_finished", lambda plan, *_: shown.append(plan) or 0)
    words = flags() if command == "search" else [before.name, "--output", str(here / "runs")]
    code, _, err = typed(command, *words)
    assert (code, [one.name for one in shown]) == (0, [before.name]), err


def flags() -> list[str]:
    return [part for key, value in GIVEN.items() for part in (f"--{key.replace('_', '-')}", value)]
