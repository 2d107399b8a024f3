"""The MLflow record of a search: one parent run, one child run a trial. The driver is the only writer.

MLflow's own callback in Ray loses its runs when a search is resumed: it makes new ones and leaves the old ones running.
Here every run carries the search and the trial in its tags and is found again by them.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.record.record import is_finite
from orchestrator.record.secrecy import without_secrets
from orchestrator.record.status import TrialStatus
from orchestrator.tracking import notes, resuming
from orchestrator.tracking.delivery import Delivery
from orchestrator.tracking.runs import KEY, NOTE, Runs, TrialRun, now
from orchestrator.tracking.spool import SEARCH, Spool
from orchestrator.tracking.store import Store, StoreAwayError, TrackingError, open_store
from orchestrator.tracking.writer import Writer

__all__ = ["Tracker", "TrackingError"]

log = logging.getLogger(__name__)

RUN_STATUS: dict[TrialStatus, str] = {
    TrialStatus.FINISHED: "FINISHED",
    TrialStatus.STOPPED_EARLY: "FINISHED",
    TrialStatus.DIVERGED: "FAILED",
    TrialStatus.FAILED: "FAILED",
    TrialStatus.INTERRUPTED: "KILLED",
}


class Tracker:
    """Writes one search into MLflow. The calls that tell of trials return at once; a thread delivers them.

    A store that goes away in the middle does not stop a search, and neither a store nor a driver that never comes back
    loses anything: what is to be told waits in the spool until a tracker of the same search delivers it. As a context
    it leaves no run running, whatever ends it. All methods are for one thread.

    Args:
        spool: the search's spool; without one it is kept for as long as this tracker lives.

    Attributes:
        said: what a user should hear of how the store was found, a sentence each.
    """

    def __init__(self, store: Store, spool: Spool | None = None) -> None:
        self.store = store
        self._spool = Spool() if spool is None else spool
        self._runs = Runs(store)
        self._writer = Writer(self._spool, Delivery(self._runs, self._spool), self._runs.ask, store.shown)
        self._trials: dict[str, TrialRun] = {}
        self.said: list[str] = []
        self._search = ""
        self._params: dict[str, Any] = {}
        self._viewed = False
        self._ended = False
        self._started = False
        self._closed = False

    @classmethod
    def open(
        cls, tracking_uri: str | None, experiment: str, artifact_root: Path | None = None, spool: Path | None = None
    ) -> Tracker:
        """Find or create the store and the experiment (`open_store`), before any trial starts.

        Args:
            spool: folder of the search for what MLflow is yet to be told.

        Raises:
            TrackingError: the store cannot be used; within seconds.
            JournalError: the spool cannot be used.
        """
        return cls(open_store(tracking_uri, experiment, artifact_root), Spool(spool))

    @classmethod
    def reopen(cls, tracking_uri: str | None, experiment: str, spool: Path) -> Tracker:
        """The same for a search that was started before: it goes on while its store is away, which its spool bridges.

        Raises:
            TrackingError: the store cannot be used, and it is not the one in which the search has its runs.
            JournalError: the spool cannot be used.
        """
        try:
            return cls.open(tracking_uri, experiment, spool=spool)
        except StoreAwayError as error:
            kept = Spool(spool)
            if SEARCH not in kept.runs or kept.store != error.store.shown:
                kept.close()
                raise
            tracker = cls(error.store, kept)
            tracker.said.append(
                f"{error.problems[0]}. The search goes on without it: what MLflow is to be told is kept in {spool} and "
                "delivered when it answers, now or to the same command later"
            )
            return tracker

    @property
    def damage(self) -> str:
        """What was wrong with the spool that an earlier process left; empty where nothing was."""
        return self._spool.damage

    def deliver_what_was_left(self) -> bool:
        """Deliver what an earlier process of a search that has ended could not; False where its end was never told.

        Then `start_search` and all that follows it must be called again.
        """
        if not self._spool.ended or resuming.lost(self._runs, self._spool):
            return False
        for operation in self._spool.pending:
            self._writer.put(operation)
        return True

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
        running = {NOTE: notes.search_note(name, params), "status": "running"}
        identity = {"search": name, "kind": "search", **tags}
        start = {"name": name, "identity": identity, "running": running, "params": dict(params), "time": now()}
        if resume and not self.store.connected:
            self._go_on_alone(start)
            return self._spool.runs[SEARCH]
        try:
            former = resuming.known_parent(self._runs, self._spool, self.store.shown, name) if resume else None
            parent = former or self._runs.create(name, identity, now())
            if former is not None:
                self._runs.reopen(parent)
            if resume:
                trials, said = resuming.take_up(self._runs, self._spool, self.store.shown, parent)
                self._trials = {trial.trial_id: trial for trial in trials}
                self.said += said
            else:
                self._spool.search_started(self.store.shown, parent)
            self._runs.describe(parent, params, running)
        except Exception as error:
            why = without_secrets(str(error), self.store.uri)
            raise TrackingError([f"{self.store.shown!r} does not take search {name!r}: {why}"]) from error
        self._spool.delivered([self._spool.add("start", SEARCH, f"the start of search {name}", **start)])
        self._started = True
        for operation in self._spool.pending:
            self._writer.put(operation)
        return parent

    def _go_on_alone(self, start: Mapping[str, Any]) -> None:
        """Take the search up without the store: the spool has all that was ever told."""
        self._trials = {trial.trial_id: trial for trial in resuming.trials_told(self._spool)}
        self._started = True
        for operation in self._spool.pending:
            self._writer.put(operation)
        self._tell("start", SEARCH, "that the search goes on", **start)
        self._spool.commit()

    def trial_started(
        self, trial_id: str, number: int, configuration: Mapping[str, Any], tags: Mapping[str, str] | None = None
    ) -> None:
        """A trial starts, or goes on after a pause, a failure or a resumed search: it keeps its run.

        Args:
            number: its place in the grid, from 1.
            configuration: its hyperparameters and whatever else tells it from others (seed, recipe): the parameters of
                the run.
        """
        params = notes.texts(configuration)
        trial = self._trials.get(trial_id) or self._taken_up(number, params)
        trial = trial or TrialRun(trial_id, number, params=params)
        trial.trial_id = trial_id
        self._trials[trial_id] = trial
        if trial.started and not trial.status:
            return
        running = {"status": "running"} | ({"reason": ""} if trial.status else {})
        trial.started, trial.status = True, ""
        trial.key = trial.key or self._name(number, configuration)
        trial.note = notes.trial_note(number, self._search, configuration)
        running |= {NOTE: trial.note, "trial_id": trial_id}
        identity = {"search": self._search, "kind": "trial", KEY: trial.key, "trial": str(number)}
        identity |= tags or {}
        if not self._viewed:
            self._viewed = True
            self._tell("view", SEARCH, "the table of the trials", params=list(configuration))
        told = {"name": trial.key, "identity": identity, "running": running, "params": dict(configuration)}
        self._tell("start", trial.key, f"the start of {trial.key}", **told, time=now())

    def reported(self, trial_id: str, report: Mapping[str, Any]) -> None:
        """Keep every finite number of a report, at its ``step``; a step that was logged already is left as it is.

        Raises:
            KeyError: no such trial was started.
        """
        trial, step = self._trials[trial_id], int(report["step"])
        if is_finite(report.get("best_score")):
            trial.best = float(report["best_score"]), int(report.get("best_step", step))
        if step <= trial.last_step:
            return
        trial.last_step = step
        # The time is fixed here: told twice, MLflow keeps one copy of a point only if both have the same time.
        self._tell(
            "metrics", trial.key, f"reports of {trial.key}", values=notes.finite_numbers(report), step=step, time=now()
        )

    def trial_ended(self, trial_id: str, status: TrialStatus, reason: str = "", adapter: Path | None = None) -> None:
        """A trial ended, for good or until the search is resumed.

        Args:
            status: one of ``RUN_STATUS``.
            reason: why, in words.
            adapter: folder of its adapter's files. They are copied before this returns: the scheduler may delete the
                checkpoint that holds them at any time.

        Raises:
            KeyError: no such trial was started, or no such status.
        """
        trial, run_status = self._trials[trial_id], RUN_STATUS[status]
        if trial.status == status:
            return
        copy = None if adapter is None else self._spool.keep(adapter)
        trial.status = status
        tags = {"status": status} | ({"reason": reason} if reason else {})
        tags[NOTE] = notes.trial_end_note(trial.note, status, reason, trial.best, adapter is not None)
        if copy is not None:
            self._tell("upload", trial.key, f"the adapter of {trial.key}", path=copy, folder="adapter")
        self._tell("end", trial.key, f"the end of {trial.key}", status=run_status, tags=tags, time=now())
        self._spool.commit()

    def forget(self, numbers: Collection[int]) -> None:
        """Trials are trained from the start again: their runs are deleted, and new ones made when they start."""
        for trial in [trial for trial in self._trials.values() if trial.number in numbers]:
            del self._trials[trial.trial_id]
            self._tell("delete", trial.key, f"the deletion of {trial.key}")
        self._spool.commit()

    def __contains__(self, trial_id: str) -> bool:
        return trial_id in self._trials

    def is_settled(self, trial_id: str, status: TrialStatus, step: int) -> bool:
        """Whether the store has this end of the trial and its report at ``step`` already, from before a restart."""
        trial = self._trials.get(trial_id)
        return trial is not None and trial.status == status and trial.last_step >= step

    def end_search(
        self,
        summary_metrics: Mapping[str, float],
        artifacts: Iterable[Path],
        winner: Mapping[str, Any],
        status: TrialStatus = TrialStatus.FINISHED,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """The search ended: its figures, its files, its winner. Ends every trial that still counts as running, too.

        Args:
            summary_metrics: figures of the whole search: best validation score, test score, examples behind it, steps
                trained, share of the grid's steps.
            artifacts: files for the top of the run's artifacts, e.g. ``summary.md`` and ``summary.csv``.
            winner: the winner's configuration; empty where there is none. Kept as tags ``winner.<name>``: a search that
                is resumed may find another winner, and MLflow's parameters never change.
            status: ``finished``, ``interrupted`` or ``failed``.
            tags: more of them; ``finding.headline`` begins the run's description, too.
        """
        for trial in self._trials.values():
            if not trial.status:  # a crash came before the scheduler saved it, and nobody will take it up again
                self.trial_ended(
                    trial.trial_id, TrialStatus.INTERRUPTED, "not taken up again after the search was resumed"
                )
        self._ended = True
        figures = notes.finite_numbers(summary_metrics)
        more = tags or {}
        headline = more.get("finding.headline", "")
        told = {f"winner.{name}": notes.text(value) for name, value in winner.items()}
        told |= {name: notes.text(value) for name, value in more.items()}
        told |= {"status": status, NOTE: notes.search_end_note(self._search, self._params, winner, status, headline)}
        if figures:
            self._tell("metrics", SEARCH, "the figures of the search", values=figures, step=0, time=now())
        for path in artifacts:
            copy = self._spool.keep(path)
            self._tell("upload", SEARCH, f"the artifact {path.name}", path=copy, folder=None)
        self._tell("end", SEARCH, "the end of the search", status=RUN_STATUS[status], tags=told, time=now())
        self._spool.commit()

    def _tell(self, kind: str, run: str, what: str, **data: Any) -> None:
        self._writer.put(self._spool.add(kind, run, what, **data))

    def flush(self, timeout: float = 30.0) -> bool:
        """Deliver everything now; whether that was possible within ``timeout`` seconds."""
        return self._writer.flush(timeout)

    def close(self, timeout: float = 30.0) -> list[str]:
        """Deliver the rest, for ``timeout`` seconds at most; log and return what was not delivered, in words."""
        left = self._writer.close(timeout)
        if left and not self._closed:
            log.warning("MLflow at %s has not taken: %s", self.store.shown, "; ".join(left))
        self._closed = True
        self._spool.close()
        return left

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if kind is not None and self._started and not self._ended:
            self.end_search(
                {}, [], {}, TrialStatus.INTERRUPTED if issubclass(kind, KeyboardInterrupt) else TrialStatus.FAILED
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
        if not self.store.connected:
            return ""
        parent = self._spool.runs.get(SEARCH, "")
        return f"/#/experiments/{self.store.experiment.experiment_id}/runs?viewStateShareKey={parent}"

    def _name(self, number: int, configuration: Mapping[str, Any]) -> str:
        name, taken = f"trial {number:02d}", {trial.key for trial in self._trials.values()}
        return f"{name} seed {configuration.get('seed', len(taken))}" if name in taken else name

    def _taken_up(self, number: int, params: Mapping[str, str]) -> TrialRun | None:
        """The run of a trial that a resumed search starts under another id: same number, same parameters."""
        for trial_id, trial in self._trials.items():
            running = trial.started and not trial.status
            if trial.number == number and not running and params.items() <= trial.params.items():
                return self._trials.pop(trial_id)
        return None
