"""The commands that messages print: quoted for a shell, and complete, so that they run in every working folder."""

from __future__ import annotations

import shlex
from pathlib import Path

from yaml_reader.home import from_home

PROGRAM = "adept-search"


def command_line(*words: str | Path, **options: str | Path | None) -> str:
    """A command of this program, such as ``adept-search resume NAME --output '/tmp/my runs'``.

    Args:
        words: the command and its arguments.
        options: by their names in Python; one that is None is left out. Paths become absolute.
    """
    arguments = [PROGRAM, *map(str, words)]
    for key, value in options.items():
        if value is not None:
            arguments += [flag(key), str(value.resolve()) if isinstance(value, Path) else value]
    return shlex.join(arguments)


def resume_command(name: str, output: Path, storage: str | None = None) -> str:
    """The command that goes on with a search by its name alone.

    Args:
        output: the folder of results. storage: the search's storage, if it has one.
    """
    return command_line("resume", name, output=from_home(output), storage=storage or None)


def comma_separated(text: str | None) -> tuple[str, ...]:
    """The parts of an option's value that is a list with commas."""
    return tuple(part for piece in (text or "").split(",") if (part := piece.strip()))


def flag(key: str) -> str:
    """An attribute's option on the command line."""
    return "--" + key.replace("_", "-")
