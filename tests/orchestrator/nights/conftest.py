from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.nights import run as night_run
from orchestrator.sweep import estimates, fingerprint
from tests.orchestrator.nights.made_weeks import Weeks
from tests.orchestrator.sweep.made_sweeps import DEVICE


@pytest.fixture
def same_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates and speeds that do not depend on what else this machine does, and data that nobody has to tokenise."""
    monkeypatch.setattr(estimates, "device", lambda: DEVICE)
    monkeypatch.setattr(fingerprint, "_data", lambda plan: f"rows of {plan.task.name}")
    monkeypatch.setattr(night_run, "calibrate", lambda engines: 100.0)


@pytest.fixture
def weeks(tmp_path: Path, same_machine: None) -> Weeks:
    return Weeks(tmp_path)
