"""The MLflow record of a search: one parent run, one child run a trial. The driver is the only writer.

MLflow's own callback in Ray loses its runs when a search is resumed: it makes new ones and leaves the old ones running.
Here every run carries the search and the trial in its tags and is found again by them.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator import tracking_notes as notes
from orchestrator.records import Status, is_finite
from orchestrator.tracking_runs import NOTE, PARENT, Runs, TrialRun, now
from orchestrator.tracking_store import DEFAULT_DATABASE, URI_VARIABLE, Store, TrackingError, open_store
from orchestrator.tracking_writer import Writer

__all__ = ["Tracker", "TrackingError"]

log = logging.getLogger(__name__)

RUN_STATUS: dict[str, str] = {
    "finished": "FINISHED",
    "stopped early": "FINISHED",
    "diverged": "FAILED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}


class Tracker:
    """Writes one search into MLflow. The calls that tell of trials return at once; a thread delivers them.

    A store that goes away in the middle does not stop a search: what is to be written waits, and ``close`` says what
    was never delivered. As a context it leaves no run running, whatever ends it. All methods are for one thread.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._runs = Runs(store)
        self._writer = Writer(self._runs.ask, store.shown)
        self._spool = Path(tempfile.mkdtemp(prefix="tracking-"))
        self._trials: dict[str, TrialRun] = {}
        self._search = ""
        self._params: dict[str, Any] = {}
        self._parent = ""
        self._viewed = False
        self._ended = False

    @classmethod
    def open(cls, tracking_uri: str | None, experiment: str, artifact_root: Path | None = None) -> Tracker:
        """Find or create the store and the experiment (``tracking_store.open_store``), before any trial starts.

        Raises:
            TrackingError: the store cannot be used; within seconds.
        """
        return cls(open_store(tracking_uri, experiment, artifact_root))

    def start_search(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str], resume: bool = False) -> str:
        """Make the search's run, or with ``resume`` take up the newest one of that name and the runs of its trials.

        Args:
            name: the search's name; a search that begins anew under an old name gets a run of its own.
            params: settings of the search, a column each in the table of runs.
            tags: what else is worth knowing, such as the provenance.

        Returns:
            The id of the parent run.

        Raises:
            TrackingError: the store no longer answers.
        """
        self._search, self._params = name, dict(params)
        try:
            found = self._runs.search(name) if resume else None
            if found is None:
                self._parent = self._runs.create(name, {"search": name, "kind": "search", **tags}, now())
            else:
                self._parent = found.info.run_id
                self._runs.reopen(self._parent)
                for run in self._runs.trials(self._parent):
                    known = TrialRun.found(run)
                    self._trials.setdefault(known.trial_id, known)  # should there be two, the newest comes first
            self._runs.describe(self._parent, params, {NOTE: notes.search_note(name, params), "status": "running"})
        except Exception as error:
            raise TrackingError([f"{self.store.shown!r} does not take search {name!r}: {error}"]) from error
        return self._parent

    def trial_started(
        self, trial_id: str, number: int, configuration: Mapping[str, Any], tags: Mapping[str, str] | None = None
    ) -> None:
        """A trial starts, or goes on after a pause, a failure or a resumed search: it keeps its run.

        Args:
            number: its place in the grid, from 1.
            configuration: its hyperparameters and whatever else tells it from others (seed, recipe): the parameters of
                the run.
        """
        params = {notes.key(name): notes.text(value) for name, value in configuration.items()}
        trial = self._trials.get(trial_id) or self._taken_up(number, params)
        trial = trial or TrialRun(trial_id, number, params=params)
        trial.trial_id = trial_id
        self._trials[trial_id] = trial
        if trial.started and not trial.status:
            return
        start_time, running = now(), {"status": "running"} | ({"reason": ""} if trial.status else {})
        trial.started, trial.status = True, ""
        trial.name = trial.name or self._name(number, configuration)
        trial.note = notes.trial_note(number, self._search, configuration)
        running |= {NOTE: trial.note, "trial_id": trial_id}
        identity = {"search": self._search, "kind": "trial", "trial_id": trial_id, "trial": str(number)}
        identity |= {PARENT: self._parent, **(tags or {})}

        def start() -> None:
            if not trial.run_id and trial.requested:  # the answer to the first request was lost, its run was not
                made = self._runs.trial(self._parent, trial_id)
                trial.run_id = made.info.run_id if made else ""
            if trial.run_id:
                self._runs.reopen(trial.run_id)
            else:
                trial.requested = True
                trial.run_id = self._runs.create(trial.name, identity, start_time)
            self._runs.describe(trial.run_id, configuration, running)

        if not self._viewed:
            self._viewed = True
            view = partial(self._runs.save_view, self._parent, list(configuration))
            self._writer.put("the table of the trials", view)
        self._writer.put(f"the start of {trial.name}", start)

    def reported(self, trial_id: str, report: Mapping[str, Any]) -> None:
        """Keep every finite number of a report, at its ``step``; a step that was logged already is left as it is.

        Raises:
            KeyError: no such trial was started.
        """
        from mlflow.entities import Metric

        trial, step, time = self._trials[trial_id], int(report["step"]), now()
        if is_finite(report.get("best_score")):
            trial.best = float(report["best_score"]), int(report.get("best_step", step))
        if step <= trial.last_step:
            return
        trial.last_step = step
        # The time is fixed here: sent twice, MLflow keeps one copy of a point only if both have the same time.
        trial.undelivered.append([Metric(n, v, time, step) for n, v in notes.finite_numbers(report).items()])
        if not trial.queued:
            trial.queued = True
            self._writer.put(f"reports of {trial.name}", lambda: self._deliver(trial))

    def trial_ended(self, trial_id: str, status: Status, reason: str = "", adapter: Path | None = None) -> None:
        """A trial ended, for good or until the search is resumed.

        Args:
            status: one of ``RUN_STATUS``.
            reason: why, in words.
            adapter: folder of its adapter's files. They are copied before this returns: the scheduler may delete the
                checkpoint that holds them at any time.

        Raises:
            KeyError: no such trial was started, or no such status.
        """
        trial, run_status, end_time = self._trials[trial_id], RUN_STATUS[status], now()
        if trial.status == status:
            return
        trial.status = status
        tags = {"status": status} | ({"reason": reason} if reason else {})
        tags[NOTE] = notes.trial_end_note(trial.note, status, reason, trial.best, adapter is not None)
        if adapter is not None:
            copy = self._copy(adapter)
            self._writer.put(f"the adapter of {trial.name}", lambda: self._runs.upload(trial.run_id, copy, "adapter"))
        self._writer.put(f"the end of {trial.name}", lambda: self._runs.end(trial.run_id, run_status, tags, end_time))

    def __contains__(self, trial_id: str) -> bool:
        return trial_id in self._trials

    def is_settled(self, trial_id: str, status: Status, step: int) -> bool:
        """Whether the store has this end of the trial and its report at ``step`` already, from before a restart."""
        trial = self._trials.get(trial_id)
        return trial is not None and trial.status == status and trial.last_step >= step

    def end_search(
        self,
        summary_metrics: Mapping[str, float],
        artifacts: Iterable[Path],
        winner: Mapping[str, Any],
        status: str = "finished",
    ) -> None:
        """The search ended: its figures, its files, its winner. Ends every trial that still counts as running, too.

        Args:
            summary_metrics: figures of the whole search: best validation score, test score, examples behind it, steps
                trained, share of the grid's steps.
            artifacts: files for the top of the run's artifacts, e.g. ``summary.md`` and ``summary.csv``.
            winner: the winner's configuration; empty where there is none. Kept as tags ``winner.<name>``: a search that
                is resumed may find another winner, and MLflow's parameters never change.
            status: ``finished``, ``interrupted`` or ``failed``.
        """
        from mlflow.entities import Metric

        for trial in self._trials.values():
            if not trial.status:  # a crash came before the scheduler saved it, and nobody will take it up again
                self.trial_ended(trial.trial_id, "interrupted", "not taken up again after the search was resumed")
        self._ended = True
        time, figures = now(), notes.finite_numbers(summary_metrics)
        tags = {f"winner.{name}": notes.text(value) for name, value in winner.items()}
        tags |= {"status": status, NOTE: notes.search_end_note(self._search, self._params, winner, status)}
        metrics = [Metric(name, value, time, 0) for name, value in figures.items()]
        parent, run_status = self._parent, RUN_STATUS[status]
        if metrics:
            self._writer.put("the figures of the search", partial(self._runs.log, parent, [metrics]))
        for path in artifacts:
            self._writer.put(f"the artifact {path.name}", partial(self._runs.upload, parent, self._copy(path), None))
        self._writer.put("the end of the search", lambda: self._runs.end(parent, run_status, tags, time))

    def flush(self, timeout: float = 30.0) -> bool:
        """Deliver everything now; whether that was possible within ``timeout`` seconds."""
        return self._writer.flush(timeout)

    def close(self, timeout: float = 30.0) -> list[str]:
        """Deliver the rest, for ``timeout`` seconds at most; log and return what was never delivered, in words."""
        lost = self._writer.close(timeout)
        if lost and self._spool.exists():
            log.warning("MLflow at %s never took: %s", self.store.shown, "; ".join(lost))
        shutil.rmtree(self._spool, ignore_errors=True)
        return lost

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if kind is not None and self._parent and not self._ended:
            self.end_search({}, [], {}, "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed")
        self.close()

    def ui_url_hint(self) -> str:
        """What to type to look at the search; for a server, which has its interface already, the address to open."""
        if self.store.is_server:
            return f"{self.store.shown.rstrip('/')}{self.page}"
        here = self.store.database == Path.cwd() / DEFAULT_DATABASE
        if here and URI_VARIABLE not in os.environ and not Path("mlruns").exists():  # an old store would be shown first
            return "mlflow ui"
        return f"mlflow ui --backend-store-uri {shlex.quote(self.store.shown)}"

    @property
    def page(self) -> str:
        """The table of the search's trials, the best first; goes after the address of an interface."""
        # The bare page of an experiment is MLflow's for language model applications, and shows no runs.
        return f"/#/experiments/{self.store.experiment.experiment_id}/runs?viewStateShareKey={self._parent}"

    def _name(self, number: int, configuration: Mapping[str, Any]) -> str:
        name, taken = f"trial {number:02d}", {trial.name for trial in self._trials.values()}
        return f"{name} seed {configuration.get('seed', len(taken))}" if name in taken else name

    def _taken_up(self, number: int, params: Mapping[str, str]) -> TrialRun | None:
        """The run of a trial that a resumed search starts under another id: same number, same parameters."""
        for trial_id, trial in self._trials.items():
            running = trial.started and not trial.status
            if trial.number == number and not running and params.items() <= trial.params.items():
                return self._trials.pop(trial_id)
        return None

    def _deliver(self, trial: TrialRun) -> None:
        trial.queued = False  # first: a report that comes from now on is seen below, or queued anew
        while trial.undelivered:
            del trial.undelivered[: self._runs.log(trial.run_id, trial.undelivered)]

    def _copy(self, path: Path) -> Path:
        copy = Path(tempfile.mkdtemp(dir=self._spool)) / path.name
        return Path(shutil.copytree(path, copy) if path.is_dir() else shutil.copy2(path, copy))
