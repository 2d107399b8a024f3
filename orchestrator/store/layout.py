"""What lies where in a search's folder, and whose folder it is."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from trials.errors import UserError, did_you_mean

OPTIONS, DEFINITION, TUNE, ADAPTER = "options.json", "definition.json", "tune", "best_adapter"
PAGE = "report.html"


def find_search(name: str, output: Path, asked: str = "", sign: str = OPTIONS) -> Path:
    """The folder of a search that was started.

    Args:
        output: where searches write. asked: what stands before the name in the command, for the message. sign: the
            file that a search must have.

    Raises:
        UserError: there is none of that name.
    """
    if (output / name / sign).exists():
        return output / name
    searches = sorted(file.parent.name for file in output.glob(f"*/{sign}"))
    hint = did_you_mean(name, searches) or (f"; there: {', '.join(searches)}" if searches else "")
    elsewhere = "" if searches else "; name the folder that it is in with --output"
    raise UserError([f"{asked}{name}: there is no such search in {output.absolute()}{hint}{elsewhere}"])


def shown_path(path: Path) -> str:
    """The path from the working folder where it is below it."""
    with suppress(ValueError):
        return os.fspath(path.relative_to(Path.cwd()))
    return os.fspath(path)
