"""Which sandbox is used on this machine: the first one that holds when it is tried."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from trials.errors import UserError
from trials.sandbox.base import Sandbox
from trials.sandbox.bubblewrap import Bubblewrap
from trials.sandbox.landlock import Landlock
from trials.sandbox.probe import problem_of

KINDS: tuple[type[Sandbox], ...] = (Bubblewrap, Landlock)
"""Those that are tried, in this order."""


class SandboxError(UserError):
    """No sandbox can be had here, so nothing is run."""


@functools.cache
def usable_sandbox() -> Sandbox:
    """The sandbox for programs on this machine, tried once a process. Raises SandboxError where there is none."""
    return first_that_holds(KINDS)


def first_that_holds(kinds: Sequence[type[Sandbox]]) -> Sandbox:
    """The first kind that runs a program and holds it. Raises SandboxError with what is wrong with each."""
    found = {}
    for kind in kinds:
        sandbox = kind()
        found[kind] = sandbox.lacks() or problem_of(sandbox)
        if not found[kind]:
            return sandbox
    reasons = "; ".join(f"{kind.name}: {why}" for kind, why in found.items())
    ways = "; or ".join(f"{kind.name}: {kind.install}" for kind in kinds)
    raise SandboxError(
        f"programs that a model writes are run in a sandbox only, and none works on this machine ({reasons}). "
        f"Nothing was run. Install one: {ways}"
    )
