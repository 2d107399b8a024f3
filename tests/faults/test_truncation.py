"""Files that lost their end, cut at every byte or at many: found out, said, and the last good state used."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.store.checkpoints import (
    adapter_files,
    checkpoints,
    damaged,
    keep,
    latest_kept,
    read_kept,
    remove_unfinished,
    reports_after,
    to_go_on_from,
)
from orchestrator.store.twin_files import copy_of, keep_record, load_record, read_either, write_twice
from trials.checkpoint import FACTS, MANIFEST, manifest, step_of
from trials.errors import UserError

EVERY = 4
CONFIG = {"hyperparameters": {"prompt_lr": 0.3}, "seed": 42}


def checkpoint_files(folder: Path, step: int) -> dict[str, bytes]:
    """What an engine hands over with a report."""
    (folder / "adapter").mkdir(parents=True)
    save_file({"prompt": np.full((2, 3), step, dtype=np.float32)}, folder / "adapter" / "adapter_model.safetensors")
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps({"step": step}))
    save_file({"moments": np.arange(12, dtype=np.float32)}, folder / "training.safetensors")
    facts = {"config": {"eval_every": EVERY, **CONFIG}, "step": step, MANIFEST: manifest(folder)}
    (folder / FACTS).write_text(json.dumps(facts, indent=1))
    files = {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    shutil.rmtree(folder)
    return files


def reports(last: int, first: int = 4) -> list[dict[str, object]]:
    return [{"step": step, "score": 10.0 * step, "status": "running"} for step in range(first, last + 1, EVERY)]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """Two checkpoints of trial 3."""
    for step in (4, 8):
        keep(tmp_path / "attempt-1" / "trial-3", checkpoint_files(tmp_path / "made", step), reports(step))
    return tmp_path


def cuts(size: int, most: int = 60) -> list[int]:
    """Lengths to cut a file to: all of a short one, of a longer one so many, and always the first and the last."""
    return sorted({*range(min(size, 10)), *np.linspace(0, size - 1, most).astype(int).tolist(), size - 1})


def local_checkpoints(storage: Path) -> list[Path]:
    return [folder for _, folder in checkpoints(storage, 3) if isinstance(folder, Path)]


@pytest.mark.parametrize(
    "file", [FACTS, "training.safetensors", "adapter/adapter_model.safetensors", "adapter/adapter_config.json"]
)
def test_a_checkpoint_that_was_cut_anywhere_is_passed_over(storage: Path, file: str) -> None:
    first, second = local_checkpoints(storage)
    whole = (second / file).read_bytes()
    for length in cuts(len(whole)):
        (second / file).write_bytes(whole[:length])
        assert step_of(second) is None, f"{file} of {length} bytes was believed"
        assert to_go_on_from(storage, 3, recorded=8) == first and damaged(storage, 3) == [second]
        step = 8 if file == "training.safetensors" else 4  # the adapter beside a cut training state is whole
        assert json.loads(adapter_files(storage, 3)["adapter_config.json"]) == {"step": step}
        assert latest_kept(second.parent) == first
    (second / file).write_bytes(whole)
    assert to_go_on_from(storage, 3, recorded=8) == second


def test_a_byte_that_changed_is_found_too(storage: Path) -> None:
    second = local_checkpoints(storage)[-1]
    tensors = bytearray((second / "training.safetensors").read_bytes())
    tensors[-1] ^= 1
    (second / "training.safetensors").write_bytes(tensors)
    assert damaged(storage, 3) == [second]


def test_where_no_checkpoint_is_whole_the_error_says_what_to_do(storage: Path) -> None:
    for _, folder in checkpoints(storage, 3):
        (folder / FACTS).write_text("{")
    assert to_go_on_from(storage, 3, recorded=8) is None
    with pytest.raises(UserError, match="All scores are kept; the same command with --rerun 3"):
        adapter_files(storage, 3)


def test_an_adapter_of_before_the_best_step_is_not_taken_for_the_best(storage: Path) -> None:
    last = checkpoints(storage, 3)[-1][1]
    assert json.loads(adapter_files(storage, 3, best_step=8)["adapter_config.json"]) == {"step": 8}
    (last / FACTS).write_text("{")
    assert json.loads(adapter_files(storage, 3, best_step=4)["adapter_config.json"]) == {"step": 4}
    with pytest.raises(UserError, match=r"no checkpoint with its best adapter whole.*--rerun 3"):
        adapter_files(storage, 3, best_step=8)


def test_reports_that_were_not_recorded_are_in_the_checkpoints(storage: Path) -> None:
    first, second = (folder for _, folder in checkpoints(storage, 3))
    trial = TrialRecord("t", 3, {"prompt_lr": 0.3}, 42, reports=reports(4))
    assert to_go_on_from(storage, 3, recorded=4) == first
    assert reports_after(storage, trial) == reports(8, first=8) and read_kept(second)[1] == reports(8)
    assert reports_after(storage, replace(trial, seed=43)) == [], "it is another training's"
    assert "reports.json" not in read_kept(second)[0]
    third = keep(second.parent, checkpoint_files(storage / "made", 12), reports(12))
    assert not first.exists() and second.exists(), "the last two are kept"
    assert reports_after(storage, replace(trial, reports=[])) == reports(12), "that of the checkpoint that is gone, too"
    trial.reports += reports(8, first=8)
    assert reports_after(storage, trial) == reports(12, first=12)
    whole = (third / "reports.json").read_bytes()
    for length in range(len(whole)):
        (third / "reports.json").write_bytes(whole[:length])
        assert reports_after(storage, trial) == [] and to_go_on_from(storage, 3, recorded=8) == second
        assert latest_kept(third.parent) == second, "an actor that comes back would never hand the report on"


def test_checkpoints_of_an_earlier_version_hold_their_last_report_alone(storage: Path) -> None:
    for _, folder in checkpoints(storage, 3):
        assert isinstance(folder, Path)
        last = json.loads((folder / "reports.json").read_text())[-1]
        (folder / "reports.json").unlink()
        (folder / "report.json").write_text(json.dumps(last))
    trial = TrialRecord("t", 3, {"prompt_lr": 0.3}, 42, reports=reports(4))
    assert reports_after(storage, trial) == reports(8, first=8)
    assert reports_after(storage, replace(trial, reports=[])) == reports(8)
    shutil.rmtree(local_checkpoints(storage)[0])
    assert reports_after(storage, replace(trial, reports=[])) == [], "the report of step 4 would be missing"


def test_a_checkpoint_for_which_there_is_no_room_leaves_the_others(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        keep(storage / "attempt-1" / "trial-3", {FACTS: b"{}"}, reports(12))
    monkeypatch.undo()
    assert [step for step, _ in checkpoints(storage, 3)] == [4, 8]
    assert not list(storage.rglob(".checkpoint*"))


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    trial = tmp_path / "tune" / "attempt-1" / "trial-3"
    keep(trial, checkpoint_files(tmp_path / "made", 4), reports(4))
    (trial / ".checkpoint_step_000000008").mkdir()
    (tmp_path / ".search.json.abcd.tmp").write_text("{")
    remove_unfinished(tmp_path)
    assert [path.name for path in trial.iterdir()] == ["checkpoint_step_000000004"]
    assert not list(tmp_path.glob(".*"))


def make_record(step: int) -> SearchRecord:
    trial = TrialRecord("t", 1, {"prompt_lr": 0.3}, 42, TrialStatus.RUNNING, [{"step": step, "score": math.nan}])
    return SearchRecord(
        name="s", task="rte", method="adept", backbone="t5-nano", recipe="paper", metric="accuracy", trials=[trial]
    )


def test_a_record_that_was_cut_anywhere_is_replaced_by_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "search.json"
    for step in (100, 200):
        keep_record(make_record(step), path)
    whole = path.read_bytes()
    for length in cuts(len(whole) - 1):  # the last byte is a line's end
        path.write_bytes(whole[:length])
        record, said = load_record(path)
        assert record is not None and record.trials[0].step == 100
        assert "search.json is damaged" in said and "the record before it is used" in said
    copy_of(path).write_text("{")
    record, said = load_record(path)
    assert record is None and "made anew from the journal" in said


def test_a_record_for_which_there_is_no_room_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "search.json"
    keep_record(make_record(100), path)
    with monkeypatch.context() as patch:
        patch.setattr("orchestrator.record.record.os.fsync", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                keep_record(make_record(200), path)
    record, said = load_record(path)
    assert record is not None and record.trials[0].step == 100 and said == ""
    assert not list(tmp_path.glob(".*"))


def test_options_that_were_cut_anywhere_are_read_from_their_copy(tmp_path: Path) -> None:
    path, options = tmp_path / "options.json", {"task": "rte", "steps": "400"}
    write_twice(path, options)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        document, said = read_either(path)
        assert document == options and "options.copy.json is used" in said
    copy_of(path).write_bytes(b"")
    with pytest.raises(UserError, match="and so is its copy"):
        read_either(path)
