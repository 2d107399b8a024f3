"""The commands that messages print: quoted for a shell, and complete, so that they run in every working folder."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from orchestrator.settings import SearchSettings, flag

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
    return command_line("resume", name, output=output.expanduser(), storage=storage or None)


def as_arguments(options: Mapping[str, str | None], **flags: bool) -> list[str]:
    """Options as `read_settings` takes them, and flags, as a command line; what was not given is left out."""
    switches = {key: "yes" for key, given in flags.items() if given}
    arguments: list[str] = []
    for key, value in {**options, **switches}.items():
        if value is not None:
            arguments += [flag(key)] if key in flags or is_switch(key) else [flag(key), value]
    return arguments


def is_switch(key: str) -> bool:
    """Whether an option takes no value."""
    return SearchSettings.model_fields[key].annotation is bool
