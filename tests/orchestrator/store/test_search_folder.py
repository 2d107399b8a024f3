"""Whose folder it is that a search finds under its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.plan.search_folder import SearchFolder
from orchestrator.store.layout import DEFINITION, TUNE
from tests.orchestrator.searching_toys import empty_record, toy_plan
from trials.data_facts import DataIdentity
from trials.errors import UserError

DATA_THEN = DataIdentity("r0ws", {"train": {"a.csv": "d1", "b.csv": "d2"}}, "f1")


def test_the_same_search_is_taken_up_and_another_is_refused(tmp_path: Path) -> None:
    plan = toy_plan(tmp_path, [0.1, 0.2])
    files = SearchFolder(plan.folder)
    assert files.previous(plan) is None and not files.begun
    files.begin(plan, {}, empty_record(), DATA_THEN)
    assert files.previous(plan) == empty_record() and files.begun
    assert files.data == DATA_THEN
    with pytest.raises(
        UserError, match=r"holds a search of that name with another trials; put it back.*, choose another --name"
    ):
        files.previous(toy_plan(tmp_path, [0.1, 0.3]))


def test_a_search_of_another_revision_of_the_trainer_is_another_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go on with other arithmetic: half of its trials would be compared with what they were not."""
    plan = toy_plan(tmp_path, [0.1, 0.2])
    files = SearchFolder(plan.folder)
    files.begin(plan, {}, empty_record(), DATA_THEN)
    monkeypatch.setattr("orchestrator.plan.plan.TRAINER_REVISION", 99)
    with pytest.raises(
        UserError, match=r"another trainer_revision \(then 2, now 99\); .* the same configurations give other numbers"
    ):
        files.previous(plan)


def test_one_copy_of_the_definition_is_enough(tmp_path: Path) -> None:
    plan = toy_plan(tmp_path, [0.1])
    files = SearchFolder(plan.folder)
    files.begin(plan, {}, empty_record(), DATA_THEN)
    (plan.folder / DEFINITION).unlink()
    assert files.previous(plan) == empty_record() and files.data == DATA_THEN
    assert "its copy definition.copy.json is used" in files.damage[0]


def test_checkpoints_of_nobody_knows_which_search_are_not_taken_for_its_own(tmp_path: Path) -> None:
    plan = toy_plan(tmp_path, [0.1])
    (plan.folder / TUNE / "attempt-1" / "trial-1").mkdir(parents=True)
    with pytest.raises(UserError, match=r"holds checkpoints, but definition.json .* is gone with its copy"):
        SearchFolder(plan.folder).previous(plan)
