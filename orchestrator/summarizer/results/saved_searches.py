"""Finds searches: in folders of records and in a tracking store, whatever else is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

from orchestrator.record.errors import RecordError
from orchestrator.record.record import RECORD, STARTED, SearchRecord
from orchestrator.store.predictions import read_predictions
from orchestrator.summarizer.results.found_search import FoundSearch, age
from orchestrator.summarizer.results.published import backbone_key, method_key, task_key
from trials.errors import UserError, did_you_mean

_KEYS: dict[str, Callable[[str], str]] = {
    "task": task_key,
    "method": method_key,
    "backbone": backbone_key,
    "name": str,
}
_DEEP = 6  # folders below the one named: a sweep's searches, not a whole disk


@dataclass(frozen=True)
class FoundSearches:
    """What was found, and what could not be read, each with its reason."""

    searches: tuple[FoundSearch, ...]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchFilter:
    """Which searches are wanted; an empty field wants all.

    Attributes:
        since, until: the first and the last day, of the machine's time zone, on which a search may have started.
    """

    tasks: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None

    @property
    def _wanted(self) -> dict[str, tuple[str, ...]]:
        return {"task": self.tasks, "method": self.methods, "backbone": self.backbones, "name": self.names}

    def of(self, searches: Sequence[FoundSearch]) -> tuple[FoundSearch, ...]:
        """The searches that are wanted.

        Raises:
            UserError: a task, method, backbone or name that no search has and this version does not know; all of them.
        """
        problems = []
        for attribute, values in self._wanted.items():
            key = _KEYS[attribute]
            there = {key(getattr(search.record, attribute)): getattr(search.record, attribute) for search in searches}
            known, names = ", ".join(sorted(set(there.values()))[:20]), [*there, *there.values()]
            problems += [
                f"--{attribute} {value}: no search has it{did_you_mean(value, names)}; there are: {known}"
                for value in values
                if searches and key(value) not in there and key(value) not in _known_here(attribute, key)
            ]
        if problems:
            raise UserError(problems)
        return tuple(search for search in searches if self._wants(search))

    def without(self, searches: Sequence[FoundSearch]) -> list[str]:
        """Tasks, methods and backbones that are selected and known, but that no search has, a sentence each."""
        return [
            f"--{attribute} {value}: no search has it yet"
            for attribute, values in self._wanted.items()
            for value in values
            if attribute != "name" and not self._there(attribute, value, searches)
        ]

    @staticmethod
    def _there(attribute: str, value: str, searches: Sequence[FoundSearch]) -> bool:
        key = _KEYS[attribute]
        return any(key(getattr(search.record, attribute)) == key(value) for search in searches)

    def _wants(self, search: FoundSearch) -> bool:
        for attribute, values in self._wanted.items():
            key = _KEYS[attribute]
            if values and key(getattr(search.record, attribute)) not in {key(value) for value in values}:
                return False
        if self.since is None and self.until is None:
            return True
        if search.started is None:
            return False
        day = search.started.astimezone().date()
        return (self.since or day) <= day <= (self.until or day)


def _known_here(attribute: str, key: Callable[[str], str]) -> set[str]:
    """What could be named without a search of it: the tasks, methods and backbones of this version."""
    from search_spaces import methods
    from trials.backbones.describe import backbone_names
    from trials.tasks import task_names

    known = {"task": task_names, "method": methods, "backbone": backbone_names}
    return {key(name) for name in known[attribute]()} if attribute in known else set()


def read_folders(folders: Iterable[str | os.PathLike[str]]) -> FoundSearches:
    """All search records in and below folders; a path may name a record itself.

    Raises:
        UserError: a path that is not there.
    """
    problems, searches, unread = [], [], []
    for folder in map(Path, folders):
        if folder.is_file():
            files = [folder]
        elif folder.is_dir():
            files = sorted(_records(folder))
        else:
            problems.append(f"{folder}: there is no such folder or record; searches write into runs/ by default")
            continue
        for file in files:
            try:
                record = SearchRecord.load(file)
            except (RecordError, OSError) as error:
                unread.append(str(error))
            else:
                rows = partial(read_predictions, file.parent / record.predictions) if record.predictions else None
                started = started_of(record, file.stat().st_mtime)
                searches.append(FoundSearch(record, started, str(file), rows, folder=file.parent))
    if problems:
        raise UserError(problems)
    return FoundSearches(unique(searches), tuple(unread))


def started_of(record: SearchRecord, fallback: float | None) -> datetime | None:
    """When a search began: the date in its record, else a time in seconds since 1970 that is near it."""
    text = record.provenance.get(STARTED)
    if isinstance(text, str):
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except ValueError:
            pass
    return datetime.fromtimestamp(fallback, UTC) if fallback is not None else None


def unique(searches: Iterable[FoundSearch]) -> tuple[FoundSearch, ...]:
    """Each search once, the oldest first: a copy of a record has the same name and the same trials."""
    found: dict[tuple[str, ...], FoundSearch] = {}
    for search in sorted(searches, key=lambda search: (age(search.started), search.source)):
        trials = sorted(trial.trial_id for trial in search.record.trials)
        key = (search.record.name, *trials)
        # Of two copies the one that knows more: a record is kept at every report, its copy in the store at the end.
        if key not in found or _known(search) >= _known(found[key]):
            found[key] = search
    return tuple(sorted(found.values(), key=lambda search: age(search.started)))


def _known(search: FoundSearch) -> tuple[bool, int]:
    return search.record.test is not None, sum(len(trial.reports) for trial in search.record.trials)


def _records(folder: Path) -> Iterable[Path]:
    base = len(folder.parts)
    for place, folders, files in os.walk(folder):
        here = Path(place)
        # A search's own folder holds thousands of checkpoint files and no other search.
        folders[:] = [] if RECORD in files or len(here.parts) - base >= _DEEP else sorted(folders)
        if RECORD in files:
            yield here / RECORD
