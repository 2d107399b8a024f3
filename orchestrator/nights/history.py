"""The nights of all sweeps in a folder or storage, one Parquet file each, with the answers that the gate compares.

``PLACE/nights/SWEEP/DATE.parquet`` is a night (`orchestrator.nights.night_files`), ``PLACE/predictions/SHA256.parquet``
what a winner answered to each test row, so that the folders of searches may be removed. A night is there when its file
is: each is put in place in one step, after the answers that it names.
"""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar

from orchestrator.nights.night import Cell, Night, SeedScore
from orchestrator.nights.night_files import (
    SCHEMA,
    DamagedNightError,
    KeptNight,
    NewerNightError,
    night_bytes,
    read_night,
)
from orchestrator.nights.verdict import Verdict
from orchestrator.record.strict_json import write_atomically
from orchestrator.store.paths import Folder, StoragePath, listed
from orchestrator.store.uris import storage_problems
from trials.errors import UserError, did_you_mean
from yaml_reader.home import from_home

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

FOLDER, NIGHTS, PREDICTIONS = "history", "nights", "predictions"
_AT_ONCE = 8  # files of a storage that are read at the same time
_NAME = re.compile(r"[^./\\\s][^/\\\0]*")  # of a sweep and of a night: a file's, and no hidden one


_KEPT = re.compile(rf"{PREDICTIONS}/[0-9a-f]{{64}}\.parquet")


class HistoryError(UserError):
    """The history cannot be read, or has not what was asked for."""


def default_history(output: Path) -> Path:
    """Where the nights of a folder of results are kept, unless a sweep file names another place."""
    return output / FOLDER


def place_of(text: str | Path) -> Folder:
    """The folder of a path, or the place of a URI."""
    return StoragePath(str(text)) if "://" in str(text) else from_home(text)


def history_problems(text: str, asked: str, *, to_read: bool = False) -> list[str]:
    """What is wrong with a history's place, a sentence each; a storage is tried.

    Args:
        asked: what names it, such as ``--history``, for the messages. to_read: as of `storage_problems`.
    """
    if "://" in text:
        return storage_problems(text, asked, to_read=to_read)
    folder = from_home(text)
    return [f"{asked} {text}: it is a file; name a folder or a URI"] if folder.is_file() else []


class History:
    """What earlier nights measured, and what the gate found.

    Args:
        place: a folder, or a storage's URI (as ``--storage`` takes).
    """

    def __init__(self, place: str | Path | StoragePath) -> None:
        self.place: Folder = place if isinstance(place, StoragePath) else place_of(place)

    def sweeps(self) -> list[str]:
        """The sweeps that have a night, sorted."""
        return [folder.name for folder in listed(self.place / NIGHTS, "*") if self._files(folder.name)]

    def nights(self, sweep: str, last: int | None = None) -> list[Night]:
        """The nights of a sweep by date, the last one last; their `SeedScore.predictions` are files of this host.

        Args:
            last: that many at most; all of them where it is left out.

        Raises:
            HistoryError: a later version wrote one of them.
            StorageError: the storage is away.
        """
        nights = [kept.night for kept in self.kept(sweep, last)]
        if isinstance(self.place, StoragePath):
            names = {one.predictions for night in nights for cell in night.cells for one in cell.scores}
            here = _at_once(self._fetched, sorted(names - {""}))
            files = dict(zip(sorted(names - {""}), here, strict=True))
            return [_with_predictions(night, lambda one: files.get(one.predictions, "")) for night in nights]
        place = self.place
        return [_with_predictions(night, lambda one: str(place / one.predictions)) for night in nights]

    def kept(self, sweep: str, last: int | None = None) -> list[KeptNight]:
        """Nights with their verdicts by date; `SeedScore.predictions` are paths below the history's place.

        A damaged file is left out with a warning, and stays as it is.
        """
        found = []
        files = self._files(sweep)
        for file, read in _read_from_the_end(files, last or len(files)):
            if isinstance(read, KeptNight):
                found.append(read)
            else:
                log.warning("%s is damaged and left out (%s); remove it, or bring it back from a backup", file, read)
        return found

    def append(
        self,
        night: Night,
        verdict: Verdict | None = None,
        champions: Sequence[Cell] = (),
        notes: Sequence[str] = (),
    ) -> Folder:
        """Keep a night and the answers that it names; the file of the same date is replaced.

        Whatever is killed in between, and however often: the night is there once, as it was or as it is given.

        Args:
            verdict, champions, notes: see `KeptNight`; what the page shows.

        Returns:
            The night's file.

        Raises:
            HistoryError: a later version wrote the file of that date, or no file can have that name.
            StorageError, OSError: the history cannot be written.
        """
        for name in (night.sweep, night.date):
            if not _NAME.fullmatch(name):
                raise HistoryError(f"{name!r} cannot name a file of the history: no slash, no dot in front")
        file = self.place / NIGHTS / night.sweep / f"{night.date}.parquet"
        if file.exists():
            self._make_room(file)
        kept = _with_predictions(night, lambda one: self._keep_predictions(one.predictions))
        _write(file, night_bytes(KeptNight(kept, verdict, tuple(map(_without_answers, champions)), tuple(notes))))
        return file

    def found(self, sweep: str) -> str:
        """The sweep's name, where it has a night.

        Raises:
            HistoryError: it has none.
        """
        known = self.sweeps()
        if sweep in known:
            return sweep
        if not known:
            raise HistoryError(f"{self.place}: there is no history here; a night writes one (adept-search nightly)")
        raise HistoryError(
            f"{sweep}: the history in {self.place} has no night of it{did_you_mean(sweep, known)}; "
            f"it has nights of {', '.join(known)}"
        )

    def _files(self, sweep: str) -> list[Folder]:
        return listed(self.place / NIGHTS / sweep, "*.parquet") if _NAME.fullmatch(sweep) else []

    def _make_room(self, file: Folder) -> None:
        """Before a night's file is replaced: a newer version's is not, and a damaged one's bytes are kept beside it."""
        read = _read(file)
        if isinstance(read, KeptNight):
            return
        data = file.read_bytes()
        beside = file.parent / f"{file.name}.damaged-{hashlib.sha256(data).hexdigest()[:8]}"
        log.warning("%s is damaged (%s): its bytes are kept as %s", file, read, beside.name)
        _write(beside, data)

    def _keep_predictions(self, path: str) -> str:
        """Copy a file of answers here, under the name of its content; its path below the place."""
        if _KEPT.fullmatch(path):  # of a night that was read from here
            return path
        try:
            data = Path(path).read_bytes()
        except FileNotFoundError:
            log.warning("%s is not there: the gate cannot compare the rows of that search", path)
            return ""
        name = f"{PREDICTIONS}/{hashlib.sha256(data).hexdigest()}.parquet"
        if not (self.place / name).exists():
            _write(self.place / name, data)
        return name

    def _fetched(self, name: str) -> str:
        """The file on this host that holds what is below that path of a storage; empty where nothing is."""
        here = Path(_fetched_files().name) / Path(name).name
        if not here.exists():
            try:
                data = (self.place / name).read_bytes()
            except FileNotFoundError:
                return ""
            write_atomically(here, data)
        return str(here)


def _read_from_the_end(files: list[Folder], wanted: int) -> list[tuple[Folder, KeptNight | str]]:
    """The last files with what is in them, sorted, until that many nights are found."""
    found: list[tuple[Folder, KeptNight | str]] = []
    while files and (lacking := wanted - sum(isinstance(read, KeptNight) for _, read in found)) > 0:
        files, now = files[:-lacking], files[-lacking:]
        found = [*zip(now, _at_once(_read, now), strict=True), *found]
    return found


def _read(file: Folder) -> KeptNight | str:
    """The night of a file, or what is wrong with it."""
    try:
        return read_night(file.read_bytes())
    except DamagedNightError as error:
        return str(error)
    except NewerNightError as error:
        raise HistoryError(
            f"{file} was written by a later version of adept-search (schema {error.schema}; this one reads up to "
            f"{SCHEMA}): use that version or a later one, or another history"
        ) from None


def _with_predictions(night: Night, path: Callable[[SeedScore], str]) -> Night:
    """The night with other paths where it has files of answers."""

    def moved(one: SeedScore) -> SeedScore:
        new = path(one) if one.predictions else ""
        return replace(one, predictions=new, trial=one.trial if new else 0)

    cells = tuple(replace(cell, scores=tuple(map(moved, cell.scores))) for cell in night.cells)
    return replace(night, cells=cells)


def _without_answers(cell: Cell) -> Cell:
    """A champion as the page shows it; its answers are the registry's."""
    return replace(cell, scores=tuple(replace(one, predictions="", trial=0) for one in cell.scores))


def _at_once(what: Callable[[T], R], things: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(what, things))


def _write(file: Folder, data: bytes) -> None:
    if isinstance(file, StoragePath):
        file.write_bytes(data)
    else:
        write_atomically(file, data)


@cache
def _fetched_files() -> tempfile.TemporaryDirectory[str]:
    """Removed when the process ends; names are those of contents, so any history may share it."""
    return tempfile.TemporaryDirectory(prefix="adept-search-predictions-")
