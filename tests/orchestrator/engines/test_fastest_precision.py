"""What `--precision auto` stands for: one decision for all hosts, named wherever the search is, and kept with it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import GetTimeoutError

from orchestrator.console import PlainConsole
from orchestrator.engines import fastest_precision
from orchestrator.engines.fastest_precision import Answer, answer_here, decision, found_out
from orchestrator.engines.nodes import Node
from orchestrator.plan.plan import Plan
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.plan.search_folder import SearchFolder
from orchestrator.record.record import SearchRecord
from orchestrator.run import run
from orchestrator.run.new_record import new_record, run_tags
from orchestrator.run.session import Session
from orchestrator.run.start import Running, decided, start
from orchestrator.summarizer.results.search_lines import setup_lines
from orchestrator.tracking.store import TrackingError
from trials.data_facts import DataIdentity
from trials.errors import UserError


def planned(tmp_path: Path, precision: str = "auto") -> Plan:
    settings, problems = read_settings({"task": "debsec", "precision": precision, "output": str(tmp_path)})
    return make_plan(settings, problems)


def test_bfloat16_is_taken_where_every_host_gains() -> None:
    assert decision({"a": Answer(2.0), "b": Answer(1.6)})[0] == "bfloat16"
    chosen, why = decision({"a": Answer(8.0), "b": Answer(1.4)})
    assert chosen == "float32" and "1.4 times as fast as float32 on b" in why
    chosen, why = decision({"a": Answer(8.0), "b": Answer(0.02)})
    assert chosen == "float32" and why.endswith("bfloat16 multiplies 50 times slower on b")
    assert decision({})[0] == "float32"


def test_a_backbone_that_is_not_right_in_bfloat16_is_computed_in_float32() -> None:
    chosen, why = decision({"a": Answer(2.0), "b": Answer(1.6, "losses differ")})
    assert chosen == "float32" and "in bfloat16 on b, losses differ" in why
    assert "in bfloat16, losses differ" in decision({"a": Answer(2.0, "losses differ")})[1]


def test_a_host_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path))
    asked: list[str] = []

    def found(device: str, width: int, ff: int, *backbone: str) -> Answer:
        asked.append(f"{width} {' '.join(backbone)}".strip())
        return Answer(3.0, "losses differ")

    monkeypatch.setattr(fastest_precision, "found_out", found)
    for revision in ("r1", "r1", "r2"):
        assert answer_here("cpu", 64, 256, "t5-nano", revision, "") == Answer(3.0, "losses differ")
    assert asked == ["64 t5-nano r1", "64 t5-nano r2"]


def test_a_processor_of_the_same_name_is_asked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache outlives its machine, on a disk that hosts share or that another machine gets."""
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path))
    paces = {"avx2": 0.5, "avx2 avx512_bf16": 3.0}
    for units, pace in paces.items():
        monkeypatch.setattr(fastest_precision, "vector_units", lambda units=units: units, raising=False)
        monkeypatch.setattr(fastest_precision, "found_out", lambda *_, pace=pace: Answer(pace))
        assert answer_here("cpu", 64, 256, "t5-nano", "", "") == Answer(pace)


def test_what_a_host_could_not_find_out_it_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of the hub come with the first search: what is wrong with them in bfloat16 counts from the second on."""
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path))
    monkeypatch.setattr(fastest_precision, "GAIN", 0.0)
    first = answer_here("cpu", 64, 256, str(tmp_path / "none"), "", "")
    assert first.pace > 0 and first.refusal is None and decision({"a": replace(first, pace=9.0)})[0] == "bfloat16"
    monkeypatch.setattr(fastest_precision, "found_out", lambda *_: Answer(3.0, "losses differ"))
    assert answer_here("cpu", 64, 256, str(tmp_path / "none"), "", "") == Answer(3.0, "losses differ")


@pytest.mark.parametrize(("code", "found"), [("echo 2.5; exit 1", Answer(2.5, None)), ("", None), ("echo no", None)])
def test_a_process_that_breaks_off_finds_no_more_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, found: Answer | None
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(fastest_precision.sys, "executable", str(program))
    if found is not None:
        assert found_out("cpu", 64, 256, "t5-nano", "", "") == found
        return
    with pytest.raises(subprocess.CalledProcessError):
        found_out("cpu", 64, 256, "t5-nano", "", "")


def test_a_cache_that_cannot_be_written_costs_a_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(fastest_precision, "found_out", lambda *_: Answer(1.0))
    assert answer_here("cpu", 64, 256, "t5-nano", "", "") == Answer(1.0)


def test_hosts_that_stay_silent_cost_one_wait_and_those_that_leave_are_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asked = [0.0], list[str]()

    def remote(function: Any) -> Any:
        def options(scheduling_strategy: Any, **_: Any) -> Any:
            return SimpleNamespace(remote=lambda *_: scheduling_strategy.node_id)

        return SimpleNamespace(options=options)

    def get(node: str, timeout: float) -> Answer:
        asked.append(node)
        if node == "d" * 56:
            return Answer(3.0)
        clock[0] += timeout
        raise GetTimeoutError

    up = [Node(one * 56, one, 0, 2, 1.0, draining=one == "a") for one in "abcd"]
    monkeypatch.setattr(fastest_precision, "nodes_up", lambda: {node.id: node for node in up})
    monkeypatch.setattr(fastest_precision, "time", SimpleNamespace(monotonic=lambda: clock[0]), raising=False)
    monkeypatch.setattr(fastest_precision.ray, "remote", remote)
    monkeypatch.setattr(fastest_precision.ray, "get", get)
    assert fastest_precision.chosen_precision(planned(tmp_path))[0] == "bfloat16"
    assert [one[0] for one in asked] == ["b", "c", "d"]
    assert clock[0] == fastest_precision.PATIENCE + fastest_precision.REMOTE


def test_a_process_of_its_own_finds_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADEPT_CACHE", str(tmp_path))
    monkeypatch.setattr(fastest_precision, "GAIN", 0.0)
    assert found_out("cpu", 64, 256, "t5-nano", "", "").pace > 0
    with pytest.raises(subprocess.CalledProcessError):
        found_out("cpu", 0, 256, "t5-nano", "", "")


SAYS = """#!/bin/sh
echo {first}
sleep {seconds}
echo '"losses differ"'
"""


@pytest.mark.parametrize(("first", "seconds", "found"), [
    ("2.5", 0, Answer(2.5, "losses differ")),
    ("2.5", 30, Answer(2.5)),  # the backbone is left to the engines
    ("", 30, None),
])  # fmt: skip
def test_what_a_process_has_said_in_time_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, seconds: int, found: Answer | None
) -> None:
    program = tmp_path / "python"
    program.write_text(SAYS.format(first=first, seconds=seconds))
    program.chmod(0o755)
    monkeypatch.setattr(fastest_precision.sys, "executable", str(program))
    monkeypatch.setattr(fastest_precision, "PATIENCE", 60.0 if not seconds else 1.0)
    if found is not None:
        assert found_out("cpu", 64, 256, "t5-nano", "", "") == found
        return
    with pytest.raises(subprocess.TimeoutExpired):
        found_out("cpu", 64, 256, "t5-nano", "", "")


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


@pytest.mark.parametrize("no_ray", [False, True])
def test_a_store_that_cannot_be_used_is_named_and_its_ray_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_ray: bool
) -> None:
    """MLflow's store is opened while a Ray starts: whatever becomes of that, the store's error is the one to mend."""
    done: list[str] = []

    def away(*_: Any) -> Any:
        raise TrackingError(["no store"])

    def connect(self: Session, debug: bool) -> None:
        done.append("started")
        if no_ray:
            raise UserError(["no Ray"])

    made = SimpleNamespace(fingerprint="", identity=DataIdentity())
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr(run, "prepare_data", lambda plan: made)
    monkeypatch.setattr(run, "open_tracker", away)
    monkeypatch.setattr(Session, "connect", connect)
    monkeypatch.setattr(Session, "close", lambda self: done.append("ended"))
    monkeypatch.setattr(fastest_precision, "ask_here_early", lambda plan: done.append("asked"))
    monkeypatch.setattr(fastest_precision, "chosen_precision", lambda plan: pytest.fail("decided"))
    plan = planned(tmp_path)
    with pytest.raises(TrackingError, match="no store"):
        run.run_search(plan, {}, PlainConsole(quiet=True), quiet=True)
    assert done == ["asked", "started", "ended"] and not SearchFolder(plan.folder).begun


def test_a_host_is_asked_early_where_its_own_ray_is_to_ask_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(fastest_precision, "ask_here_early", lambda plan: asked.append(plan))
    monkeypatch.setattr(fastest_precision, "chosen_precision", lambda plan: ("float32", "why"))
    how: dict[str, Any] = {"options": {}, "console": None, "session": SimpleNamespace(connect=lambda debug: None)}

    def begun(plan: Plan) -> bool:
        before = len(asked)
        opened: Any = "tracker"
        start(Running(plan=plan, files=SearchFolder(plan.folder), **how), lambda: (opened, ""))
        return len(asked) > before

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    assert begun(planned(tmp_path))
    assert not begun(planned(tmp_path, "bfloat16")) and not begun(replace(planned(tmp_path), chosen="bfloat16"))
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    assert not begun(planned(tmp_path))
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert not begun(planned(tmp_path))


def test_nothing_is_measured_for_a_search_that_is_to_be_repeatable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fastest_precision, "chosen_precision", lambda plan: pytest.fail("measured"))
    settings, problems = read_settings({"task": "debsec", "deterministic": "yes", "output": str(tmp_path)})
    plan = make_plan(settings, problems)
    how: dict[str, Any] = {"options": {}, "files": SearchFolder(plan.folder), "console": None, "session": Session()}
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
    plan = planned(tmp_path)
    how: dict[str, Any] = {"options": {}, "files": SearchFolder(plan.folder), "console": None, "session": Session()}
    first = decided(Running(plan=plan, **how))
    assert first.plan.precision == "bfloat16"
    assert decided(first) is first and len(asked) == 1
    settled = Running(plan=planned(tmp_path, "float32-exact"), **how)
    assert decided(settled) is settled and len(asked) == 1
