"""A search goes on as it was begun, also where an option that was not given meant something else then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.console import PlainConsole
from orchestrator.plan.former_defaults import FORMER, as_begun
from orchestrator.plan.plan import Plan
from orchestrator.plan.precision import in_words
from orchestrator.plan.search_folder import SearchFolder, stored
from orchestrator.plan.settings import AUTO
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
LATEST, FIRST = FORMER
each_version = pytest.mark.parametrize("then", FORMER, ids=["latest", "first"])


def begun(then: Mapping[str, Any] = FIRST, tested: bool = False, **given: Any) -> Plan:
    """A search with a folder, of a version that had these defaults: its options name none of them."""
    made = plan(**GIVEN, **then, **given)
    record = SearchRecord(
        name=made.name, task="debsec", method="pt", backbone="t5-nano", recipe="released_code", metric="accuracy",
        settings=made.recorded,
    )  # fmt: skip
    record.test = TestResult(1, 75.0, {"accuracy": 75.0}, 12, 25.0, 120) if tested else None
    options = {key: str(value) for key, value in {**GIVEN, **given}.items()}
    SearchFolder(made.folder).begin(made, options, record, DataIdentity())
    return made


@each_version
def test_the_same_command_finds_what_it_began_before(here: Path, then: dict[str, Any]) -> None:
    fresh = plan(**GIVEN)
    assert (fresh.rank_by, fresh.grace_period, fresh.settings.precision) == ("loss", 20, AUTO)
    before = begun(then)
    now = plan(**GIVEN)
    assert (now.name, now.definition, now.folder) == (before.name, before.definition, before.folder)
    assert now.spec.precision == now.recorded["precision"] == now.parameters["precision"] == "float32"
    rank_by, grace_period = ("loss", 20) if then == LATEST else ("score", 30)
    assert (now.rank_by, now.grace_period, now.recorded.get("rank_by", "score")) == (rank_by, grace_period, rank_by)
    assert "in which this search was begun" in in_words(now) and "begun" not in in_words(before)
    assert SearchFolder(now.folder).previous(now) is not None
    assert (plan(**GIVEN, seed=7).rank_by, plan(**GIVEN, seed=7).settings.precision) == ("loss", AUTO)
    asked = plan(**GIVEN, precision=AUTO, rank_by="loss")
    assert (asked.definition, asked.name) == (fresh.definition, fresh.name) and asked.name != before.name


def test_the_latest_that_has_begun_goes_before(here: Path) -> None:
    assert begun(FIRST).name == plan(**GIVEN).name
    assert begun(LATEST).name == plan(**GIVEN).name
    assert begun({}).name == plan(**GIVEN).name


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


@each_version
def test_one_with_a_name_of_its_own_goes_on_as_it_was_begun_or_is_refused(here: Path, then: dict[str, Any]) -> None:
    before = begun(then, name="mine")
    again = plan(**GIVEN, name="mine")
    assert again.definition == before.definition and "auto with another --name begins" in in_words(again)
    other = begun({"precision": "bfloat16"}, name="other")
    assert plan(**GIVEN, name="other").settings.precision == AUTO != other.settings.precision
    code, _, err = typed("search", *flags(), "--name", "other")
    assert code == 2 and 'precision (then "bfloat16", now "auto")' in " ".join(err.split())
    code, _, err = typed("search", *flags(), "--name", "mine", "--precision", "auto")
    assert code == 2 and 'precision (then "float32", now "auto")' in " ".join(err.split())
    code, _, err = typed("search", *flags(), "--name", "mine", "--rank-by", "loss", "--plan")
    assert code == (2 if then == FIRST else 0)
    assert ('then none, now "loss"' in " ".join(err.split())) == (then == FIRST)


@each_version
def test_one_that_is_in_its_storage_alone_is_found_there(
    here: Path, monkeypatch: pytest.MonkeyPatch, then: dict[str, Any]
) -> None:
    uri = (here / "storage").as_uri()
    before = begun(then, storage=uri)
    place = stored(before)
    assert place is not None
    (place / DEFINITION).write_bytes((before.folder / DEFINITION).read_bytes())
    now = plan(**GIVEN, storage=uri, output=here / "elsewhere")
    assert now.settings.precision == AUTO  # planning asks no storage
    taken_up: list[Plan] = []
    monkeypatch.setattr(run, "take_up", taken_up.append)
    monkeypatch.setattr(run, "prepare_data", lambda plan: pytest.fail(plan.name))
    with pytest.raises(pytest.fail.Exception, match=before.name):
        run_search(now, {}, PlainConsole(quiet=True), quiet=True)
    assert [(one.name, one.rank_by) for one in taken_up] == [(before.name, then.get("rank_by", "loss"))]


def test_a_sweep_asks_in_the_folder_of_its_run_alone(here: Path) -> None:
    begun()  # by a command of its own, beside the sweep
    alone = planned({**GIVEN}, {"output": str(here / "runs")})
    assert (alone.plan.rank_by, alone.plan.settings.precision) == ("score", "float32")
    moved = moved_into(alone, here / "runs" / "small" / "one").plan
    assert (moved.rank_by, moved.settings.precision) == ("loss", AUTO)
    cut_off = begun(output=here / "runs" / "small" / "one")
    assert moved_into(alone, here / "runs" / "small" / "one").plan.name == cut_off.name
    assert as_begun(moved_into(alone, here / "two").plan).rank_by == "loss"


@pytest.mark.parametrize("command", ["search", "resume"])
def test_a_finished_one_shows_its_table(here: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    before = begun(tested=True)
    assert not FIRST.keys() & json.loads((before.folder / OPTIONS).read_text()).keys()
    shown: list[Plan] = []
    monkeypatch.setattr(run, "show_finished", lambda plan, *_: shown.append(plan) or 0)
    words = flags() if command == "search" else [before.name, "--output", str(here / "runs")]
    code, _, err = typed(command, *words)
    assert (code, [one.name for one in shown]) == (0, [before.name]), err


def flags() -> list[str]:
    return [part for key, value in GIVEN.items() for part in (f"--{key.replace('_', '-')}", value)]
