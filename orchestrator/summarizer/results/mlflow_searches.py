"""Reads searches back from a tracking store. Runs of other people and other programs in it are left alone."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.plan.settings import SearchSettings
from orchestrator.record.errors import RecordError
from orchestrator.record.record import RECORD, Report, SearchRecord, TestResult, TrialRecord
from orchestrator.record.status import TrialStatus
from orchestrator.store.predictions import Answers, read_predictions
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.saved_searches import FoundSearches, started_of, unique
from orchestrator.tracking.pages import find_experiments, find_runs
from orchestrator.tracking.projection import PARENT, UID
from orchestrator.tracking.store import open_for_reading

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_CURVES = ("score", "seconds/train", "seconds/evaluation")
# Columns of a search's run that are no settings of its trainings.
_IDENTITY = {"metrics", "trials", *SearchSettings.names(lambda option: option.identifies)}
_NO_HYPERPARAMETER = ("seed", "recipe", "method", "task", "backbone")


def read_store(uri: str | None) -> FoundSearches:
    """All searches of a store, in all its experiments.

    A search attaches its record to its run when it ends. One that still runs, or was killed, is put together from the
    runs of its trials: its scores and times are there, the sizes of its splits are not.

    Raises:
        TrackingError: the store is not there or cannot be read.
    """
    client, shown = open_for_reading(uri)
    searches, unread = [], []
    experiments = [experiment.experiment_id for experiment in find_experiments(client)]
    for run in find_runs(client, experiments, "tags.kind = 'search'") if experiments else ():
        name = run.data.tags.get("search")
        if not name:
            unread.append(
                f"run {run.info.run_name or run.info.run_id} of {shown}: another program's, it names no search"
            )
            continue
        source = f"run {run.info.run_id} of {shown}"
        try:
            record = record_of(client, run)
        except (RecordError, KeyError, TypeError, ValueError) as error:
            unread.append(f"{name} ({source}): {error}")
            continue
        rows = partial(_predictions, client, run.info.run_id, record.predictions) if record.predictions else None
        started = started_of(record, run.info.start_time / 1000.0)
        searches.append(FoundSearch(record, started, source, rows, run_id=run.info.run_id))
    return FoundSearches(unique(searches), tuple(unread))


def record_of(client: MlflowClient, run: Run) -> SearchRecord:
    """The record of the search whose run this is.

    Raises:
        RecordError, KeyError, TypeError, ValueError: it is damaged, or the run is another program's.
    """
    return _attached(client, run) or _rebuilt(client, run, run.data.tags["search"])


def _attached(client: MlflowClient, run: Run) -> SearchRecord | None:
    """The record among the run's artifacts; None where there is none."""
    if not any(file.path == RECORD for file in client.list_artifacts(run.info.run_id)):
        return None
    with tempfile.TemporaryDirectory() as folder:
        return SearchRecord.load(Path(client.download_artifacts(run.info.run_id, RECORD, folder)))


def _predictions(client: MlflowClient, run_id: str, name: str) -> dict[int, Answers]:
    """The answers among the run's artifacts; none where they are not there."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        try:
            return read_predictions(client.download_artifacts(run_id, name, folder))
        except (MlflowException, OSError):
            return {}


def _rebuilt(client: MlflowClient, run: Run, name: str) -> SearchRecord:
    params, tags, metrics = run.data.params, run.data.tags, run.data.metrics
    missing = [key for key in ("task", "method", "backbone") if key not in params]
    if missing:
        raise ValueError(f"its run has no parameter {', '.join(missing)}, so it is no search of this program")
    below = f"tags.`{PARENT}` = '{run.info.run_id}' AND tags.kind = 'trial'"
    children = list(find_runs(client, [run.info.experiment_id], below))
    trials = [_trial(client, child) for child in children]
    wall = ((run.info.end_time or run.info.start_time) - run.info.start_time) / 1000.0
    provenance = {key: text for key, text in tags.items() if not key.startswith(("mlflow.", "winner.", "finding"))}
    provenance |= {"space": params["space"]} if "space" in params else {}
    record = SearchRecord(
        name=name,
        task=params["task"],
        method=params["method"],
        backbone=params["backbone"],
        recipe=params.get("recipe", tags.get("recipe", "")),
        metric=_selecting(run, children),
        settings={key: _value(text) for key, text in params.items() if key not in _IDENTITY},
        sizes={split: int(metrics[f"{split}/n"]) for split in ("validation", "test") if f"{split}/n" in metrics},
        trials=sorted(trials, key=lambda trial: trial.number),
        wall_seconds=wall,
        provenance=provenance,
        tracking_uri="",
        uid=tags.get(UID, ""),
    )
    record.test = _test(record, tags, metrics)
    return record


def _selecting(run: Run, children: Sequence[Run]) -> str:
    """The selection metric: the first of those that the run names; of an older run the first that has a score."""
    named = str(run.data.params.get("metrics", "")).partition(",")[0].strip()
    scores = (key for one in (run, *children) for key in one.data.metrics if _is_score(key, "validation/"))
    return named or next(scores, "").removeprefix("validation/")


def _trial(client: MlflowClient, run: Run) -> TrialRecord:
    tags, params = run.data.tags, run.data.params
    status = tags.get("status", "")
    reports: dict[int, Report] = {}
    for key in _CURVES:
        for point in client.get_metric_history(run.info.run_id, key):
            reports.setdefault(point.step, {"step": point.step})[key] = point.value
    best, step = run.data.metrics.get("best_score"), run.data.metrics.get("best_step")
    if best is not None and step is not None and reports:
        reports[max(reports)] |= {"best_score": best, "best_step": int(step)}
    return TrialRecord(
        trial_id=tags["trial_id"],
        number=int(tags["trial"]),
        configuration={key: _value(text) for key, text in params.items() if key not in _NO_HYPERPARAMETER},
        seed=int(params.get("seed", tags.get("seed", 0))),
        status=TrialStatus(status) if status in [*TrialStatus] else TrialStatus.INTERRUPTED,
        reports=[reports[step] for step in sorted(reports)],
        reason=tags.get("reason", ""),
    )


def _test(record: SearchRecord, tags: dict[str, str], metrics: dict[str, float]) -> TestResult | None:
    scores = {key.removeprefix("test/"): value for key, value in metrics.items() if _is_score(key, "test/")}
    n, number = int(metrics.get("test/n", 0)), tags.get("winner.trial")
    if not n or number is None or record.metric not in scores:
        return None
    winner = next((trial for trial in record.trials if trial.number == int(number)), None)
    step = winner.best_step if winner is not None else None
    return TestResult(int(number), scores[record.metric], scores, n, 100.0 / n, step or 0)


def _is_score(key: str, split: str) -> bool:
    return key.startswith(split) and key not in (f"{split}n", f"{split}loss")


def _value(text: str) -> Any:
    """A parameter as it was before the store made text of it."""
    if text in ("none", "yes", "no"):
        return {"none": None, "yes": True, "no": False}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
