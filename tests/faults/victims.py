"""Which process to kill: only ever one that this harness has started, found through its driver's children."""

from __future__ import annotations

import os
import random
from contextlib import suppress

import psutil

from tests.faults.small_search import MARK

DRIVER, ENGINE, ACTOR, SERVER = "driver", "engine", "trial actor", "tracking server"


def below(driver: int) -> list[psutil.Process]:
    """All processes that descend from a driver: its local Ray's, and their workers."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(driver).children(recursive=True)
    return []


def kind_of(process: psutil.Process) -> str | None:
    """Whether a process is an engine or a trial's actor; None for all others."""
    with suppress(psutil.Error):
        title = " ".join(process.cmdline()).strip()
        if title.startswith("ray::EngineActor"):
            return ENGINE
        if title.startswith(("ray::TrialActor", "ray::ResourceTrainable")):
            return ACTOR
    return None


def choose(driver: int, kind: str, draw: random.Random) -> psutil.Process | None:
    """A process of that kind below a driver, or the driver itself; None where there is none now."""
    if kind == DRIVER:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(driver)
        return None
    found = sorted((p for p in below(driver) if kind_of(p) == kind), key=lambda p: p.pid)
    return draw.choice(found) if found else None


def left_behind(mark: str) -> list[psutil.Process]:
    """Processes that inherited a search's mark and live on."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark and process.status() != "zombie":
                found.append(process)
    return found
