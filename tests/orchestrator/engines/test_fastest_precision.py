"""What `--precision auto` stands for: one decision for all hosts, named wherever the search is, and kept with it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.console import PlainConsole
from orchestrator.engines import fastest_precision
from orchestrator.engines.fastest_precision import decision, pace_here
from orchestrator.plan.plan import Plan
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.plan.search_folder import SearchFolder
from orchestrator.record.record import SearchRecord
from orchestrator.run import run
from orchestrator.run.run import Running, decided
from orchestrator.run.session import Session
from orchestrator.tracking.store import TrackingError
from trials.data_facts import DataIdentity


def planned(tmp_path: Path, precision: str = "auto") -> Plan:
    settings, problems = read_settings({"task": "debsec", "precision": precision, "output": str(tmp_path)})
    return make_plan(settings, problems)


def test_bfloat16_is_taken_where_every_host_gains() -> None:
    assert decision({"a": 2.0, "b": 1.6})[0] == "bfloat16"
    chosen, why = decision({"a": 8.0, "b": 1.4})
    assert chosen == "float32" and "1.4 times as fast as float32 on b" in why
    assert decision({})[0] == "float32"


def test_a_process_of_its_own_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pace_here("cpu", 64, 256) > 0
    with pytest.raises(subprocess.CalledProcessError):
        pace_here("cpu", 0, 256)


def test_the_decision_is_named_and_kept_and_the_request_is_what_it_was(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert plan.recorded["precision"] == plan.parameters["precision"] == "auto"
    made = replace(plan, chosen="bfloat16")
    assert made.spec.precision == made.recorded["precision"] == made.parameters["precision"] == "bfloat16"
    assert made.name == plan.name and made.definition == plan.definition
    assert plan.name not in {planned(tmp_path, other).name for other in ("float32", "bfloat16")}
    record = SearchRecord(name=plan.name, task="debsec", title="", method="", backbone="", recipe="", metric="")
    SearchFolder(plan.folder).begin(made, {}, record, DataIdentity())
    files = SearchFolder(plan.folder)
    files.previous(plan)
    assert files.begun and files.precision == "bfloat16"


def test_nothing_is_measured_where_the_search_cannot_be_tracked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong address of MLflow is named before a Ray has been started for the measurement."""

    def away(*_: Any) -> Any:
        raise TrackingError(["no store"])

    made = SimpleNamespace(fingerprint="", identity=DataIdentity())
    monkeypatch.setattr(run, "prepare_data", lambda plan: made)
    monkeypatch.setattr(run, "open_tracker", away)
    monkeypatch.setattr(Session, "connect", lambda self, debug: pytest.fail("a Ray was started"))
    with pytest.raises(TrackingError, match="no store"):
        run.run_search(planned(tmp_path), {}, PlainConsole(quiet=True), quiet=True)


def test_a_search_decides_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    chosen = "bfloat16", "bfloat16, of course"
    monkeypatch.setattr(fastest_precision, "chosen_precision", lambda facts: (asked.append(facts), chosen)[1])
    session: Any = SimpleNamespace(connect=lambda debug: None)
    plan = planned(tmp_path)
    how: dict[str, Any] = {"options": {}, "files": SearchFolder(plan.folder), "console": None, "session": session}
    first = decided(Running(plan=plan, **how))
    assert (first.plan.precision, first.own) == ("bfloat16", session)
    assert decided(first) is first and len(asked) == 1
    settled = Running(plan=planned(tmp_path, "float32-exact"), **how)
    assert decided(settled) is settled and len(asked) == 1
