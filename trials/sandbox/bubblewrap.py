"""Bubblewrap: namespaces of its own for files, processes, the network and the rest (https://github.com/containers/bubblewrap)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from trials.sandbox import seccomp
from trials.sandbox.base import Sandbox, ancestors, readable
from trials.sandbox.limits import Limits

SCRATCH = "/scratch"


class Bubblewrap(Sandbox):
    """A program sees the interpreter and an empty folder in memory, and no process but its own.

    As root the namespaces are made with root's rights, and the script becomes another user in them. Other users get a
    user namespace, in which they are nobody.
    """

    name = "bubblewrap"
    install = "apt-get install bubblewrap (dnf, pacman, apk: bubblewrap), and allow user namespaces unless you are root"

    def lacks(self) -> str:
        """See `Sandbox.lacks`."""
        if not seccomp.supported():
            return f"no filter of system calls for this machine ({', '.join(seccomp.MACHINES)} have one)"
        return "" if shutil.which("bwrap") else "no program `bwrap` on the PATH"

    def wrapper(self, limits: Limits) -> list[str]:
        """See `Sandbox.wrapper`."""
        apart = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        if os.geteuid() == 0:
            user = [
                "--cap-drop",
                "ALL",
                "--cap-add",
                "CAP_SETUID",
                "--cap-add",
                "CAP_SETGID",
                "--cap-add",
                "CAP_SETPCAP",
            ]
        else:
            user = ["--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"]
        links = {path: str(Path(path).readlink()) for path in readable() if Path(path).is_symlink()}
        bound = [path for path in readable() if path not in links]
        folders = [a for path in ancestors(bound) for a in ("--perms", "0755", "--dir", path)]
        files = [a for path in bound for a in ("--ro-bind", path, path)]
        files += [a for path, target in links.items() for a in ("--symlink", target, path)]
        scratch = ["--perms", "0777", "--size", str(limits.scratch), "--tmpfs", SCRATCH]
        bwrap = shutil.which("bwrap") or "bwrap"
        return [
            bwrap,
            *apart,
            *user,
            "--die-with-parent",
            "--new-session",
            *folders,
            *files,
            *scratch,
            "--remount-ro",
            "/",
        ]

    def confinement(self, limits: Limits) -> dict[str, Any]:
        """See `Sandbox.confinement`."""
        return {**super().confinement(limits), "folder": SCRATCH}
