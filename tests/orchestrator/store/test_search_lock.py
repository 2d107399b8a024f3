"""Two people who start the same search, on one host or on two that share its folder."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from orchestrator.console import messages_shown
from orchestrator.record.errors import JournalError, LockError
from orchestrator.store import lock as search_lock
from orchestrator.store.lock import SearchLock
from orchestrator.store.owner import Owner, read_owner


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("BEAT", 0.05), ("GLANCE", 0.05), ("STALE", 0.6)):
        monkeypatch.setattr(search_lock, name, seconds)


def left_by(folder: Path, seconds_ago: float = 0.0, **changes: object) -> Path:
    """The lock's file as another host's process, which is dead or cannot be reached, has left it."""
    owner = replace(Owner.this_process(), host="gpu-7", pid=4711, kernel="another", **changes)  # type: ignore[arg-type]
    path = folder / search_lock.LOCK
    path.write_text(json.dumps(asdict(owner)))
    os.utime(path, (time.time() - seconds_ago,) * 2)
    return path


def test_the_second_process_is_told_who_runs_the_search(tmp_path: Path) -> None:
    with SearchLock(tmp_path, "rte") as lock:
        lock.note_cluster("10.0.0.1:6379")
        with pytest.raises(LockError) as refused, SearchLock(tmp_path, "rte"):
            pass
    said = str(refused.value)
    assert f"process {os.getpid()} on host" in said and "Ray cluster 10.0.0.1:6379" in said and "search rte" in said
    with SearchLock(tmp_path, "rte"):
        pass


def test_a_killed_process_of_the_same_host_is_followed_at_once(tmp_path: Path) -> None:
    path = left_by(tmp_path)
    path.write_text(json.dumps(asdict(replace(Owner.this_process(), pid=4711))))
    started = time.monotonic()
    with SearchLock(tmp_path, "rte"):
        assert time.monotonic() - started < 0.3


def test_a_dead_head_holds_its_search_no_longer_than_its_signs_of_life_are_fresh(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left_by(tmp_path, seconds_ago=0.2)
    caplog.set_level("INFO")
    started = time.monotonic()
    with SearchLock(tmp_path, "rte") as lock:
        assert 0.2 < time.monotonic() - started < 2
        assert read_owner(lock.path) == lock.owner
    assert "process 4711 on host gpu-7" in caplog.messages[0]
    left_by(tmp_path, seconds_ago=100)
    started = time.monotonic()
    with SearchLock(tmp_path, "rte"):
        assert time.monotonic() - started < 0.3
    assert len(caplog.messages) == 1


def test_a_living_process_of_another_host_is_not_robbed_though_no_lock_reaches_it(tmp_path: Path) -> None:
    path = left_by(tmp_path)

    alive = messages_shown(lambda message: os.utime(path))  # while this process waits for a sign of life
    with alive, pytest.raises(LockError, match="process 4711 on host gpu-7"), SearchLock(tmp_path, "rte"):
        pass
    owner = read_owner(path)
    assert owner is not None and owner.host == "gpu-7"


def test_hosts_whose_clocks_differ_by_minutes_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_by(tmp_path, seconds_ago=0)
    monkeypatch.setattr(time, "time", lambda: 600.0)  # this host's clock, which must not matter
    started = time.monotonic()
    with SearchLock(tmp_path, "rte"):
        assert time.monotonic() - started > 0.4


def test_who_was_taken_for_dead_and_comes_back_ends(tmp_path: Path) -> None:
    with SearchLock(tmp_path, "rte") as lock:
        lock.check()
        left_by(tmp_path)
        for _ in range(100):
            time.sleep(0.02)
            try:
                lock.check()
            except LockError as error:
                assert "taken over by process 4711 on host gpu-7" in str(error)
                break
        else:
            raise AssertionError("it never noticed")
    owner = read_owner(lock.path)
    assert owner is not None and owner.host == "gpu-7"  # whose the search is now


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="cannot be written"), SearchLock(tmp_path / "file", "rte"):
        pass


def test_a_search_that_is_refused_leaves_no_folder_behind_and_one_that_began_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "rte"
    with SearchLock(folder, "rte"):
        assert folder.is_dir()
    assert not (tmp_path / "runs").exists()
    with SearchLock(folder, "rte"):
        (folder / "definition.json").touch()
    assert (folder / "definition.json").exists()
