from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.sweep import estimates, fingerprint, runner
from tests.orchestrator.sweep.made_sweeps import DEVICE


@pytest.fixture(autouse=True)
def same_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Estimates that do not depend on what else this machine does, data that nobody has to tokenise, and no charts."""
    monkeypatch.setattr(estimates, "device", lambda: DEVICE)
    monkeypatch.setattr(fingerprint, "_data", lambda plan: f"rows of {plan.task.name}")
    monkeypatch.setattr(runner, "write_sweep_report", lambda state, folder: [])
    yield
