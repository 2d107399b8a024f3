"""Brings MLflow to what a search's record says: one run for the search, one below it for each trial.

The record is the truth and MLflow a picture of it. What the store holds is read from the store, once and again after
anything has gone wrong there; what is missing follows from comparing the two. So it does not matter what was killed
when, whose answer was lost, which runs somebody has deleted, or how often all this is repeated.

MLflow's own callback in Ray loses its runs when a search is resumed: it makes new ones and leaves the old ones running.
Here every run carries the search and the trial in its tags and is found again by them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.record.record import SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.tracking import notes, projection
from orchestrator.tracking.bringing import Bringing, Change
from orchestrator.tracking.known import RUNNING, KnownRun, KnownRuns
from orchestrator.tracking.projection import ADAPTER, PARENT, RUN_STATUS, UID, End, Point, milliseconds
from orchestrator.tracking.store import Store

log = logging.getLogger(__name__)

FindAdapter = Callable[[int], Path | None]


@dataclass(frozen=True)
class State:
    """A search at one moment: its record, and how it ended, if it has."""

    record: SearchRecord
    end: End | None = None


class Sync(Bringing[State]):
    """Knows what the store holds of one search, and what it lacks.

    Args:
        params: settings of the search, a column each in the table of runs.
        tags: what else is worth knowing of it, such as the provenance.
        find_adapter: the folder of a trial's adapter by its number; None where there is none.
        earlier: the id of the search's run where a version made it that left no `UID` in its tags.
        above: the id of the run that the search's is nested below, once it is there; empty: none. Asks the store.
    """

    def __init__(
        self,
        store: Store,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        find_adapter: FindAdapter = lambda number: None,
        earlier: str = "",
        above: Callable[[], str] = lambda: "",
    ) -> None:
        super().__init__(store)
        self._params = dict(params)
        self._tags = notes.texts(tags)
        self._find_adapter = find_adapter
        self._earlier, self._above, self._top = earlier, above, ""
        self._known = KnownRuns()
        self._settled: dict[str, tuple[Any, ...]] = {}
        self._attached: set[tuple[str, Path]] = set()
        self._uploaded: dict[str, str] = {}
        self._viewed = False

    @property
    def parent(self) -> KnownRun | None:
        """The search's run; None until it is known."""
        return self._known.parent

    def start(self, record: SearchRecord) -> None:
        """Make or find the search's own run, and find those of its trials.

        Raises:
            Exception: whatever MLflow's client raises.
        """
        state = State(record)
        self.read(state)
        for change in self._of_search(state):
            change.make()

    def _read(self, state: State) -> None:
        self._known.read(self._runs, state.record.uid, self._earlier)
        self._settled, self._top = {}, self._above()

    def _changes(self, state: State) -> Iterator[Change]:
        """What is missing, one after the other: each is looked for when the one before it was made, or was not."""
        yield from self._of_search(state)
        if _start_of(state.record) in self.refused:
            return
        trials = projection.by_key(state.record)
        for key, trial in trials.items():
            if not self._viewed:
                names = list(projection.trial_params(state.record, trial))
                yield Change("the table of the trials", partial(self._view, names))
            yield from self._of_trial(state, trial, key)
        if state.end is not None:
            yield from self._of_end(state, state.end, trials)

    def _of_search(self, state: State) -> Iterator[Change]:
        record, start = state.record, _start_of(state.record)
        if self.parent is None:
            yield Change(start, partial(self._create_search, record))
        parent = self.parent
        if parent is None:
            return
        params = notes.texts(self._params)
        wanted = {UID: record.uid, **self._nested()}
        if state.end is None:
            wanted |= projection.search_tags(record, self._params, None)
            if parent.status != RUNNING:
                yield Change(start, partial(self._runs.reopen, parent))
        if (tags := parent.lacks(wanted)) or params.keys() - parent.params.keys():
            yield Change(start, partial(self._runs.describe, parent, params, tags))

    def _of_trial(self, state: State, trial: TrialRecord, key: str) -> Iterator[Change]:
        record = state.record
        status, reason = projection.standing(trial, state.end is not None)
        as_it_is = (trial.trial_id, status, reason, trial.step, trial.reruns)
        if self._settled.get(key) == as_it_is:
            return
        start, params = f"the start of {key}", projection.trial_params(record, trial)
        known = self._known.trials.get(key)
        if known is not None and (known.reruns < trial.reruns or known.contradicts(params)):
            yield Change(f"the deletion of {key}", partial(self._delete, key))
        if key not in self._known.trials and not projection.has_begun(trial):
            return
        if key not in self._known.trials:
            yield Change(start, partial(self._create_trial, record, trial, key))
        if start in self.refused:
            return
        run = self._known.trials.get(key, KnownRun(""))
        wanted = projection.trial_identity(record, trial, key, self.parent.run_id if self.parent else "")
        if status is TrialStatus.RUNNING:
            wanted |= projection.running_tags(record, trial)
            if run.status != RUNNING:
                yield Change(start, partial(self._runs.reopen, run))
        if run.run_id and (run.lacks(wanted) or params.keys() - run.params.keys()):
            yield Change(start, partial(self._runs.describe, run, params, run.lacks(wanted)))
        for batch in projection.points(record, trial, run.last_step):
            yield Change(f"reports of {key}", partial(self._log, key, batch))
        if status.has_ended:
            yield from self._of_trials_end(record, trial, key, status, reason)
        yield Change("", partial(self._settled.__setitem__, key, as_it_is))

    def _of_trials_end(
        self, record: SearchRecord, trial: TrialRecord, key: str, status: TrialStatus, reason: str
    ) -> Iterator[Change]:
        step = str(trial.best_step or trial.step)
        run = self._known.trials.get(key, KnownRun(""))
        if trial.reports and step not in (run.tags.get(ADAPTER), self._uploaded.get(run.run_id)):
            yield Change(f"the adapter of {key}", partial(self._upload_adapter, trial.number, key, step))
        adapter = step if step in (run.tags.get(ADAPTER), self._uploaded.get(run.run_id)) else ""
        tags = run.lacks(projection.ended_tags(record, trial, status, reason, adapter))
        if tags or run.status != RUN_STATUS[status]:
            ended = milliseconds(projection.trial_end(record, trial))
            yield Change(f"the end of {key}", partial(self._end_trial, key, RUN_STATUS[status], tags, ended))

    def _of_end(self, state: State, end: End, trials: Mapping[str, TrialRecord]) -> Iterator[Change]:
        record, parent = state.record, self.parent or KnownRun("")
        ended = milliseconds(projection.search_end(record))
        status, reason = projection.NOT_TAKEN_UP
        for key, run in list(self._known.trials.items()):
            if key not in trials and run.status == RUNNING:  # of a trial that the record has lost
                tags = {"status": status.value, "reason": reason}
                yield Change(f"the end of {key}", partial(self._runs.end, run, RUN_STATUS[status], tags, ended))
        figures = notes.finite_numbers(end.figures)
        if any(parent.metrics.get(name) != value for name, value in figures.items()):
            yield Change("the figures of the search", partial(self._runs.log, parent, [Point(figures, 0, ended)]))
        for path in end.artifacts:
            if (parent.run_id, path) not in self._attached:
                yield Change(f"the artifact {path.name}", partial(self._attach, parent, path))
        tags = parent.lacks(projection.search_tags(record, self._params, end))
        if tags or parent.status != RUN_STATUS[end.status]:
            yield Change(
                "the end of the search", partial(self._end_search, record, RUN_STATUS[end.status], tags, ended)
            )

    def _nested(self) -> dict[str, str]:
        return {PARENT: self._top} if self._top else {}

    def _create_search(self, record: SearchRecord) -> None:
        identity = {"search": record.name, "kind": "search", UID: record.uid, **self._nested(), **self._tags}
        running = projection.search_tags(record, self._params, None)
        started = milliseconds(projection.search_start(record))
        self._known.parent = self._runs.create(record.name, {**identity, **running}, started)
        self._warn_of_deletion("", record.name, 0)

    def _create_trial(self, record: SearchRecord, trial: TrialRecord, key: str) -> None:
        assert self.parent is not None
        identity = projection.trial_identity(record, trial, key, self.parent.run_id)
        started = milliseconds(projection.trial_start(record, trial))
        self._known.trials[key] = self._runs.create(
            key, {**identity, **projection.running_tags(record, trial)}, started
        )
        self._warn_of_deletion(key, key, trial.reruns)

    def _warn_of_deletion(self, key: str, name: str, reruns: int) -> None:
        if self._known.deleted.get(key, -1) >= reruns:
            log.warning("the run of %s was deleted in MLflow: it has a new one, with all its points", name)

    def _delete(self, key: str) -> None:
        self._runs.delete(self._known.trials[key])
        del self._known.trials[key]

    def _log(self, key: str, batch: list[Point]) -> None:
        self._runs.log(self._known.trials[key], batch)

    def _upload_adapter(self, number: int, key: str, step: str) -> None:
        folder = self._find_adapter(number)
        if folder is not None:
            self._runs.upload(self._known.trials[key], folder, ADAPTER)
            self._uploaded[self._known.trials[key].run_id] = step

    def _end_trial(self, key: str, status: str, tags: Mapping[str, str], ended: int) -> None:
        self._runs.end(self._known.trials[key], status, tags, ended)

    def _view(self, names: list[str]) -> None:
        assert self.parent is not None
        self._runs.save_view(self.parent.run_id, names)
        self._viewed = True

    def _attach(self, parent: KnownRun, path: Path) -> None:
        self._runs.upload(parent, path)
        self._attached.add((parent.run_id, path))

    def _end_search(self, record: SearchRecord, status: str, tags: Mapping[str, str], ended: int) -> None:
        """End it, without runs that stand for the same trial as another one.

        A server that is cut off may carry out what it was asked for after it was asked again.

        Raises:
            LookupError: a run that was made is not there any more: `bring` sees to it, and comes back.
        """
        assert self.parent is not None
        found = self._runs.of_search(record.uid)
        ours = {run.run_id for run in self._known.trials.values() if run.tags.get(UID) == record.uid}
        if not ours <= {run.run_id for run in found}:
            raise LookupError("a run was deleted meanwhile")
        for run in self._known.doubles(found):
            self._runs.delete(run)
        self._runs.end(self.parent, status, tags, ended)


def _start_of(record: SearchRecord) -> str:
    return f"the start of search {record.name}"
