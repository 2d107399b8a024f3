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
from orchestrator.engines.fastest_precision import Answer, answer_here, decision, pace_here, refusal_here
from orchestrator.plan.plan import Plan
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.plan.search_folder import SearchFolder
from orchestrator.record.record import SearchRecord
from orchestrator.run import run
from orchestrator.run.new_record import new_record, run_tags
from orchestrator.run.run import Running, decided
from orchestrator.run.session import Session
from orchestrator.summarizer.results.search_lines import setup_lines
from orchestrator.tracking.store import TrackingError
from trials.data_facts import DataIdentity


def planned(tmp_path: Path, precision: str = "auto") -> Plan:
    settings, problems = read_settings({"task": "debsec", "precision": precision, "output": str(tmp_path)})
    return make_plan(settings, problems)


def test_bfloat16_is_taken_where_every_host_gains() -> None:
    assert decision({"a": Answer(2.0), "b": Answer(1.6)})[0] == "bfloat16"
    chosen, why = decision({"a": Answer(8.0), "b": Answer(1.4)})
    assert chosen == "float32" and "1.4 times as fast as float32 on b" in why
    assert decision({})[0] == "float32"


def test_a_backbone_that_is_not_right_in_bfloat16_is_computed_in_float32() -> None:
    chosen, why = decision({"a": Answer(2.0), "b": Answer(1.6, "losses differ")})
    assert chosen == "float32" and "in bfloat16 on b, losses differ" in why
    assert "in bfloat16, losses differ" in decision({"a": Answer(2.0, "losses differ")})[1]


def test_a_host_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path))
    asked: list[str] = []
    paces = iter([3.0, 1.2])

    def measured(device: str, width: int, ff: int) -> float:
        asked.append(f"{width} {ff}")
        return next(paces)

    monkeypatch.setattr(fastest_precision, "pace_here", measured)
    monkeypatch.setattr(fastest_precision, "refusal_here", lambda *of: asked.append(of[1]) or "losses differ")
    for _ in range(2):
        assert answer_here("cpu", 64, 256, "t5-nano", "r1", "") == Answer(3.0, "losses differ")
    assert answer_here("cpu", 32, 64, "t5-nano", "r1", "") == Answer(1.2)  # too slow to look at the backbone
    assert asked == ["64 256", "t5-nano", "32 64"]
    assert answer_here("cpu", 64, 256, "t5-nano", "r2", "").refusal and asked[3:] == ["t5-nano"]


def test_a_cache_that_cannot_be_written_costs_a_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(fastest_precision, "pace_here", lambda *_: 1.0)
    assert answer_here("cpu", 64, 256, "t5-nano", "", "") == Answer(1.0)


def test_a_backbone_that_is_not_tried_in_time_is_left_to_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastest_precision, "LOADING", 0.01)
    assert refusal_here("cpu", "t5-nano", "", "") == ""


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


def test_nothing_is_measured_for_a_search_that_is_to_be_repeatable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Session, "connect", lambda self, debug: pytest.fail("a Ray was started"))
    settings, problems = read_settings({"task": "debsec", "deterministic": "yes", "output": str(tmp_path)})
    plan = make_plan(settings, problems)
    how: dict[str, Any] = {"options": {}, "files": SearchFolder(plan.folder), "console": None}
    with caplog.at_level("INFO"):
        made = decided(Running(plan=plan, **how)).plan
    assert made.chosen == made.spec.precision == made.recorded["precision"] == "float32"
    assert "--precision auto: float32, since" in caplog.text


def test_record_table_and_mlflow_say_that_it_was_chosen(tmp_path: Path) -> None:
    data: Any = SimpleNamespace(
        identity=DataIdentity(), examples={}, majority=dict, report=SimpleNamespace(as_dict=dict)
    )
    for precision, words in (("auto", "bfloat16, chosen by --precision auto"), ("bfloat16", "bfloat16")):
        plan = planned(tmp_path, precision)
        plan = replace(plan, chosen="bfloat16") if precision == "auto" else plan
        record = new_record(plan, data, {})
        assert record.settings["precision"] == plan.parameters["precision"] == "bfloat16"
        assert f"precision {words}, " in next(line.text for line in setup_lines(record) if line.label == "Settings")
        tags = run_tags(plan, record, {})
        assert tags.get("precision") == (words if precision == "auto" else None)


def test_a_search_decides_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    chosen = "bfloat16", "bfloat16, of course"
    monkeypatch.setattr(fastest_precision, "chosen_precision", lambda plan: (asked.append(plan), chosen)[1])
    session: Any = SimpleNamespace(connect=lambda debug: None)
    plan = planned(tmp_path)
    how: dict[str, Any] = {"options": {}, "files": SearchFolder(plan.folder), "console": None, "session": session}
    first = decided(Running(plan=plan, **how))
    assert (first.plan.precision, first.own) == ("bfloat16", session)
    assert decided(first) is first and len(asked) == 1
    settled = Running(plan=planned(tmp_path, "float32-exact"), **how)
    assert decided(settled) is settled and len(asked) == 1
