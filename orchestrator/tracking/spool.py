"""What MLflow is yet to be told of a search, on disk: in its order, until MLflow has said that it has it.

Everything goes through here, also while MLflow answers: a driver that is killed leaves behind what was not delivered,
and the next one delivers it. An operation may be delivered twice (its answer was lost, or the note of it), so each is
made such that the second time changes nothing: a point of a curve keeps the time at which it was reported, and MLflow
keeps one copy of equal points; a run is looked up before it is made again.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.record.errors import JournalError
from orchestrator.record.journal import Journal

log = logging.getLogger(__name__)

SEARCH = ""  # the key of the search's own run
_JOURNAL = "spool.jsonl"
_FILES = "files"


@dataclass
class Operation:
    """One thing that MLflow is to be told.

    Attributes:
        number: its place, from 1.
        kind: ``start``, ``metrics``, ``upload``, ``end``, ``delete`` or ``view``.
        run: the key of its run: `SEARCH`, or the name under which the trial was first told of.
        what: its name for people.
        data: what there is to tell, in JSON's types.
        doubtful: it may have been delivered before.
    """

    number: int
    kind: str
    run: str
    what: str
    data: dict[str, Any] = field(default_factory=dict)
    doubtful: bool = False


class Spool:
    """The operations of one search. Safe to use from two threads.

    Args:
        folder: where it is kept; None for a temporary one, which does not outlive `close`.

    Attributes:
        pending: operations from an earlier process that were not delivered, the oldest first.
        starts: the latest ``start`` of each run.
        runs: the ids of the runs that were made, by their keys. store: where they are, as people are shown it.
        ended: how the search ended, if this was told after it was last started; else empty.
        damage: what was wrong with the file; empty where nothing was.

    Raises:
        JournalError: the folder cannot be written, or another process delivers this search.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="tracking-")) if folder is None else folder
        self.pending: list[Operation] = []
        self.starts: dict[str, Operation] = {}
        self.runs: dict[str, str] = {}
        self.ended = ""
        self.store = ""
        self._last = 0
        self._staged: list[Mapping[str, Any]] = []
        self._lock = threading.Lock()
        self._journal: Journal | None = Journal(self.folder / _JOURNAL)
        self.damage = self._journal.damage
        self._full = False
        self._read(self._journal)

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether a search was ever tracked from there."""
        return (folder / _JOURNAL).exists()

    def search_started(self, store: str, run_id: str) -> None:
        """The search's run is this one now. In another store than before, no run of its trials was made yet."""
        with self._lock:
            if self.runs.get(SEARCH, run_id) != run_id or self.store not in ("", store):
                self.runs.clear()
            self.store, self.runs[SEARCH], self.ended = store, run_id, ""
            self._staged.append({"event": "search", "store": store, "run_id": run_id})
        self.commit()

    def add(self, kind: str, run: str, what: str, **data: Any) -> Operation:
        """A new operation, on disk with the next `commit`."""
        with self._lock:
            self._last += 1
            operation = Operation(self._last, kind, run, what, data)
            self._note(operation)
            entry = {"event": "tell", "number": operation.number, "kind": kind, "run": run, "what": what, "data": data}
            self._staged.append(entry)
        return operation

    def told(self, run: str | None = None) -> list[Operation]:
        """All that was told under a key, or under any, since its run was last deleted by us; delivered or not."""
        with self._lock:
            entries = [*(self._journal.entries() if self._journal is not None else ()), *self._staged]
        found: list[Operation] = []
        for entry in entries:
            if entry["event"] == "tell" and run in (None, entry["run"]):
                if entry["kind"] == "delete":
                    found = [operation for operation in found if operation.run != entry["run"]]
                else:
                    found.append(_operation(entry))
        return found

    def drop(self, runs: Collection[str]) -> None:
        """Leave out what an earlier process has not delivered of these runs: it is told anew."""
        self.delivered([operation for operation in self.pending if operation.run in runs])
        self.pending = [operation for operation in self.pending if operation.run not in runs]

    def keep(self, path: Path) -> str:
        """Copy a file, or a folder, and return where the copy is, relative to the spool: its owner may delete it."""
        parent = self.folder / _FILES
        parent.mkdir(parents=True, exist_ok=True)
        copy = Path(tempfile.mkdtemp(dir=parent)) / path.name
        try:
            shutil.copytree(path, copy) if path.is_dir() else shutil.copy2(path, copy)
        except OSError:
            shutil.rmtree(copy.parent, ignore_errors=True)
            raise
        return copy.relative_to(self.folder).as_posix()

    def made(self, run: str, run_id: str) -> None:
        """MLflow has made a run."""
        with self._lock:
            if self.runs.get(run) != run_id:
                self.runs[run] = run_id
                self._staged.append({"event": "made", "run": run, "run_id": run_id})

    def unmade(self, run: str) -> None:
        """A run of MLflow was deleted; what is told under this key from now on is of another."""
        with self._lock:
            self.runs.pop(run, None)
            self._staged.append({"event": "unmade", "run": run})

    def delivered(self, operations: Iterable[Operation]) -> None:
        """MLflow has these. Written with the next `commit`: until then a new process would deliver them again."""
        with self._lock:
            self._staged.append({"event": "delivered", "numbers": [operation.number for operation in operations]})
        for operation in operations:
            if operation.kind == "upload":
                shutil.rmtree((self.folder / operation.data["path"]).parent, ignore_errors=True)

    def commit(self) -> None:
        """Have everything on disk. On a full disk it stays in memory, and is tried again with the next call."""
        with self._lock:
            if self._journal is None or not self._staged:
                return
            try:
                self._journal.append(self._staged)
            except JournalError as error:
                if not self._full:
                    log.warning("what MLflow is to be told stays in memory for now: %s", error)
                self._full = True
                return
            self._staged = []
            self._full = False

    def close(self) -> None:
        """Write the rest and let another process have it."""
        self.commit()
        with self._lock:
            if self._journal is not None:
                self._journal.close()
            self._journal = None
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, journal: Journal) -> None:
        told: dict[int, Operation] = {}
        for entry in journal.found:
            event = entry["event"]
            if event == "tell":
                operation = _operation(entry)
                told[operation.number] = operation
                self._last = operation.number
                self._note(operation)
            elif event == "delivered":
                for number in entry["numbers"]:
                    told.pop(number, None)
            elif event == "made":
                self.runs[entry["run"]] = entry["run_id"]
            elif event == "unmade":
                self.runs.pop(entry["run"], None)
            else:
                if self.runs.get(SEARCH, entry["run_id"]) != entry["run_id"] or self.store not in ("", entry["store"]):
                    self.runs.clear()
                self.store, self.runs[SEARCH], self.ended = entry["store"], entry["run_id"], ""
        self.pending = list(told.values())
        self._remove_strays()

    def _note(self, operation: Operation) -> None:
        if operation.kind == "start":
            self.starts[operation.run] = operation
        if operation.kind == "end" and operation.run == SEARCH:
            self.ended = operation.data["tags"]["status"]

    def _remove_strays(self) -> None:
        """Copies that nobody will upload: a kill came between the copy and its entry, or after the delivery."""
        wanted = {Path(operation.data["path"]).parts[1] for operation in self.pending if operation.kind == "upload"}
        for folder in (self.folder / _FILES).glob("*"):
            if folder.name not in wanted:
                shutil.rmtree(folder, ignore_errors=True)


def _operation(entry: Mapping[str, Any]) -> Operation:
    """An operation as it stands in the journal: whether it was delivered is not certain."""
    return Operation(**{key: entry[key] for key in ("number", "kind", "run", "what", "data")}, doubtful=True)
