"""What a sandbox is: how a script of `trials.sandbox.inside` is started so that it is confined."""

from __future__ import annotations

import functools
import json
import os
import sys
import sysconfig
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from trials.sandbox import seccomp
from trials.sandbox.limits import Limits

NOBODY = 65534
"""The user that programs are run as where this process is root."""

INSIDE = Path(__file__).with_name("inside")
ENVIRONMENT = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
"""All that a script is told of its surroundings; sets have the same order in each run."""


class Sandbox(ABC):
    """One way to confine a process. Each is used only once it has been tried (`trials.sandbox.find`).

    Attributes:
        name: what messages and records call it.
        install: how to get it.
    """

    name: ClassVar[str]
    install: ClassVar[str]

    @abstractmethod
    def lacks(self) -> str:
        """Why it cannot be here, as far as that is known without trying; empty where it may."""

    @abstractmethod
    def wrapper(self, limits: Limits) -> list[str]:
        """What stands before the interpreter's command line."""

    def confinement(self, limits: Limits) -> dict[str, Any]:
        """What the script itself does (`inside/confine.py`), as JSON."""
        return {
            "user": NOBODY if os.geteuid() == 0 else None,
            "folder": None,
            "readable": None,
            "calls": seccomp.filter_code().hex(),
            "answer": limits.answer,
            "limits": {
                "CORE": 0,
                "CPU": limits.cpu_seconds,
                "AS": limits.memory,
                "FSIZE": limits.file,
                "NOFILE": limits.open_files,
                "NPROC": 0,
            },
        }

    def command(self, script: str, limits: Limits, keep: Sequence[int] = ()) -> list[str]:
        """The command line of a script of `inside`, which begins with its function `main`.

        Args:
            keep: open file numbers that the script is handed.
        """
        how = json.dumps({**self.confinement(limits), "keep": list(keep)})
        return [*self.wrapper(limits), interpreter(), "-s", "-S", "-P", "-c", source(script), how]


@functools.cache
def source(script: str) -> str:
    """A script with what it needs, as one text."""
    head = "from __future__ import annotations"
    texts = [(INSIDE / f"{name}.py").read_text(encoding="utf-8") for name in ("values", "confine", script)]
    lines = [line for text in texts for line in text.splitlines() if not line.startswith(("from trials.", head))]
    return "\n".join([head, *lines, "main(json.loads(sys.argv[1]))"])


@functools.cache
def interpreter() -> str:
    """The Python that programs are run by: this one, outside of any virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


@functools.cache
def readable() -> tuple[str, ...]:
    """Files and folders that the interpreter needs: itself, the standard library, shared libraries."""
    paths = [interpreter(), *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))]
    shared = sysconfig.get_config_var("LDLIBRARY") or ""
    folder = sysconfig.get_config_var("LIBDIR") or ""
    if ".so" in shared and folder:
        paths += [str(found) for found in Path(folder).glob(f"{shared}*")]
    paths += ["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"]
    return tuple(dict.fromkeys(path for path in paths if path and Path(path).exists()))


def ancestors(paths: Sequence[str]) -> Iterator[str]:
    """The folders above some paths, each once, from the top."""
    found = {str(parent) for path in paths for parent in Path(path).parents} - {"/"}
    yield from sorted(found, key=lambda path: (path.count("/"), path))
