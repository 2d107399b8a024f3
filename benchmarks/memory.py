"""Peak memory of a command and of all processes below it, sampled while it runs."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import asdict, dataclass
from types import TracebackType

import psutil

WORKER = "ray::"  # how Ray titles the processes that run Python for it
AGENTS = ("DashboardAgent", "RuntimeEnvAgent")  # of these, Ray's own; a worker is IDLE while it imports a trial's code
SHARE_OF_TIME = 0.01  # that sampling may take of one core: the kernel walks through every mapping


@dataclass
class Peaks:
    """Proportional set sizes (PSS: pages shared by n processes count 1/n in each), in bytes; each its own maximum.

    Attributes:
        all_processes: the whole tree: driver, Ray's daemons, workers.
        workers: all worker processes of Ray, together: those that run trials or engines, and idle ones.
        largest_worker: the largest of them.
        worker_count: how many there were when they held the most.
        samples: how often it was looked; 0 where the system does not tell PSS.
    """

    all_processes: int = 0
    workers: int = 0
    largest_worker: int = 0
    worker_count: int = 0
    samples: int = 0


class PeakMemory:
    """Samples a process and its descendants in a thread.

    >>> with PeakMemory(process.pid) as memory:
    ...     process.wait()
    >>> memory.as_dict()
    """

    def __init__(self, pid: int | None = None, every_seconds: float = 0.5) -> None:
        self.peaks = Peaks()
        self._root = psutil.Process(pid or os.getpid())
        self._every = every_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def as_dict(self) -> dict[str, int]:
        """The peaks so far, for JSON."""
        return asdict(self.peaks)

    def sample(self) -> None:
        """Look once."""
        try:
            tree = [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return
        sizes = [(pss(process), is_worker(process)) for process in tree]
        workers = [size for size, worker in sizes if worker and size]
        if not any(size for size, _ in sizes):
            return
        peaks = self.peaks
        peaks.samples += 1
        peaks.all_processes = max(peaks.all_processes, sum(size for size, _ in sizes))
        peaks.largest_worker = max([peaks.largest_worker, *workers])
        if sum(workers) > peaks.workers:
            peaks.workers, peaks.worker_count = sum(workers), len(workers)

    def _run(self) -> None:
        wait = 0.0
        while not self._stop.wait(wait):
            started = time.thread_time()
            self.sample()
            wait = max(self._every, (time.thread_time() - started) / SHARE_OF_TIME)


def pss(process: psutil.Process) -> int:
    """A process's proportional set size in bytes; 0 where it has ended or the system does not tell."""
    try:
        return int(getattr(process.memory_full_info(), "pss", 0))
    except psutil.Error:
        return 0


def is_worker(process: psutil.Process) -> bool:
    """Whether it is one of Ray's workers, which run trials and engines."""
    try:
        title = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return title.startswith(WORKER) and not title.removeprefix(WORKER).startswith(AGENTS)
