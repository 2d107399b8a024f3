"""The few things that are done to MLflow runs. All but one, `Runs.create`, may be done twice."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.tracking import notes
from orchestrator.tracking.known import RUNNING, KnownRun
from orchestrator.tracking.pages import find_runs, quoted
from orchestrator.tracking.projection import PARENT, SWEEP, UID, Point
from orchestrator.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PARAMS_A_CALL = 100  # MLflow's own limit


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

    def of_search(self, uid: str, *, deleted: bool = False) -> list[KnownRun]:
        """The runs of a search and its trials, the newest first."""
        return list(self._find(f"tags.{UID} = {quoted(uid)}", deleted=deleted))

    def of_sweep(self, uid: str) -> list[KnownRun]:
        """The runs of a sweep itself: one, or more where an answer of the store was lost; the newest first."""
        return list(self._find(f"tags.{SWEEP} = {quoted(uid)}"))

    def below(self, parent: str) -> list[KnownRun]:
        """The runs of the trials below a search's run, and that run itself where it is there; the newest first."""
        from mlflow.entities import LifecycleStage
        from mlflow.exceptions import MlflowException

        found = list(self._find(f"tags.`{PARENT}` = '{parent}' AND tags.kind = 'trial'"))
        try:
            run = self.client.get_run(parent)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return found
        return [*found, KnownRun.of(run)] if run.info.lifecycle_stage == LifecycleStage.ACTIVE else found

    def create(self, name: str, tags: Mapping[str, str], start_time: int) -> KnownRun:
        """A run that is running. The one call that must not be made twice."""
        all_tags = {**_origin(tags), **{name: value for name, value in tags.items() if value}}
        run = self.client.create_run(self.experiment_id, start_time=start_time, tags=all_tags, run_name=name)
        return KnownRun(run.info.run_id, tags=all_tags)

    def delete(self, run: KnownRun) -> None:
        """Remove a run; MLflow keeps it among the deleted ones."""
        self.client.delete_run(run.run_id)

    def reopen(self, run: KnownRun) -> None:
        """Let an ended run be a running one again."""
        self.client.update_run(run.run_id, status=RUNNING)
        run.status = RUNNING

    def describe(self, run: KnownRun, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Set tags, and those parameters that the run has not got: MLflow wants that they keep their value."""
        from mlflow.entities import Param, RunTag

        new = [Param(name, value) for name, value in params.items() if name not in run.params]
        for start in range(_PARAMS_A_CALL, len(new), _PARAMS_A_CALL):
            self.client.log_batch(run.run_id, params=new[start : start + _PARAMS_A_CALL])
        # Tags and the first parameters in one call: each is several transactions of a database.
        entities = [RunTag(tag, value) for tag, value in tags.items()]
        self.client.log_batch(run.run_id, params=new[:_PARAMS_A_CALL], tags=entities)
        run.params |= {param.key: param.value for param in new}
        run.tags |= tags

    def log(self, run: KnownRun, points: Iterable[Point]) -> None:
        """Write reports, all or none. MLflow keeps one copy of points that are equal in name, value, step and time."""
        from mlflow.entities import Metric

        points = list(points)
        numbers = [Metric(key, value, p.time, p.step) for p in points for key, value in p.values.items()]
        self.client.log_batch(run.run_id, metrics=numbers)
        for point in points:
            run.metrics |= point.values
            run.last_step = max(run.last_step, point.step)

    def upload(self, run: KnownRun, path: Path, folder: str | None = None) -> None:
        """Put a file, or all files of a folder, under ``folder`` of the run's artifacts."""
        if path.is_dir():
            self.client.log_artifacts(run.run_id, str(path), folder)
        else:
            self.client.log_artifact(run.run_id, str(path), folder)

    def end(self, run: KnownRun, status: str, tags: Mapping[str, str], end_time: int) -> None:
        """Set the last tags, then MLflow's own status: a run that is seen to have ended is complete."""
        self.describe(run, {}, tags)
        self.client.set_terminated(run.run_id, status, end_time)
        run.status = status

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

    def _find(self, condition: str, *, deleted: bool = False) -> Iterator[KnownRun]:
        return map(KnownRun.of, find_runs(self.client, [self.experiment_id], condition, deleted=deleted))


def _origin(tags: Mapping[str, str]) -> dict[str, str]:
    """What MLflow's own start_run would add, for the columns Source, Version and User."""
    origin = {"mlflow.source.name": Path(sys.argv[0]).name or "python", "mlflow.source.type": "LOCAL"}
    if tags.get("git_commit"):
        origin["mlflow.source.git.commit"] = tags["git_commit"]
    with suppress(ImportError, KeyError, OSError):  # a container's user without a name
        origin["mlflow.user"] = getpass.getuser()
    return origin
