"""What a trial is trained again from, without training it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.plan.places import to_keep
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.plan.search_folder import SearchFolder
from orchestrator.record.record import RECORD, SearchRecord
from orchestrator.run.verify import from_folder
from orchestrator.store.layout import OPTIONS
from orchestrator.store.twin_files import copy_of
from tests.orchestrator.made_searches import search_of
from tests.orchestrator.typed_commands import typed
from trials.data_facts import DataIdentity
from trials.errors import UserError

GIVEN = {"task": "debsec", "method": "pt", "backbone": "t5-nano", "steps": "20", "eval_every": "10", "samples": "2"}


@pytest.fixture
def search(here: Path) -> Path:
    """The folder of a search of two trials, in the folder of results of a working folder."""
    given = to_keep({**GIVEN, "name": "mine"})
    settings, problems = read_settings(given)
    plan = make_plan(settings, problems)
    configurations = [trial.config.hyperparameters for trial in plan.trials]
    record = search_of(configurations, "debsec", "pt", steps=20, every=10)
    record.name, record.settings = "mine", plan.recorded
    SearchFolder(plan.folder).begin(plan, given, record, DataIdentity())
    return plan.folder


def test_damaged_options_are_read_from_their_copy(search: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = from_folder("mine", 1, search.parent, {})
    assert capsys.readouterr().err == ""
    (search / OPTIONS).write_bytes((search / OPTIONS).read_bytes()[:99])
    assert from_folder("mine", 1, search.parent, {}) == whole
    assert "options.copy.json is used" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_trial_is_trained_again_in_the_precision_of_its_record(search: Path, precision: str) -> None:
    """The options name none: an earlier version meant float32 by that, and auto is not decided on once more."""
    record = SearchRecord.load(search / RECORD)
    record.settings["precision"] = precision
    record.save(search / RECORD)
    assert from_folder("mine", 1, search.parent, {}).spec.precision == precision
    del record.settings["precision"]
    record.save(search / RECORD)
    assert from_folder("mine", 1, search.parent, {}).spec.precision == "float32"


def test_options_that_are_lost_are_a_message(search: Path) -> None:
    for file in (search / OPTIONS, copy_of(search / OPTIONS)):
        file.write_text("{")
    with pytest.raises(UserError, match="and so is its copy"):
        from_folder("mine", 1, search.parent, {})
    code, _, err = typed("verify", "mine/1")
    assert code == 2 and "options.json is damaged" in err and "Traceback" not in err
