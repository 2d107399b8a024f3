"""Which checkpoint a resumed trial goes on from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.store.checkpoints import PAUSED, PREFIX, adapter_files, attempts, damaged, to_go_on_from
from trials.errors import UserError


def make(storage: Path, attempt: int, number: int, index: int, step: int) -> Path:
    folder = storage / f"attempt-{attempt}" / f"trial-{number}" / f"{PREFIX}{index:06d}"
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_config.json").write_text(str(step))
    (folder / "training.json").write_text(json.dumps({"step": step}))
    return folder


def test_the_latest_that_is_not_ahead_of_the_record(tmp_path: Path) -> None:
    first, second = make(tmp_path, 1, 3, 0, 10), make(tmp_path, 1, 3, 1, 20)
    make(tmp_path, 1, 4, 2, 30)
    assert to_go_on_from(tmp_path, 3, recorded=20) == second
    assert to_go_on_from(tmp_path, 3, recorded=15) == first
    assert to_go_on_from(tmp_path, 3, recorded=0) == second
    assert to_go_on_from(tmp_path, 5, recorded=10) is None


def test_later_attempts_count_by_their_step_and_attempts_by_their_number(tmp_path: Path) -> None:
    make(tmp_path, 2, 1, 0, 10)
    newest = make(tmp_path, 10, 1, 0, 30)
    assert [a.name for a in attempts(tmp_path)] == ["attempt-2", "attempt-10"]
    assert to_go_on_from(tmp_path, 1, recorded=99) == newest
    assert adapter_files(tmp_path, 1) == {"adapter_config.json": b"30"}


def test_half_written_checkpoints_are_passed_over(tmp_path: Path) -> None:
    whole = make(tmp_path, 1, 1, 0, 10)
    torn = make(tmp_path, 1, 1, 1, 20)
    for content in ("", '{"st', "{}"):
        (torn / "training.json").write_text(content)
        assert to_go_on_from(tmp_path, 1, recorded=99) == whole
    (torn / "training.json").unlink()
    assert to_go_on_from(tmp_path, 1, recorded=99) == whole


def test_what_tune_keeps_of_a_pause_is_no_damage(tmp_path: Path) -> None:
    whole = make(tmp_path, 1, 1, 0, 10)
    (tmp_path / "attempt-1" / "trial-1" / "checkpoint_000000").mkdir()
    (tmp_path / "attempt-1" / "trial-1" / "checkpoint_000000" / PAUSED).write_text(whole.name)
    assert damaged(tmp_path, 1) == [] and to_go_on_from(tmp_path, 1, recorded=10) == whole


def test_a_winner_without_a_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="trial 7"):
        adapter_files(tmp_path, 7)
