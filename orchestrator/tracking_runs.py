"""The few things that a tracker does to MLflow runs. All but one may be done twice, since an answer may be lost."""

from __future__ import annotations

import getpass
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import tracking_notes as notes
from orchestrator.tracking_store import Store

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

NOTE = "mlflow.note.content"
PARENT = "mlflow.parentRunId"
_METRICS_A_CALL = 1000  # MLflow's own limits
_PARAMS_A_CALL = 100


def now() -> int:
    """MLflow's clock: milliseconds since 1970."""
    return int(time.time() * 1000)


@dataclass
class TrialRun:
    """A trial's run, known before it exists: the writer makes it a moment later.

    Attributes:
        params: its parameters, as text.
        status: how it ended; empty while it runs.
        started: this process has told of its start.
        requested: MLflow was asked to create the run, whether or not an answer came.
        undelivered: reports that are not yet in the store, each as its metrics.
        queued: the writer has been told of them.
    """

    trial_id: str
    number: int
    name: str = ""
    run_id: str = ""
    note: str = ""
    status: str = ""
    last_step: int = -1
    best: tuple[float, int] | None = None
    params: dict[str, str] = field(default_factory=dict)
    started: bool = False
    requested: bool = False
    undelivered: list[list[Metric]] = field(default_factory=list)
    queued: bool = False

    @classmethod
    def found(cls, run: Run) -> TrialRun:
        """What the store says of a trial of the search that is resumed."""
        tags, metrics = run.data.tags, run.data.metrics
        best = (metrics["best_score"], int(metrics.get("best_step", 0))) if "best_score" in metrics else None
        return cls(
            trial_id=tags["trial_id"],
            number=int(tags["trial"]),
            name=run.info.run_name,
            run_id=run.info.run_id,
            params=run.data.params,
            note=tags.get(NOTE, "").split("\n\n")[0],
            status="" if run.info.status == "RUNNING" else tags.get("status", ""),
            last_step=int(metrics.get("step", -1)),
            best=best,
        )


class Runs:
    """The runs of one experiment."""

    def __init__(self, store: Store) -> None:
        self.client = store.client
        self.experiment_id = store.experiment.experiment_id

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

    def trial(self, parent: str, trial_id: str) -> Run | None:
        """The run of one trial of a search."""
        found = self._find(f"tags.`{PARENT}` = '{parent}' AND tags.trial_id = {_quoted(trial_id)}")
        return found[0] if found else None

    def create(self, name: str, tags: Mapping[str, str], start_time: int) -> str:
        """A run that is running; returns its id. The one call that must not be made twice."""
        all_tags = {notes.key(tag): notes.text(value) for tag, value in {**_origin(tags), **tags}.items()}
        run = self.client.create_run(self.experiment_id, start_time=start_time, tags=all_tags, run_name=name)
        return run.info.run_id

    def reopen(self, run_id: str) -> None:
        """Let an ended run be a running one again."""
        self.client.update_run(run_id, status="RUNNING")

    def describe(self, run_id: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Set parameters and tags. A parameter that the run has already keeps its value, as MLflow wants it."""
        from mlflow.entities import Param, RunTag

        present = self.client.get_run(run_id).data.params
        wanted = {notes.key(name): notes.text(value) for name, value in params.items()}
        new = [Param(name, value) for name, value in wanted.items() if name not in present]
        for start in range(0, len(new), _PARAMS_A_CALL):
            self.client.log_batch(run_id, params=new[start : start + _PARAMS_A_CALL])
        self.client.log_batch(run_id, tags=[RunTag(notes.key(tag), notes.text(value)) for tag, value in tags.items()])

    def log(self, run_id: str, reports: Sequence[Sequence[Metric]]) -> int:
        """Write as many whole reports as one call takes, all or none of them; returns how many."""
        batch, count = list(reports[0]), 1
        while count < len(reports) and len(batch) + len(reports[count]) <= _METRICS_A_CALL:
            batch += reports[count]
            count += 1
        self.client.log_batch(run_id, metrics=batch)
        return count

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
