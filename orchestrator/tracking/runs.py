"""The few things that a tracker does to MLflow runs. All but one, `Runs.create`, may be done twice."""

from __future__ import annotations

import getpass
import json
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.tracking import notes
from orchestrator.tracking.spool import Operation
from orchestrator.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NOTE = "mlflow.note.content"
PARENT = "mlflow.parentRunId"
KEY = "tracking_key"  # of a trial's run, unlike its name and its trial's id always the same
_PARAMS_A_CALL = 100  # MLflow's own limit


def now() -> int:
    """MLflow's clock: milliseconds since 1970."""
    return int(time.time() * 1000)


@dataclass
class TrialRun:
    """A trial's run as it will be when all that is in the spool has been delivered.

    Attributes:
        key: names it in the spool.
        params: its parameters, as text.
        status: how it ended; empty while it runs.
        started: this process has told of its start.
    """

    trial_id: str
    number: int
    key: str = ""
    note: str = ""
    status: str = ""
    last_step: int = -1
    best: tuple[float, int] | None = None
    params: dict[str, str] = field(default_factory=dict)
    started: bool = False

    @classmethod
    def found(cls, run: Run) -> TrialRun:
        """What the store says of a trial of the search that is resumed."""
        tags, metrics = run.data.tags, run.data.metrics
        best = (metrics["best_score"], int(metrics.get("best_step", 0))) if "best_score" in metrics else None
        return cls(
            trial_id=tags["trial_id"],
            number=int(tags["trial"]),
            key=tags.get(KEY, run.info.run_name),
            params=run.data.params,
            note=tags.get(NOTE, "").split("\n\n")[0],
            status="" if run.info.status == "RUNNING" else tags.get("status", ""),
            last_step=int(metrics.get("step", -1)),
            best=best,
        )

    def will_hear(self, operation: Operation) -> None:
        """Take in an operation that an earlier process left undelivered."""
        data = operation.data
        if operation.kind == "start":
            self.status, self.note, self.trial_id = "", data["running"][NOTE], data["running"]["trial_id"]
            # The store may have made the run and no more: its parameters, which tell trials apart, come after it.
            self.params = notes.texts(data["params"])
        elif operation.kind == "end":
            self.status = data["tags"]["status"]
        elif operation.kind == "metrics":
            self.last_step = max(self.last_step, int(data["step"]))
            best = data["values"].get("best_score")
            self.best = self.best if best is None else (best, int(data["values"].get("best_step", data["step"])))

    @classmethod
    def planned(cls, start: Operation) -> TrialRun:
        """A trial of whose run nothing is known but that it is to be made."""
        trial = cls(start.data["running"]["trial_id"], int(start.data["identity"]["trial"]), start.run)
        trial.will_hear(start)
        return trial


class Runs:
    """The runs of one experiment."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def client(self) -> MlflowClient:
        """MLflow's."""
        return self._store.client

    @property
    def experiment_id(self) -> str:
        """The experiment's."""
        return self._store.experiment.experiment_id

    def ask(self) -> None:
        """Raise while the store does not answer."""
        self.client.get_experiment(self.experiment_id)

    def search(self, name: str) -> Run | None:
        """The newest search of that name."""
        found = self._find(f"tags.kind = 'search' AND tags.search = {_quoted(name)}")
        return found[0] if found else None

    def trials(self, parent: str) -> list[Run]:
        """The runs below a search, the newest first."""
        return self._find(f"tags.`{PARENT}` = '{parent}' AND tags.kind = 'trial'")

    def trial(self, parent: str, key: str) -> str | None:
        """The id of the run of one trial of a search; of several the oldest."""
        found = self._find(f"tags.`{PARENT}` = '{parent}' AND tags.{KEY} = {_quoted(key)}")
        return found[-1].info.run_id if found else None

    def is_gone(self, run_id: str) -> bool:
        """Whether a run that was made was deleted since, in MLflow's page or with its store."""
        from mlflow.entities import LifecycleStage
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id).info.lifecycle_stage == LifecycleStage.DELETED
        except MlflowException as error:
            return error.error_code == "RESOURCE_DOES_NOT_EXIST"

    def adopt(self, former: str, parent: str) -> None:
        """Make the runs below a search's former run those of its new one."""
        for run in self.trials(former):
            self.client.set_tag(run.info.run_id, PARENT, parent)

    def drop_doubles(self, parent: str, ours: Collection[str]) -> None:
        """Delete runs that stand for the same trial as one of ``ours``.

        A server that is cut off may carry out what it was asked for after it was asked again.
        """
        runs = self.trials(parent)
        keys = {run.data.tags.get(KEY) for run in runs if run.info.run_id in ours}
        for run in runs:
            key = run.data.tags.get(KEY)
            if key is not None and key in keys and run.info.run_id not in ours:
                self.client.delete_run(run.info.run_id)

    def create(self, name: str, tags: Mapping[str, str], start_time: int) -> str:
        """A run that is running; returns its id. The one call that must not be made twice."""
        all_tags = notes.texts({**_origin(tags), **tags})
        run = self.client.create_run(self.experiment_id, start_time=start_time, tags=all_tags, run_name=name)
        return run.info.run_id

    def reopen(self, run_id: str) -> None:
        """Let an ended run be a running one again."""
        self.client.update_run(run_id, status="RUNNING")

    def describe(self, run_id: str, params: Mapping[str, Any], tags: Mapping[str, str], fresh: bool = False) -> None:
        """Set parameters and tags. A parameter that the run has already keeps its value, as MLflow wants it.

        Args:
            fresh: the run has no parameters yet.
        """
        from mlflow.entities import Param, RunTag

        present = {} if fresh or not params else self.client.get_run(run_id).data.params
        wanted = notes.texts(params)
        new = [Param(name, value) for name, value in wanted.items() if name not in present]
        for start in range(_PARAMS_A_CALL, len(new), _PARAMS_A_CALL):
            self.client.log_batch(run_id, params=new[start : start + _PARAMS_A_CALL])
        # Tags and the first parameters in one call: each is several transactions of a database.
        entities = [RunTag(tag, value) for tag, value in notes.texts(tags).items()]
        self.client.log_batch(run_id, params=new[:_PARAMS_A_CALL], tags=entities)

    def log(self, run_id: str, reports: Iterable[Mapping[str, Any]]) -> None:
        """Write reports, each with its ``values`` by their names, ``step`` and ``time``; all or none.

        MLflow keeps one copy of points that are equal in name, value, step and time.
        """
        from mlflow.entities import Metric

        points = [Metric(key, value, r["time"], r["step"]) for r in reports for key, value in r["values"].items()]
        self.client.log_batch(run_id, metrics=points)

    def upload(self, run_id: str, path: Path, folder: str | None) -> None:
        """Put a file, or all files of a folder, under ``folder`` of the run's artifacts."""
        if path.is_dir():
            self.client.log_artifacts(run_id, str(path), folder)
        else:
            self.client.log_artifact(run_id, str(path), folder)

    def end(self, run_id: str, status: str, tags: Mapping[str, str], end_time: int) -> None:
        """Set the last tags, then MLflow's own status: a run that is seen to have ended is complete."""
        self.describe(run_id, {}, tags)
        self.client.set_terminated(run_id, status, end_time)

    def save_view(self, parent: str, params: Iterable[str]) -> None:
        """Keep a table of a search's trials for MLflow's user interface: the best first, with the columns that matter.

        Left to itself the interface shows dates and durations, and no score. This is the form in which it stores a view
        that somebody shares; its address is the page of the runs with ``?viewStateShareKey=`` and the parent's id.
        """
        columns = [f"metrics.`{name}`" for name in ("best_score", "best_step", "step")]
        columns += [f"params.`{notes.key(name)}`" for name in params] + ["tags.`status`", "tags.`reason`"]
        view = {
            "selectedColumns": columns,
            "orderByKey": columns[0],
            "orderByAsc": False,
            "searchFilter": f"tags.`{PARENT}` = '{parent}'",
        }
        self.client.set_experiment_tag(self.experiment_id, f"mlflow.sharedViewState.{parent}", json.dumps(view))

    def _find(self, condition: str) -> list[Run]:
        found: list[Run] = []
        token: str | None = None
        newest_first = ["attributes.start_time DESC"]
        while True:
            page = self.client.search_runs(
                [self.experiment_id], condition, order_by=newest_first, max_results=500, page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found


def _origin(tags: Mapping[str, str]) -> dict[str, str]:
    """What MLflow's own start_run would add, for the columns Source, Version and User."""
    origin = {"mlflow.source.name": Path(sys.argv[0]).name or "python", "mlflow.source.type": "LOCAL"}
    if tags.get("git_commit"):
        origin["mlflow.source.git.commit"] = tags["git_commit"]
    with suppress(ImportError, KeyError, OSError):  # a container's user without a name
        origin["mlflow.user"] = getpass.getuser()
    return origin


def _quoted(text: str) -> str:
    quote = '"' if "'" in text else "'"
    return f"{quote}{text.replace(quote, '')}{quote}"
