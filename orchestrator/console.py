"""What is printed, and that it can be: texts from users as they are, on an output of any encoding."""

from __future__ import annotations

import codecs
import logging
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

INTERRUPTED = 130  # the shell's code for Ctrl-C

SPELLED = {"±": "+/-", "×": "x", "÷": "/", "–": "-", "—": "-", "−": "-", "…": "...", "·": "*", "“": '"', "”": '"'}
"""What stands for a character of our own tables and sentences where the output has none for it."""

_HANDLER = "orchestrator.spelled"


class PlainConsole(Console):
    """A console on which nothing in a text is a command: titles, paths and errors come from outside.

    Rich's markup would take ``[/x]`` for an end tag and raise, ``[red]`` for a colour, and ``:key:`` for an emoji.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **options})


class _Shown(logging.Handler):
    """Hands each message of a log to a display."""

    def __init__(self, show: Callable[[logging.LogRecord], object]) -> None:
        super().__init__(logging.INFO)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        """Show it; a display that fails is no reason to end what was going on."""
        try:
            self._show(record)
        except Exception:
            self.handleError(record)


@contextmanager
def messages_shown(show: Callable[[logging.LogRecord], object]) -> Iterator[None]:
    """Until the context ends, what the modules of this program log goes to a display, and nowhere else."""
    logger = logging.getLogger(__package__)
    before = logger.handlers[:], logger.propagate, logger.level
    logger.handlers, logger.propagate = [_Shown(show)], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])


def messages_on(console: Console) -> Callable[[logging.LogRecord], None]:
    """A display of messages: a line each, such as ``note: ...``."""
    return lambda record: console.print(
        f"{'warning' if record.levelno >= logging.WARNING else 'note'}: {record.getMessage()}"
    )


def prepare_output() -> None:
    """Let this process print every character: one that the output's encoding lacks is spelled, or becomes ``?``.

    Once, where a command is entered: a search must not end, nor a report be lost, over a sign in its last line.
    """
    codecs.register_error(_HANDLER, spelled)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where a test or another program has put its own
            stream.reconfigure(errors=_HANDLER)


def spelled(error: UnicodeError) -> tuple[str, int]:
    """An error handler for encoding (`codecs.register_error`)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_spelled(letter) for letter in error.object[error.start : error.end]), error.end


def _spelled(letter: str) -> str:
    if letter in SPELLED:
        return SPELLED[letter]
    base = unicodedata.normalize("NFKD", letter)[0]  # é without its accent
    return base if base.isascii() else "?"
