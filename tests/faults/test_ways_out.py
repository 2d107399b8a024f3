"""Ctrl-C pressed twice, and a disk that is full: a word on what is kept, and the same command goes on from there."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from orchestrator.commands.messages import with_messages
from orchestrator.engines.training_loop import TrialLostError
from orchestrator.record.disk import LEAST_ROOM, cannot_write, no_room
from orchestrator.record.errors import DiskFullError, UnwritableError
from tests.commands import adept
from tests.faults.checks import JOURNAL, all_problems
from tests.faults.small_search import SHORT, START_SECONDS, Search, make_task


def reports(search: Search) -> int:
    try:
        return (search.folder / "tune" / JOURNAL).read_bytes().count(b'"event":"report"')
    except OSError:
        return 0


@pytest.mark.slow
def test_ctrl_c_twice_leaves_everything_to_go_on_from(
    engines_kept: None, default_database: Path, tmp_path: Path
) -> None:
    make_task(tmp_path, SHORT)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    search = Search(tmp_path, "twice", uri)
    process = search.start()
    end = time.monotonic() + START_SECONDS
    while reports(search) < 4:
        assert process.poll() is None and time.monotonic() < end, search.output
        time.sleep(0.05)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert process.wait(timeout=90) == 130, search.output
    assert "Traceback" not in search.output and "same command" in search.output, search.output
    adept(tmp_path, *search.arguments)
    assert all_problems(search.folder, uri, undisturbed=None) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for a search and little more."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size = f"size={LEAST_ROOM + (24 << 20)}"
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(folder)], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("a small disk can be made by root alone")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_said_and_the_search_goes_on_when_there_is_room(
    engines_kept: None, ray_address: str, default_database: Path, small_disk: Path, tmp_path: Path
) -> None:
    make_task(small_disk, SHORT)
    shutil.copy(default_database, small_disk / "mlflow.db")
    uri = f"sqlite:///{small_disk / 'mlflow.db'}"
    search = Search(small_disk, "full", uri)
    search.log = tmp_path / "full.log"
    process = search.start(ray_address)
    end = time.monotonic() + START_SECONDS
    while reports(search) < 4:
        assert process.poll() is None and time.monotonic() < end, search.output
        time.sleep(0.05)
    filler = small_disk / "filler"
    with filler.open("wb") as stream:
        try:
            while True:
                os.write(stream.fileno(), b"\0" * (1 << 16))
        except OSError:
            pass
    assert process.wait(timeout=120) == 2, search.output
    assert "no room left" in search.output and "make room, then give the same command again" in search.output
    assert "Traceback" not in search.output, search.output
    filler.unlink()
    adept(small_disk, *search.arguments)
    assert all_problems(search.folder, uri, undisturbed=None) == []


def test_little_room_is_found_before_it_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=LEAST_ROOM))
    assert no_room(tmp_path) is None
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=LEAST_ROOM - (2 << 20)))
    problem = no_room(tmp_path)
    assert isinstance(problem, DiskFullError) and "30 MB are free, 32 are needed" in str(problem)
    assert "no trial counts as failed for it" in str(problem)


def test_a_folder_that_may_not_be_written_any_more_is_no_fault_of_a_trial(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "s"
    inside = PermissionError(errno.EACCES, "Permission denied", str(folder / "tune" / "attempt-1" / ".checkpoint"))
    from_elsewhere = pickle.loads(pickle.dumps(inside))  # as the error of a trial's actor comes to its driver
    for found in (cannot_write(folder, inside), cannot_write(folder, from_elsewhere)):
        assert isinstance(found, UnwritableError)
        assert "make it writable" in str(found) and "give the same command again" in str(found)
    read_only = OSError(errno.EROFS, "Read-only file system", str(folder / "search.json"))
    assert "make its file system writable again" in str(cannot_write(folder, read_only))
    elsewhere = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "data" / "train.csv"))
    assert cannot_write(folder, elsewhere) is None
    assert cannot_write(folder, FileNotFoundError(errno.ENOENT, "No such file", str(folder / "x"))) is None
    assert isinstance(cannot_write(folder, OSError(errno.ENOSPC, "No space left on device")), DiskFullError)


def test_a_full_disk_of_an_engines_host_is_known_where_its_trial_is_given_up() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    lost = pickle.loads(pickle.dumps(TrialLostError("its host cannot pass a checkpoint on", full)))
    assert lost.error.errno == errno.ENOSPC and str(lost) == "its host cannot pass a checkpoint on"


def test_a_file_that_may_not_be_written_is_one_line_and_a_fault_of_ours_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(error: OSError) -> int:
        raise error

    refused = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "report.md"))
    with pytest.raises(typer.Exit) as ended:
        with_messages(lambda: fails(refused))
    said = capsys.readouterr().err
    assert ended.value.exit_code == 2 and said.count("\n") == 1
    assert said.startswith(f"error: {tmp_path / 'report.md'}: Permission denied; make it writable")
    with pytest.raises(FileNotFoundError):
        with_messages(lambda: fails(FileNotFoundError(errno.ENOENT, "No such file", "x")))
