"""A sweep's run in MLflow, above those of its searches: found again by the sweep's uid, written from its state.

It is in the experiment that its searches are in: so MLflow's table of runs shows sweep, searches and trials nested.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.record.status import TrialStatus
from orchestrator.tracking import notes
from orchestrator.tracking.bringing import Bringing, Change
from orchestrator.tracking.known import RUNNING, KnownRun
from orchestrator.tracking.projection import NOTE, RUN_STATUS, SWEEP, Point, milliseconds
from orchestrator.tracking.store import Store, StoreAwayError, open_store
from orchestrator.tracking.writer import Writer

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SweepShown:
    """What MLflow shows of a sweep at one moment. The same state of a sweep gives the same.

    Attributes:
        params: that never change. tags: that may; ``headline`` is the run's description as well.
        figures: numbers of the whole sweep.
        artifacts: files for the run's artifacts, of a sweep that has ended.
        status: ``running``, ``finished``, ``interrupted`` or ``failed``.
        started: when it began, in seconds since 1970. at: when it was as it is shown here, or when it ended, likewise.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    headline: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    artifacts: Sequence[Path] = ()
    status: TrialStatus = TrialStatus.RUNNING
    started: float = 0.0
    at: float = 0.0


class SweepRun(Bringing[SweepShown]):
    """Writes a sweep's run, and says its searches which it is.

    `put` returns at once: a thread writes. A store that is away stops nothing: what it lacks is written when it
    answers, now or by the next `SweepRun` of the same uid. All but `run_id` is for one thread.

    Args:
        name: the run's. uid: tells the sweep from all others, of the same name as well. shown: as it is now.
    """

    def __init__(self, store: Store, name: str, uid: str, shown: SweepShown) -> None:
        super().__init__(store)
        self.store = store
        self._name, self._uid, self._shown = name, uid, shown
        self._run: KnownRun | None = None
        self._attached: set[tuple[str, Path]] = set()
        self._making = threading.RLock()  # searches' threads ask for the run while the own one may be making it
        self._writer = Writer(self.bring, store.shown)
        self.put(shown)

    @classmethod
    def open(
        cls, tracking_uri: str | None, experiment: str, name: str, uid: str, shown: SweepShown, *, begun: bool = False
    ) -> SweepRun:
        """Find or create the store and the experiment.

        Args:
            begun: a sweep that goes on does so without its store; a new one must be able to write there.

        Raises:
            TrackingError: the store cannot be used.
        """
        try:
            store = open_store(tracking_uri, experiment)
        except StoreAwayError as error:
            if not begun:
                raise
            log.warning("%s. The sweep goes on without it, and MLflow is written when it answers", error.problems[0])
            store = error.store
        return cls(store, name, uid, shown)

    @property
    def experiment(self) -> str:
        """Name of the experiment that the sweep's searches belong to."""
        return self.store.name

    def run_id(self) -> str:
        """The run's id; finds or makes the run. Raises while the store does not answer."""
        with self._making:
            if self._run is None:
                self.read(self._shown)
            if self._run is None:
                self._create(self._shown)
            return self._found.run_id

    def put(self, shown: SweepShown) -> None:
        """Have MLflow brought to this."""
        self._shown = shown
        self._writer.put(shown)

    def flush(self, timeout: float = 30.0) -> bool:
        """Write everything now; whether that was possible within ``timeout`` seconds."""
        return self._writer.flush(timeout)

    def close(self, timeout: float = 30.0) -> list[str]:
        """Write the rest, for ``timeout`` seconds at most; log and return what was not written, in words."""
        left = list(self.refused) if self._writer.close(timeout) else self.left(self._shown)
        if left:
            log.warning("MLflow at %s has not taken: %s", self.store.shown, "; ".join(left))
        return left

    @property
    def _found(self) -> KnownRun:
        assert self._run is not None
        return self._run

    def _read(self, state: SweepShown) -> None:
        with self._making:
            found = self._runs.of_sweep(self._uid)
            self._run = found[-1] if found else None  # the first one: searches may be below it already

    def _changes(self, state: SweepShown) -> Iterator[Change]:
        start = f"the start of sweep {self._name}"
        if self._run is None:
            yield Change(start, partial(self._create, state))
        if (run := self._run) is None:
            return
        if state.status is TrialStatus.RUNNING and run.status != RUNNING:
            yield Change(start, partial(self._runs.reopen, run))
        params, tags = notes.texts(state.params), run.lacks(self._tags(state))
        if tags or params.keys() - run.params.keys():
            yield Change(f"the description of sweep {self._name}", partial(self._runs.describe, run, params, tags))
        figures, ended = notes.finite_numbers(state.figures), milliseconds(state.at or state.started)
        if any(run.metrics.get(name) != value for name, value in figures.items()):
            yield Change("the figures of the sweep", partial(self._runs.log, run, [Point(figures, 0, ended)]))
        for path in state.artifacts:
            if (run.run_id, path) not in self._attached:
                yield Change(f"the artifact {path.name}", partial(self._attach, run, path))
        if state.status is not TrialStatus.RUNNING and run.status != RUN_STATUS[state.status]:
            yield Change("the end of the sweep", partial(self._end, run, RUN_STATUS[state.status], ended))

    def _tags(self, state: SweepShown) -> dict[str, str]:
        own = {SWEEP: self._uid, "kind": "sweep", "sweep": self._name, "status": state.status.value}
        return {**notes.texts(state.tags), **own, **({NOTE: state.headline} if state.headline else {})}

    def _create(self, state: SweepShown) -> None:
        with self._making:
            if self._run is None:
                self._run = self._runs.create(self._name, self._tags(state), milliseconds(state.started))

    def _attach(self, run: KnownRun, path: Path) -> None:
        self._runs.upload(run, path)
        self._attached.add((run.run_id, path))

    def _end(self, run: KnownRun, status: str, ended: int) -> None:
        """End it, without another run that a server has made of a request which it was asked twice."""
        for other in self._runs.of_sweep(self._uid):
            if other.run_id != run.run_id:
                self._runs.delete(other)
        self._runs.end(run, status, {}, ended)
