"""A search's place in a storage: one process at a time, and its files taken up on another machine."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.record.errors import LockError, StorageError
from orchestrator.record.journal import Journal
from orchestrator.store import lock as search_lock
from orchestrator.store import mirror
from orchestrator.store.lock import LOCK, SearchLock
from orchestrator.store.mirror import Mirror, fetch, lacks
from orchestrator.store.owner import Owner, read_owner
from orchestrator.store.paths import StoragePath

if TYPE_CHECKING:
    from tests.orchestrator.s3_server import S3


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, seconds in (
        (search_lock, "BEAT", 0.1),
        (search_lock, "GLANCE", 0.1),
        (search_lock, "STALE", 2.5),  # a server's times may count whole seconds
        (search_lock, "SETTLED", 0.2),
        (mirror, "EVERY", 0.05),
        (mirror, "SHARE", 1),
    ):
        monkeypatch.setattr(module, name, seconds)


def wait_until(condition: object, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_second_head_is_told_who_runs_the_search(s3: S3, tmp_path: Path) -> None:
    place = StoragePath(s3.uri) / "rte"
    with SearchLock(tmp_path / "one", "rte", place) as lock:
        lock.note_cluster("10.0.0.1:6379")
        with (
            pytest.raises(LockError, match=r"search rte is running already .*10\.0\.0\.1:6379"),
            SearchLock(tmp_path / "two", "rte", place),
        ):
            pass
        lock.check()
    assert read_owner(place / LOCK) is None
    with SearchLock(tmp_path / "two", "rte", place):
        pass


def test_a_dead_head_of_another_host_is_waited_for_and_followed(
    s3: S3, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = StoragePath(s3.uri) / "rte"
    dead = replace(Owner.this_process(), host="gpu-7", pid=4711, kernel="another")
    (place / LOCK).write_text(json.dumps(asdict(dead)))
    started = time.monotonic()
    with caplog.at_level("INFO"), SearchLock(tmp_path, "rte", place):
        assert 0.5 < time.monotonic() - started < 8
    assert "process 4711 on host gpu-7" in caplog.messages[0]


def test_who_was_taken_for_dead_notices_and_copies_nothing_any_more(s3: S3, tmp_path: Path) -> None:
    place = StoragePath(s3.uri) / "rte"
    with SearchLock(tmp_path, "rte", place) as lock, Mirror(tmp_path, place, lock.check):
        other = replace(Owner.this_process(), host="gpu-7", token="another")

        def noticed() -> bool:
            (place / LOCK).write_text(json.dumps(asdict(other)))  # again, where a sign of life came just after it
            try:
                lock.check()
            except LockError as error:
                return "taken over by" in str(error)
            return False

        wait_until(noticed)
        (tmp_path / "late.txt").write_text("late")
    assert not (place / "late.txt").exists()
    assert read_owner(place / LOCK) == other


def test_changes_are_copied_soon_and_come_back_on_another_machine(
    s3: S3, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place, here, there = StoragePath(s3.uri) / "rte", tmp_path / "here", tmp_path / "there"
    (here / "tune" / "attempt-1" / "trial-1").mkdir(parents=True)
    (here / "tune" / "attempt-1" / "trial-1" / "error.txt").write_text("Tune's own")
    with Mirror(here, place, lambda: None), Journal(here / "tune" / "decisions.jsonl") as journal:
        (here / "definition.json").write_text("{}")
        journal.append([{"trial": number} for number in range(3)])
        (here / "passing.txt").write_text("x")
        wait_until(lambda: (place / "definition.json").exists() and (place / "passing.txt").exists())
        (here / "passing.txt").unlink()
        journal.append([{"trial": 3}])
        wait_until(lambda: not (place / "passing.txt").exists())
    assert not lacks(here)
    assert not any("attempt" in name or ".mirror" in name for name in s3.names())
    assert fetch(here, place) == 0  # it is as new
    with caplog.at_level("INFO"):
        assert fetch(there, place) > 0
    assert "fetched from s3://searches/here/rte" in caplog.messages[0]
    with Journal(there / "tune" / "decisions.jsonl") as journal:
        assert (len(journal.found), journal.damage) == (4, "")


def test_the_newer_side_counts(s3: S3, tmp_path: Path) -> None:
    place, first, second = StoragePath(s3.uri) / "rte", tmp_path / "first", tmp_path / "second"
    first.mkdir()
    for folder, text in ((first, "1"), (second, "2")):
        fetch(folder, place)
        with Mirror(folder, place, lambda: None):
            (folder / "search.json").write_text(text)
            (folder / f"of-{text}").touch()
    assert fetch(second, place) == 0
    assert fetch(first, place)
    assert (first / "search.json").read_text() == "2" and (first / "of-2").exists()


def test_a_list_of_files_that_leads_out_of_the_folder_is_refused(s3: S3, tmp_path: Path) -> None:
    place = StoragePath(s3.uri) / "rte"
    (place / mirror.STATE).write_text(json.dumps({"copies": 1, "by": "stranger", "files": ["../out.txt"]}))
    (place.parent / "out.txt").write_text("x")
    with pytest.raises(StorageError, match="leads out of the folder"):
        fetch(tmp_path / "rte", place)
    assert not (tmp_path / "out.txt").exists()


def test_a_kill_between_both_notes_of_a_copy_makes_no_folder_old(s3: S3, tmp_path: Path) -> None:
    place = StoragePath(s3.uri) / "rte"
    with Mirror(tmp_path, place, lambda: None):
        (tmp_path / "search.json").write_text("copied")
    own = json.loads((tmp_path / mirror.OWN_STATE).read_text())
    (tmp_path / mirror.OWN_STATE).write_text(json.dumps({**own, "copies": own["copies"] - 1}))
    (tmp_path / "search.json").write_text("newer than the copy")
    assert fetch(tmp_path, place) == 0
    with Mirror(tmp_path, place, lambda: None):
        pass
    assert (place / "search.json").read_bytes() == b"newer than the copy"
    assert fetch(tmp_path, place) == 0
    assert (tmp_path / "search.json").read_text() == "newer than the copy"


def test_while_the_store_is_away_it_is_said_and_later_made_good(
    s3: S3, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = StoragePath(s3.uri) / "rte"
    with Mirror(tmp_path, place, lambda: None):
        (tmp_path / "search.json").write_text("1")
        wait_until(lambda: (place / "search.json").exists())
        s3.stop()
        (tmp_path / "search.json").write_text("2")
        wait_until(lambda: caplog.messages, seconds=20)
        threading.Timer(0.5, s3.start).start()
    assert "cannot be written" in caplog.messages[0] and "training goes on" in caplog.messages[0]
    assert (place / "search.json").read_bytes() == b"2"


def test_a_store_that_stays_away_at_the_end_is_said_and_the_folder_keeps_all(
    s3: S3, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = StoragePath(s3.uri, patience=0.1) / "rte"
    with Mirror(tmp_path, place, lambda: None):
        (tmp_path / "search.json").write_text("1")
        wait_until(lambda: (place / "search.json").exists())
        s3.stop()
        (tmp_path / "search.json").write_text("2")
    s3.start()
    assert (
        "Ctrl-C ends that" in caplog.messages[-2]
        and "lacks the last changes" in caplog.messages[-1]
        and lacks(tmp_path)
    )
    with Mirror(tmp_path, place, lambda: None):
        pass
    assert (place / "search.json").read_bytes() == b"2" and not lacks(tmp_path)
