"""What this process has held of a host's memory at most, and giving back what it holds no longer. No torch here."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path


def peak() -> int:
    """Bytes that the process has held at most, since `forget_peak` where the system can (Linux)."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak() -> None:
    """Let the process's peak be what it holds now, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def give_back() -> None:
    """Free what nothing refers to, and return free memory to the system: glibc alone keeps it for the process."""
    gc.collect()
    with suppress(OSError, AttributeError):  # not on a Mac
        ctypes.CDLL(None).malloc_trim(0)
