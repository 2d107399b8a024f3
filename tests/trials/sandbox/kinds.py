"""The kinds of sandbox that work on this machine, and one that holds nothing."""

from __future__ import annotations

import functools
import struct
from typing import Any

import pytest

from trials.sandbox.base import Sandbox
from trials.sandbox.find import KINDS
from trials.sandbox.landlock import Landlock
from trials.sandbox.limits import Limits
from trials.sandbox.probe import problem_of

QUICK = Limits(cpu_seconds=1, wall_seconds=40.0)


class Open(Landlock):
    """Runs a program as any other: what the others hold back can be done in it."""

    name = "open"

    def confinement(self, limits: Limits) -> dict[str, Any]:
        everything = struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000).hex()
        own = {"CPU": limits.cpu_seconds, "CORE": 0}
        return {**super().confinement(limits), "readable": None, "calls": everything, "user": None, "limits": own}


class Closed(Landlock):
    """Cannot be had."""

    name = "closed"
    install = "buy a new machine"

    def lacks(self) -> str:
        return "there is none"


@functools.cache
def why_not(kind: type[Sandbox]) -> str:
    return kind().lacks() or problem_of(kind())


def usable(kind: type[Sandbox]) -> Sandbox:
    if why := why_not(kind):
        pytest.skip(f"{kind.name} does not work here: {why}")
    return kind()


def any_usable() -> Sandbox:
    """The first that works, for tests that do not look at the kind."""
    return usable(next((kind for kind in KINDS if not why_not(kind)), KINDS[0]))
