"""A sweep from its YAML file: found by its name or path, and checked as a whole before anything starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import PrivateAttr

from orchestrator.sweep.estimates import check_time_limit
from orchestrator.sweep.expand import PlannedSearch, check_names, planned_searches
from orchestrator.sweep.state import SearchState
from orchestrator.sweep.sweep_keys import SweepKeys
from sweeps import FOLDER, sweep_names
from trials.errors import RowsError, UserError, did_you_mean
from yaml_reader import Document, DocumentError, read_document
from yaml_reader.home import from_home
from yaml_reader.models import validated


class SweepFile(SweepKeys):
    """A sweep file that was read; its keys are those of `SweepKeys`."""

    _path: Path = PrivateAttr(default=Path())

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._path

    @property
    def history_place(self) -> str:
        """Where its nights are kept, a path from the sweep file's folder; empty where it names none."""
        if not self.history or "://" in self.history:
            return self.history
        return str(self._path.parent / from_home(self.history))

    @property
    def name(self) -> str:
        """The sweep's name: the file's, without its ending."""
        return self._path.stem


def read_sweep(name_or_path: str | Path) -> SweepFile:
    """A sweep, checked: its searches can be planned.

    Raises:
        UserError: it is not there, or something in it is wrong; all problems at once, each with its line.
    """
    return read_and_plan(name_or_path)[0]


def read_and_plan(
    name_or_path: str | Path, places: Mapping[str, str | None] | None = None
) -> tuple[SweepFile, list[PlannedSearch]]:
    """A sweep and its searches.

    Args:
        places: options of every search that the command says: ``output``, ``tracking_uri`` and the like.

    Raises:
        UserError: as `read_sweep`; also what is wrong with `places`.
    """
    sweep, searches, _ = _planned(name_or_path, places or {}, rowless=None)
    return sweep, searches


def read_and_plan_what_has_rows(
    name_or_path: str | Path, places: Mapping[str, str | None] | None = None
) -> tuple[SweepFile, list[PlannedSearch], list[SearchState]]:
    """As `read_and_plan`, but an own task whose rows cannot be read stops no other: its searches have failed.

    Returns:
        The sweep, the searches that can be run, and those that have failed.

    Raises:
        UserError: as `read_and_plan`, for all that is not about rows.
    """
    return _planned(name_or_path, places or {}, rowless={})


def read_keys(name_or_path: str | Path) -> SweepFile:
    """A sweep whose keys are right by themselves: what they name (tasks, rows, spaces) is not looked for.

    Raises:
        UserError: it is not there, or a key or its value is wrong.
    """
    sweep, document = _keys(name_or_path)
    if document.found:
        raise UserError(document.problems)
    return sweep


def _planned(
    name_or_path: str | Path, places: Mapping[str, str | None], rowless: dict[str, RowsError] | None
) -> tuple[SweepFile, list[PlannedSearch], list[SearchState]]:
    sweep, document = _keys(name_or_path)
    folder = sweep.path.parent
    known = check_names(sweep, folder, document, rowless)
    searches, failed = planned_searches(sweep, known, folder, document, places, rowless or {})
    if not failed:  # the shortest may be among them
        check_time_limit(sweep, searches, document)
    if document.found:
        raise UserError(document.problems)
    return sweep, searches, failed


def _keys(name_or_path: str | Path) -> tuple[SweepFile, Document]:
    """A sweep file with what is wrong with its keys, which the document has found."""
    path = located(name_or_path)
    document = _read(path)
    sweep = validated(document, SweepFile)
    sweep._path = path
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", sweep.name):
        document.found.append(
            (0, f"{path.name}: the file names the sweep, so its name may hold letters, digits, '.', '_' and '-' only")
        )
    return sweep, document


def located(name_or_path: str | Path) -> Path:
    """The file of a shipped sweep's name, or of a path.

    Raises:
        UserError: there is neither.
    """
    text, names = str(name_or_path), sweep_names()
    if text in names:
        return FOLDER / f"{text}.yaml"
    path = from_home(text).absolute()
    if path.is_file():
        return path
    beside = [file.name for file in path.parent.glob("*.y*ml")] if path.parent.is_dir() and path.suffix else []
    hint = did_you_mean(path.name, beside) or did_you_mean(path.stem, names)
    raise UserError(
        [f"{text}: there is no such sweep file{hint}; sweeps that come with the project: {', '.join(names)}"]
    )


def _read(path: Path) -> Document:
    try:
        document = read_document(path)
    except DocumentError as error:
        raise UserError(error.problems) from error
    if not isinstance(document.data, dict):
        found = "nothing is in it" if document.data is None else f"found {document.data!r}"
        needed = ", ".join(SweepKeys.REQUIRED)
        raise UserError(
            [*document.problems, f"{document.name}:1: a sweep is a mapping with the key {needed}, ...; {found}"]
        )
    return document
