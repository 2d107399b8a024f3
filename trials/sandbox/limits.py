"""What a program may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one process in a sandbox. It may start no other, and no thread.

    Attributes:
        cpu_seconds: of processor time; a loop without an end is stopped by it, however busy the machine is.
        wall_seconds: from start to verdict, for programs that wait; generous, since a busy machine makes all wait.
        memory: bytes of address space.
        file: bytes of one file that it writes.
        scratch: bytes of all files that it writes, where it can write any.
        open_files: at most.
        answer: bytes of one value that it hands over.
    """

    cpu_seconds: int = 10
    wall_seconds: float = 60.0
    memory: int = 512 << 20
    file: int = 1 << 20
    scratch: int = 16 << 20
    open_files: int = 32
    answer: int = 8 << 20
