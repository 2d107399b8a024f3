"""The spaces that come with the project: their names, their files, and which one fits a backbone and a task."""

import functools
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

from search_spaces.documents import read_document
from search_spaces.problems import SpaceError, did_you_mean, listing
from yaml_reader.home import from_home

Architecture = Literal["encoder-decoder", "decoder-only"]

_FOLDER = Path(__file__).parent
_TABLES = {"defaults"}  # YAML files of this folder that are no spaces


def space_names() -> list[str]:
    """The names of the shipped spaces, in alphabetical order."""
    return sorted(file.stem for file in _FOLDER.glob("*.yaml") if file.stem not in _TABLES)


def locate(name_or_file: str | Path) -> Path:
    """The file of a shipped space's name, or of a path.

    Raises:
        SpaceError: neither a shipped name nor a file.
    """
    names = space_names()
    if str(name_or_file) in names:
        return _FOLDER / f"{name_or_file}.yaml"
    file = from_home(name_or_file)
    if file.is_file():
        return file
    if file.is_dir():
        raise SpaceError([f"{file} is a folder; a search space is one YAML file, or one of {listing(names)}"])
    beside = {str(other): other.name for other in file.parent.glob("*.y*ml")} if file.suffix else {}
    near = next((path for path, other in beside.items() if did_you_mean(file.name, [other])), None)
    hint = f"; did you mean {near!r}?" if near else did_you_mean(file.stem, names)
    raise SpaceError([f"{str(name_or_file)!r} is neither a file nor a shipped search space ({listing(names)}){hint}"])


def default_space(*, backbone: str, architecture: Architecture, train_size: int | None) -> str:
    """The shipped space for a search that names none: the first row of `defaults.yaml` whose every condition holds.

    Args:
        backbone: name, hub id or folder of the backbone; its last part counts.
        architecture: the backbone's.
        train_size: rows of the task's training split, None where unknown.

    Raises:
        ValueError: no such architecture.
    """
    if architecture not in get_args(Architecture):
        raise ValueError(f"{architecture!r} is no architecture ({listing(get_args(Architecture))})")
    backbone = backbone.rstrip("/").rpartition("/")[2].lower()
    for row in _default_rows():
        if (
            any(fnmatchcase(backbone, pattern) for pattern in row.get("backbone", ["*"]))
            and architecture == row.get("architecture", architecture)
            and (train_size or 0) >= row.get("train_size_at_least", 0)
        ):
            return row["space"]
    raise AssertionError("the last row of defaults.yaml has no condition")


@functools.cache
def _default_rows() -> list[dict[str, Any]]:
    return read_document(_FOLDER / "defaults.yaml").data["defaults"]
