"""Paths that begin with ``~``, as people write them in options, files and environments."""

from __future__ import annotations

from pathlib import Path

from yaml_reader.errors import UserError


def from_home(path: str | Path, fix: str = "write the path in full") -> Path:
    """The path with the home folder in the place of ``~`` or ``~user``; any other path as it is.

    Args:
        fix: what helps where there is no home folder, beside setting HOME.

    Raises:
        UserError: the path begins with ``~``, and there is no such home folder: a container's user may have none.
    """
    path = Path(path)
    try:
        return path.expanduser()
    except RuntimeError:
        user = path.parts[0].removeprefix("~")
        if user:
            raise UserError(f"{path}: the system knows no user {user} with a home folder; {fix}") from None
        why = "HOME is not set, and the system knows no home folder of this user"
        raise UserError(f"{path}: {why}; set HOME, or {fix}") from None
