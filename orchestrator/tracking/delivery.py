"""Does to MLflow's runs what the spool's operations say. Each may be done twice: the second time changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from orchestrator.tracking.runs import PARENT, Runs
from orchestrator.tracking.spool import SEARCH, Operation, Spool

METRICS_A_CALL = 1000  # MLflow's own limit

log = logging.getLogger(__name__)


class Delivery:
    """Knows which run of MLflow is meant by each key of the spool."""

    def __init__(self, runs: Runs, spool: Spool) -> None:
        self._runs = runs
        self._spool = spool

    def __call__(self, waiting: Sequence[Operation]) -> list[Operation]:
        """Deliver the first operation, and reports of the same run with it; returns what was delivered.

        Raises:
            Exception: whatever MLflow's client raises; nothing counts as delivered then.
        """
        try:
            return self._deliver(waiting)
        except Exception:
            if not self._is_gone(waiting[0].run):
                raise
        if waiting[0].kind == "delete":
            self._spool.unmade(waiting[0].run)
            return [waiting[0]]
        self._make_anew(waiting[0].run)
        return self._deliver(waiting)

    def _deliver(self, waiting: Sequence[Operation]) -> list[Operation]:
        first = waiting[0]
        if first.kind == "metrics":
            return self._metrics(waiting)
        data = first.data
        if first.kind == "start":
            self._start(first)
        elif first.kind == "delete":
            self._delete(first)
        elif first.kind == "upload":
            self._runs.upload(self._run_of(first), self._spool.folder / data["path"], data["folder"])
        elif first.kind == "view":
            self._runs.save_view(self._run_of(first), data["params"])
        else:
            run_id = self._run_of(first)
            if first.run == SEARCH:
                self._runs.drop_doubles(run_id, {i for key, i in self._spool.runs.items() if key != SEARCH})
            self._runs.end(run_id, data["status"], data["tags"], data["time"])
        return [first]

    def _metrics(self, waiting: Sequence[Operation]) -> list[Operation]:
        """As many whole reports of one run as one call takes, all or none of them."""
        batch = self._batch(waiting)
        self._runs.log(self._run_of(waiting[0]), [operation.data for operation in batch])
        return batch

    @staticmethod
    def _batch(waiting: Sequence[Operation]) -> list[Operation]:
        batch: list[Operation] = []
        count = 0
        for operation in waiting:
            if operation.run != waiting[0].run:
                continue
            values = operation.data.get("values", ())
            if operation.kind != "metrics" or (batch and count + len(values) > METRICS_A_CALL):
                break
            batch.append(operation)
            count += len(values)
        return batch

    def _start(self, operation: Operation) -> None:
        data: dict[str, Any] = operation.data
        run_id = self._spool.runs.get(operation.run)
        if run_id is None and operation.doubtful:  # it may have been made, and the answer lost
            run_id = self._found(operation.run)
        if run_id is not None:
            self._runs.reopen(run_id)
            self._runs.describe(run_id, data["params"], data["running"])
            return
        self._make(operation)

    def _make(self, start: Operation) -> str:
        data: dict[str, Any] = start.data
        below = {} if start.run == SEARCH else {PARENT: self._spool.runs[SEARCH]}
        run_id = self._runs.create(data["name"], {**data["identity"], **below, **data["running"]}, data["time"])
        self._spool.made(start.run, run_id)
        self._runs.describe(run_id, data["params"], {}, fresh=True)
        return run_id

    def _is_gone(self, run: str) -> bool:
        with suppress(Exception):  # nobody answers: then that is what went wrong before, too
            return run in self._spool.starts and run in self._spool.runs and self._runs.is_gone(self._spool.runs[run])
        return False

    def _make_anew(self, run: str) -> None:
        """Another run for one that somebody has deleted, with all the points that the first one was told."""
        former, start = self._spool.runs[run], self._spool.starts[run]
        self._spool.unmade(run)
        run_id = self._make(start)
        reports = [operation for operation in self._spool.told(run) if operation.kind == "metrics"]
        while reports:
            batch = self._batch(reports)
            self._runs.log(run_id, [operation.data for operation in batch])
            reports = reports[len(batch) :]
        if run == SEARCH:
            self._runs.adopt(former, run_id)
        log.warning("the run of %s was deleted in MLflow: it has a new one, with all its points", start.data["name"])

    def _delete(self, operation: Operation) -> None:
        run_id = self._spool.runs.get(operation.run) or self._found(operation.run)
        if run_id is not None:
            self._runs.client.delete_run(run_id)
            self._spool.unmade(operation.run)

    def _run_of(self, operation: Operation) -> str:
        """The id of the operation's run. It is made here where the note of its start was lost, or the store is new."""
        run = operation.run
        if run not in self._spool.runs and self._found(run) is None:
            self._start(self._spool.starts[run])
        return self._spool.runs[run]

    def _found(self, run: str) -> str | None:
        run_id = self._runs.trial(self._spool.runs[SEARCH], run)
        if run_id is not None:
            self._spool.made(run, run_id)
        return run_id
