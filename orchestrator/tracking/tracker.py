"""A search's MLflow runs, as its driver, their only writer, keeps them up to date."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.record.record import SearchRecord
from orchestrator.record.secrecy import without_secrets
from orchestrator.record.status import TrialStatus
from orchestrator.tracking.projection import End
from orchestrator.tracking.store import Store, TrackingError, open_store
from orchestrator.tracking.sync import FindAdapter, State, Sync
from orchestrator.tracking.writer import Writer

__all__ = ["End", "Tracker", "TrackingError"]

log = logging.getLogger(__name__)


class Tracker:
    """Writes one search into MLflow. All calls but `start`, `flush` and `close` return at once; a thread does the rest.

    A store that goes away in the middle does not stop a search, and neither a store nor a driver that never comes back
    loses anything: the record says what there is to write, and a tracker of the same search writes what is missing. As
    a context it leaves no run running, whatever ends it. All methods are for one thread.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._sync: Sync | None = None
        self._writer: Writer[State] | None = None
        self._record: SearchRecord | None = None
        self._last: State | None = None
        self._closed = False

    @classmethod
    def open(cls, tracking_uri: str | None, experiment: str, artifact_root: Path | None = None) -> Tracker:
        """Find or create the store and the experiment (`open_store`), before any trial starts.

        Raises:
            TrackingError: the store cannot be used; within seconds.
        """
        return cls(open_store(tracking_uri, experiment, artifact_root))

    def start(
        self,
        record: SearchRecord,
        params: Mapping[str, Any] = {},
        tags: Mapping[str, str] = {},
        find_adapter: FindAdapter = lambda number: None,
        earlier: str = "",
        above: Callable[[], str] = lambda: "",
    ) -> None:
        """Make the search's run, or find it and those of its trials; a store that is away is asked later.

        Args:
            record: the search's, with its ``uid``; it may change while it is written (`put`).
            params, tags, find_adapter, earlier, above: see `Sync`.

        Raises:
            TrackingError: the store answered, and does not take the search.
        """
        if not record.uid:
            raise ValueError(f"search {record.name} has no uid: nothing tells its runs from those of others")
        self._record = record
        self._sync = Sync(self.store, params, tags, find_adapter, earlier, above)
        self._writer = Writer(self._sync.bring, self.store.shown)
        if self.store.connected:
            try:
                self._sync.start(record)
            except Exception as error:
                self._sync = self._writer = None
                why = without_secrets(str(error), self.store.uri)
                raise TrackingError([f"{self.store.shown!r} does not take search {record.name!r}: {why}"]) from error
        self.put(record)

    def put(self, record: SearchRecord) -> None:
        """Have MLflow brought to what the record says now."""
        self._put(record, None)

    def end(self, record: SearchRecord, end: End) -> None:
        """The search ended: its figures, its files, its winner. No trial counts as running then."""
        self._put(record, end)

    def flush(self, timeout: float = 30.0) -> bool:
        """Write everything now; whether that was possible within ``timeout`` seconds."""
        return self._writer is None or self._writer.flush(timeout)

    def close(self, timeout: float = 30.0) -> list[str]:
        """Write the rest, for ``timeout`` seconds at most; log and return what was not written, in words."""
        if self._writer is None or self._sync is None or self._last is None:
            return []
        written = self._writer.close(timeout)
        left = list(self._sync.refused) if written else self._sync.left(self._last)
        if left and not self._closed:
            log.warning("MLflow at %s has not taken: %s", self.store.shown, "; ".join(left))
        self._closed = True
        return left

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if kind is not None and self._record is not None and self._last is not None and self._last.end is None:
            self.end(
                self._record,
                End(status=TrialStatus.INTERRUPTED if issubclass(kind, KeyboardInterrupt) else TrialStatus.FAILED),
            )
        self.close()

    def ui_url_hint(self) -> str:
        """What to type to look at the search; for a server, which has its interface already, the address to open."""
        if self.store.is_server:
            return f"{self.store.shown.rstrip('/')}{self.page}"
        return f"mlflow ui --backend-store-uri {shlex.quote(self.store.shown)}"

    @property
    def page(self) -> str:
        """The table of the search's trials, the best first; goes after the address of an interface."""
        # The bare page of an experiment is MLflow's for language model applications, and shows no runs.
        if not self.store.connected or self._sync is None or self._sync.parent is None:
            return ""
        parent = self._sync.parent.run_id
        return f"/#/experiments/{self.store.experiment.experiment_id}/runs?viewStateShareKey={parent}"

    def _put(self, record: SearchRecord, end: End | None) -> None:
        """Hand a copy of the record on: the writer reads it while this one changes. Reports are only ever added."""
        if self._writer is None:
            raise RuntimeError("the search was not started on this tracker")
        trials = [replace(trial, reports=list(trial.reports)) for trial in record.trials]
        self._record, self._last = record, State(replace(record, trials=trials), end)
        self._writer.put(self._last)
