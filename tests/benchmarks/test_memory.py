"""Peak memory counts what a command's children hold."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from benchmarks.memory import PeakMemory, is_worker, pss

pytestmark = pytest.mark.skipif(not pss(psutil.Process()), reason="this system does not tell proportional set sizes")
HELD = 64 << 20
CHILD = f"import sys; held = bytearray({HELD}); print('up', flush=True); sys.stdin.read()"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen(['ray::Engine.train', '-c', {CHILD!r}], executable=sys.executable)
child.wait()
"""


def test_what_children_hold_is_counted_and_workers_are_told_apart() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=pipe, stdout=pipe, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        with PeakMemory(parent.pid, every_seconds=0.01) as memory:
            pass
        memory.sample()
        parent.stdin.close()
        peaks = memory.peaks
    assert HELD < peaks.workers == peaks.largest_worker < peaks.all_processes < 4 * HELD
    assert peaks.worker_count == 1


@pytest.mark.parametrize(
    ("title", "worker"),
    [("ray::Engine.train", True), ("ray::TrialActor", True), ("ray::IDLE", True), ("ray::DashboardAgent", False),
     ("ray::RuntimeEnvAgent", False), ("raylet", False)],
)  # fmt: skip
def test_rays_own_helpers_are_no_workers(title: str, worker: bool) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([title, "-c", "echo up; read x"], executable="/bin/sh", stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert is_worker(psutil.Process(process.pid)) is worker
        process.stdin.close()


def test_a_command_that_has_ended_is_no_error() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process, PeakMemory(process.pid) as memory:
        process.wait()
        memory.sample()
    assert memory.as_dict()["workers"] == 0
