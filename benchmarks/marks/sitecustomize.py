"""Imported by Python in every process of a search that `benchmarks.start_up` runs: says when functions are passed.

No file of the search is changed, so that any commit can be measured. Each mark is a datagram to the socket that
$START_UP_MARKS names: the process, seconds of the machine's monotonic clock, the mark.
"""

from __future__ import annotations

import functools
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any

MARKS = {
    "orchestrator.commands.search": [("start", "before", "command line read")],
    "orchestrator.plan.resolve": [("make_plan", "after", "plan made")],
    "orchestrator.plan.data": [("prepare_data", "after", "data tokenised")],
    "orchestrator.tracking.store": [("open_store", "after", "MLflow's store open")],
    "orchestrator.tracking.tracker": [("Tracker.start", "after", "search's run in MLflow")],
    "orchestrator.tune.cluster": [("connect", "after", "Ray up")],
    "orchestrator.run.start": [("decided", "after", "precision decided")],
    "orchestrator.engines.pool": [("EnginePool.start", "after", "engines loaded, as the driver sees it")],
    "orchestrator.engines.build": [
        ("build_engine", "before", "engine: process up"),
        ("build_engine", "after", "engine: ready"),
    ],
    "orchestrator.tune.trainable": [("TrialActor.setup", "before", "trial's actor up")],
    "trials.backbones.loading": [
        ("load_backbone", "before", "engine: imports"),
        ("load_backbone", "after", "engine: backbone loaded"),
    ],
    "trials.stack.measuring": [
        ("measure", "before", "engine: data opened"),
        ("measure", "after", "engine: passes measured"),
    ],
    "trials.engine": [("Engine.start", "before", "first trial in")],
    "trials.stack.step": [("Stack.step", "after", "first update")],
}
"""Module -> its functions, whether they are marked as they begin or as they end, and the mark."""

seen: set[str] = set()


def mark(name: str) -> None:
    """Say that a mark is passed; the first time in a process."""
    if name in seen:
        return
    seen.add(name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out, suppress(OSError):  # nobody listens any more
        out.sendto(f"{os.getpid()}\t{time.monotonic()}\t{name}".encode(), os.environ["START_UP_MARKS"])


def marked(function: Callable[..., Any], when: str, name: str) -> Callable[..., Any]:
    """The function, which marks as well."""

    @functools.wraps(function)
    def around(*arguments: Any, **more: Any) -> Any:
        if when == "before":
            mark(name)
            return function(*arguments, **more)
        found = function(*arguments, **more)
        mark(name)
        return found

    return around


class Loader:
    """Another loader, and the marks of its module when that is loaded."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """Load the module."""
        self._loader.exec_module(module)
        for path, when, name in MARKS[module.__name__]:
            *owners, last = path.split(".")
            owner: Any = functools.reduce(getattr, owners, module)
            found = owner.__dict__[last]
            if isinstance(found, classmethod):
                setattr(owner, last, classmethod(marked(found.__func__, when, name)))
            else:
                setattr(owner, last, marked(found, when, name))


class Finder:
    """Before all others in `sys.meta_path`: knows only the marked modules, which the others find."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The spec of a marked module."""
        if name not in MARKS:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found: Any = next(
            (spec for finder in others if (spec := finder.find_spec(name, path, target)) is not None), None
        )
        if found is not None:
            found.loader = Loader(found.loader)
        return found


if "START_UP_MARKS" in os.environ:
    sys.meta_path.insert(0, Finder())
