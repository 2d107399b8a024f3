"""Records of made-up searches, and what MLflow holds of them, read back as a user's own script would."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.record.record import Report, SearchRecord, TrialRecord
from orchestrator.record.status import TrialStatus

CONFIGURATION = {"prompt_lr": 0.3, "mlp_lr": 1e-5, "prompt_length": 60, "bottleneck": 30}
NOTE = "mlflow.note.content"
BEGAN = 1_700_000_000.0
CALLS = ("log_batch", "get_experiment", "get_run", "create_run", "set_terminated", "update_run", "search_runs")
"""Of MLflow's client, all that a search needs."""


def report(step: int, score: float, **more: Any) -> Report:
    """A trial's report, at a time that follows from its step."""
    values = {"step": step, "score": score, "best_score": score, "best_step": step, "status": "running"}
    values |= {"validation/accuracy": score, "train/loss": 1.0 / step, "learning_rate/prompt": 0.3}
    return {**values, "time": BEGAN + step, **more}


def trial(number: int, scores: dict[int, float] | None = None, status: str = "running", **more: Any) -> TrialRecord:
    """A trial that has begun, with its scores by their steps."""
    reports = [report(step, score) for step, score in (scores or {}).items()]
    started = BEGAN + number
    made = TrialRecord(f"t{number}", number, dict(CONFIGURATION), 7, TrialStatus(status), reports, started=started)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def record(*trials: TrialRecord, name: str = "s", uid: str = "u", recipe: str = "paper") -> SearchRecord:
    """A search of these trials."""
    return SearchRecord(
        name=name,
        task="rte",
        method="adept",
        backbone="t5-nano",
        recipe=recipe,
        metric="accuracy",
        trials=list(trials),
        uid=uid,
    )


def runs(tracking_uri: str) -> dict[str, Run]:
    """All runs of the store by name; asserts that none was made twice."""
    client = MlflowClient(tracking_uri)
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert len({run.info.run_name for run in found}) == len(found), "a run was made twice"
    return {run.info.run_name: run for run in found}


def points(tracking_uri: str, run: Run, metric: str = "score") -> list[tuple[int, float]]:
    """A curve as (step, value)."""
    return [(m.step, m.value) for m in MlflowClient(tracking_uri).get_metric_history(run.info.run_id, metric)]


def artifacts(tracking_uri: str, run: Run, folder: str | None = None) -> dict[str, int | None]:
    """The sizes of a run's files by their paths."""
    return {f.path: f.file_size for f in MlflowClient(tracking_uri).list_artifacts(run.info.run_id, folder)}


def make_adapter(folder: Path) -> Path:
    """An adapter's folder below another one."""
    adapter = folder / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text('{"method": "adept"}')
    (adapter / "adapter_model.safetensors").write_bytes(b"\0" * 40_000)
    return adapter


class Outage:
    """A store's client that nobody answers while ``now`` is set, or from after one call on."""

    def __init__(self, client: MlflowClient, patch: pytest.MonkeyPatch, after: str = "") -> None:
        self.now = False
        for name in CALLS:
            patch.setattr(client, name, self._guard(getattr(client, name), name == after))

    def _guard(self, call: Callable[..., Any], is_last: bool) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if self.now:
                raise ConnectionError("nobody there")
            answer = call(*args, **kwargs)
            if is_last:
                self.now = True
                raise ConnectionError("the answer was lost")
            return answer

        return guarded


NAN = math.nan
