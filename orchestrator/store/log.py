"""What a search says, kept in its folder, so that it can be followed from another terminal, or hours later."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from orchestrator.console import PlainConsole

LOG = "search.log"
LOOK_SECONDS = 0.5
WIDTH = 120


@contextmanager
def followed(folder: Path, console: Console) -> Iterator[Console]:
    """A search runs here: its log says what it prints.

    Yields:
        The console to print on: the one given where its output is the log already, else one that writes both.
    """
    with (folder / LOG).open("a", encoding="utf-8") as stream:
        if is_output(stream):
            yield console
            return
        stream.write(heading())
        yield LoggedConsole(console, stream)


def heading() -> str:
    """The line with which each start begins its part of the log."""
    return f"--- {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %Z}: {shlex.join(sys.argv)}\n"


def is_output(stream: IO[str]) -> bool:
    """Whether what this process prints goes to that file anyway."""
    with suppress(OSError, ValueError):  # an output without a file, as in tests
        return os.path.samestat(os.fstat(sys.stdout.fileno()), os.fstat(stream.fileno()))
    return False


class LoggedConsole(PlainConsole):
    """A console that also writes to a log, there without colours. What moves on a terminal is not written."""

    def __init__(self, shown: Console, stream: IO[str]) -> None:
        width = None if shown.is_terminal else shown.width  # a terminal may change its own
        super().__init__(file=shown.file, soft_wrap=shown.soft_wrap, width=width)
        self._log = PlainConsole(file=stream, width=WIDTH, color_system=None)

    def print(self, *objects: Any, **options: Any) -> None:
        """As `Console.print`; a log that cannot be written is no reason to end a search."""
        super().print(*objects, **options)
        with suppress(OSError):
            self._log.print(*objects, **options)
            self._log.file.flush()


def follow(log: Path, over: Callable[[], bool], shown: IO[str], start: int = 0) -> None:
    """Show what a log holds from byte ``start`` on, and what is written to it, until ``over``."""
    with log.open("rb") as stream:
        stream.seek(start)
        while True:
            last = over()  # asked before reading: what is written before the end is shown
            while data := stream.read(1 << 16):
                shown.write(data.decode(errors="replace"))
            shown.flush()
            if last:
                return
            time.sleep(LOOK_SECONDS)


def last_lines(log: Path, number: int) -> int:
    """Where the last so many lines of a log begin, in bytes."""
    data = log.read_bytes()
    lines = data.splitlines(keepends=True)
    return len(data) - sum(len(line) for line in lines[max(len(lines) - number, 0) :])
