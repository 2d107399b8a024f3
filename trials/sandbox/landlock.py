"""Landlock and seccomp: what Linux lets any process give up by itself, where no namespaces can be had."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from trials.sandbox import seccomp
from trials.sandbox.base import NOBODY, Sandbox, ancestors, interpreter, readable
from trials.sandbox.limits import Limits


class Landlock(Sandbox):
    """A program may read the interpreter's files and write nowhere; calls that reach further are refused.

    As root the script becomes another user, unless that one could not read the interpreter (one in root's home, say):
    then it stays root without a capability, and the rest holds it back.
    """

    name = "landlock"
    install = (
        "a Linux kernel from 5.13 on with Landlock and seccomp enabled (`lsm=...,landlock` among its boot options)"
    )

    def lacks(self) -> str:
        """See `Sandbox.lacks`."""
        if sys.platform != "linux":
            return "it is Linux' own"
        return "" if seccomp.supported() else f"no filter for this machine ({', '.join(seccomp.MACHINES)} have one)"

    def wrapper(self, limits: Limits) -> list[str]:
        """See `Sandbox.wrapper`."""
        return []

    def confinement(self, limits: Limits) -> dict[str, Any]:
        """See `Sandbox.confinement`."""
        how = super().confinement(limits)
        user = NOBODY if how["user"] is not None and _open_to_all() else None
        files = {**how["limits"], "FSIZE": 0}
        return {**how, "user": user, "folder": "/", "readable": list(readable()), "limits": files}


def _open_to_all() -> bool:
    """Whether any user can read the interpreter's files."""
    folders = [*ancestors(readable()), *(path for path in readable() if Path(path).is_dir())]
    return all(Path(path).stat().st_mode & 0o005 == 0o005 or path == interpreter() for path in folders)
