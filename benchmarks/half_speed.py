"""A machine half as fast: a process and its descendants, stopped and continued in turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

TURN = 0.02  # seconds of work, and as many of rest


@contextmanager
def half_speed(pid: int) -> Iterator[None]:
    """Let a process and all that it has started, now or later, work half of the time while the context lasts.

    Everything that they do takes twice as long, whatever it waits for: a busy neighbour would slow down some kinds of
    work more than others.
    """
    over = threading.Event()

    def turns() -> None:
        known: dict[int, psutil.Process] = {}
        looked = 0.0
        while not over.is_set():
            if time.monotonic() > looked + 0.5:
                with suppress(psutil.Error):
                    top = psutil.Process(pid)
                    known |= {one.pid: one for one in [top, *top.children(recursive=True)]}
                looked = time.monotonic()
            _each(known, "suspend")
            time.sleep(TURN)
            _each(known, "resume")
            time.sleep(TURN)

    thread = threading.Thread(target=turns, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _each(processes: dict[int, psutil.Process], what: str) -> None:
    for number, process in list(processes.items()):
        try:
            getattr(process, what)()
        except psutil.NoSuchProcess:
            del processes[number]
        except psutil.Error:
            continue
