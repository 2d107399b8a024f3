"""Whether a search begins where its MLflow server does not answer."""

from __future__ import annotations

from functools import partialmethod
from pathlib import Path

import pytest

from orchestrator.console import PlainConsole
from orchestrator.run import run
from orchestrator.run.session import Session
from orchestrator.tracking.store import TrackingError
from orchestrator.tracking.sweep_run import SweepRun, SweepShown
from orchestrator.tracking.tracker import Tracker
from tests.orchestrator.sweep.made_sweeps import small_sweep


@pytest.mark.slow
def test_a_search_begins_without_a_server_in_a_sweep_that_has_begun_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(run, "train_and_test", lambda running, record, *_: 0)
    monkeypatch.setattr(Tracker, "close", partialmethod(Tracker.close, 0.1))  # not as long as a real search waits
    plan, console = small_sweep(tmp_path)[1][0].plan, PlainConsole(quiet=True)
    with pytest.raises(TrackingError, match="no server answers"):
        run.run_search(plan, {}, console, quiet=True)
    sweep_run = SweepRun.open(None, "small", "small one", "uid", SweepShown(), begun=True)
    try:
        assert run.run_search(plan, {}, console, quiet=True, session=Session(sweep_run=sweep_run)) == 0
    finally:
        sweep_run.close(0.1)
    assert (plan.folder / "definition.json").exists()
