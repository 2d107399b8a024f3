"""A search's small files in its storage as well, so that it can be taken up on another machine when this one is lost.

Everything but the checkpoints, which trials write to the storage themselves: the record, the journals, the log, the
results. They are written here, and copied soon after each change.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.record.errors import LockError, StorageError
from orchestrator.record.strict_json import write_atomically
from orchestrator.store.layout import DEFINITION, TUNE
from orchestrator.store.lock import LOCK
from orchestrator.store.log import LOG
from orchestrator.store.paths import PATIENCE, StoragePath, one_line, safe_name

log = logging.getLogger(__name__)

STATE = "mirror.json"  # in the storage: how often was copied, and the names of the files
OWN_STATE = ".mirror.json"  # here: as of which copy, and whether that lacks nothing
EVERY = 1.0  # seconds between two looks at what has changed, at least
SHARE = 10  # a copy takes at most one part in so many of the time
LONGEST_PAUSE = 20.0  # seconds between two attempts while the storage is away


@dataclass
class Mirror:
    """Copies a search's files to its storage on a thread of its own. Use as a context manager, within the lock.

    Files are read in one order and written in the opposite one, so that whatever a kill cuts off, a journal is never
    behind what was recorded because of it, nor a definition ahead of the files of its search.

    Attributes:
        mine: raises where another process runs the search by now; then nothing is copied any more.
    """

    folder: Path
    place: StoragePath
    mine: Callable[[], None]

    def __post_init__(self) -> None:
        self._there: dict[str, tuple[int, int]] = {}
        self._copies = int(own_state(self.folder).get("copies", 0))
        self._token = secrets.token_hex(8)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def __enter__(self) -> Mirror:
        self._note()
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        """Copy the rest; where the storage is away, try for as long as the place has patience."""
        self._ended.set()
        self._thread.join()
        try:
            try:
                self._push(self.place.hasty(), complete=True)
            except StorageError as error:
                log.warning(
                    "%s cannot be written (%s): it is tried for %.0f minutes more; Ctrl-C ends that, and all is kept "
                    "in %s",
                    self.place,
                    reason(error),
                    self.place.patience / 60,
                    self.folder,
                )
                self._push(self.place, complete=True)
        except LockError:  # it is another process's to copy now
            return
        except (StorageError, OSError) as error:
            log.warning(
                "%s lacks the last changes (%s); they are kept in %s, and the same command copies them",
                self.place,
                reason(error),
                self.folder,
            )

    def _run(self) -> None:
        pause, away = EVERY, 0.0
        while not self._ended.wait(pause):
            started = time.monotonic()
            try:
                self._push(self.place.hasty())
            except LockError:
                return
            except (StorageError, OSError) as error:
                if not away:
                    away = started
                    log.warning(
                        "%s cannot be written (%s): it is tried again, and training goes on meanwhile; a checkpoint "
                        "waits for %.0f minutes at most",
                        self.place,
                        reason(error),
                        PATIENCE / 60,
                    )
                pause = min(LONGEST_PAUSE, 2 * pause)
                continue
            if away:
                log.warning("%s can be written again, after %.0f s", self.place, started - away)
                away = 0.0
            pause = max(EVERY, SHARE * (time.monotonic() - started))

    def _push(self, place: StoragePath, complete: bool = False) -> None:
        """Copy what has changed since the last time."""
        self.mine()
        now = states(self.folder)
        changed = sorted((name for name in now if self._there.get(name) != now[name]), key=reading_order)
        gone = self._there.keys() - now.keys()
        if not (changed or gone) and not complete:
            return
        there = read_state(place)
        if there is not None and there["copies"] != self._copies and there["by"] != self._token:
            raise StorageError(f"{self.place} was written by another process meanwhile")
        contents = {}
        for name in changed:
            with suppress(FileNotFoundError):  # it was a passing one
                contents[name] = whole_lines(name, (self.folder / name).read_bytes())
        for name in reversed(contents):
            (place / name).write_bytes(contents[name])
        (place / STATE).write_text(json.dumps({"copies": self._copies + 1, "by": self._token, "files": sorted(now)}))
        self._copies += 1
        self._note(complete)
        for name in gone:
            (place / name).unlink(missing_ok=True)
        self._there = now

    def _note(self, complete: bool = False) -> None:
        text = json.dumps({"copies": self._copies, "by": self._token, "complete": complete})
        write_atomically(self.folder / OWN_STATE, text)


def fetch(folder: Path, place: StoragePath) -> int:
    """Bring a search's files from its storage where it has newer ones than the folder, or the folder is not there.

    Returns:
        How many were fetched.

    Raises:
        StorageError: the storage cannot be read.
    """
    state, own = read_state(place), own_state(folder)
    if state is None or state["copies"] <= int(own.get("copies", 0)):
        return 0
    if state["by"] == own.get("by"):  # a kill came between the two notes of a copy: the folder is as new, or newer
        write_atomically(folder / OWN_STATE, json.dumps({"copies": state["copies"], "by": state["by"]}))
        return 0
    files = {}
    for name in sorted(state["files"], key=reading_order, reverse=True):
        with suppress(FileNotFoundError):  # a kill came between the two notes of its removal
            files[name] = (place / name).read_bytes()
    for name in states(folder).keys() - files.keys():
        (folder / name).unlink()
    for name, content in files.items():
        if name == LOG and (folder / LOG).exists():  # perhaps this process's own output
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    write_atomically(folder / OWN_STATE, json.dumps({"copies": state["copies"], "by": state["by"]}))
    log.info("%d files of this search were fetched from %s", len(files), place)
    return len(files)


def lacks(folder: Path) -> bool:
    """Whether the storage may lack something of a search that is over."""
    return not own_state(folder).get("complete")


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """Length and time of change of each file that belongs in the storage, by its path in the folder."""
    found = {}
    for here, folders, names in os.walk(folder):
        below = Path(here).relative_to(folder)
        folders[:] = [name for name in folders if not (name.startswith(".") or is_attempt(below / name))]
        for name in names:
            if name == LOCK or name.startswith("."):
                continue
            with suppress(FileNotFoundError):  # it was a passing one
                facts = Path(here, name).stat()
                found[(below / name).as_posix()] = facts.st_size, facts.st_mtime_ns
    return found


def is_attempt(path: Path) -> bool:
    """Whether a folder, from the search's own, is Ray Tune's of one run."""
    return path.parent == Path(TUNE) and path.name.startswith("attempt-")


def reading_order(name: str) -> tuple[int, str]:
    """Where a file comes among those that are read; they are written in the opposite order, journals first."""
    if name == DEFINITION:
        return 0, name
    return 3 if name.endswith(".jsonl") else 2 if name.endswith(".jsonl.length") else 1, name


def whole_lines(name: str, content: bytes) -> bytes:
    """A file's contents; of a journal that is being written, up to its last whole line."""
    return content[: content.rfind(b"\n") + 1] if name.endswith(".jsonl") else content


def reason(error: Exception) -> str:
    """What the storage itself answered."""
    if error.__cause__ is None and isinstance(error, StorageError):
        return error.found
    return one_line(error.__cause__ or error)


def read_state(place: StoragePath) -> dict[str, Any] | None:
    """How often a search was copied to its storage (``copies``), ``by`` whom, and its ``files``; None: never.

    Raises:
        StorageError: it cannot be read, or is damaged.
    """
    try:
        state = json.loads((place / STATE).read_bytes())
        names = [safe_name(name) for name in state["files"] if not name.startswith(f"{TUNE}/attempt-")]
        return {"copies": int(state["copies"]), "by": str(state["by"]), "files": names}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"{place / STATE} is damaged ({error}): what is there is not known; where this machine has the "
            "search's folder, remove that object, and the folder is copied again"
        ) from error


def own_state(folder: Path) -> dict[str, Any]:
    """Which copy a folder holds (``copies``), who made it (``by``), and whether it lacks nothing (``complete``).

    Empty where the folder was never copied.
    """
    try:
        document = json.loads((folder / OWN_STATE).read_bytes())
        return document if isinstance(document, dict) else {}
    except (OSError, ValueError):
        return {}
