"""A search in a process of its own, its log, and those who watch and stop it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.plan.plan import Plan
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.resolve import make_plan
from orchestrator.plan.search_folder import stored
from orchestrator.plan.settings import SearchSettings, as_arguments
from orchestrator.run import detach
from orchestrator.store.layout import DEFINITION
from orchestrator.store.lock import LOCK, STALE, SearchLock, running_owner
from orchestrator.store.log import LOG, follow, followed, last_lines
from orchestrator.store.owner import Owner
from orchestrator.tune import cluster
from tests.commands import adept
from tests.faults.small_search import ROOT
from tests.orchestrator.plan.planning import plan as planned
from tests.orchestrator.plan.test_former_defaults import GIVEN, begun

HOLD = """
import sys, time
from pathlib import Path
from orchestrator.store.lock import SearchLock
with SearchLock(Path(sys.argv[1]), "mine"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_search_runs_from_its_lock_to_its_process_s_end_even_by_a_kill(tmp_path: Path) -> None:
    assert running_owner(tmp_path) is None
    with SearchLock(tmp_path, "mine") as lock:
        owner = running_owner(tmp_path)
        assert owner is not None and owner.token == lock.owner.token and owner.is_here
    assert running_owner(tmp_path) is None
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        owner = running_owner(tmp_path)
        assert owner is not None and owner.pid == process.pid
        process.kill()
    assert running_owner(tmp_path) is None


def test_the_process_of_another_host_runs_as_long_as_it_gives_signs_of_life(tmp_path: Path) -> None:
    other = replace(Owner.this_process(), host="elsewhere", pid=2**22 + 1)  # no number of a process here
    (tmp_path / LOCK).write_text(json.dumps(asdict(other)))
    assert running_owner(tmp_path) == other and not other.is_here
    os.utime(tmp_path / LOCK, (0, time.time() - STALE - 1))
    assert running_owner(tmp_path) is None


def test_a_search_in_the_foreground_writes_its_log_as_well(tmp_path: Path) -> None:
    screen = io.StringIO()
    with followed(tmp_path, Console(file=screen, width=200)) as console:
        console.print("trial 3 finished")
    assert "trial 3 finished" in screen.getvalue() and "trial 3 finished" in (tmp_path / LOG).read_text()


def test_a_log_is_followed_from_its_last_lines_to_what_is_written_before_the_end(tmp_path: Path) -> None:
    log, shown, over = tmp_path / LOG, io.StringIO(), threading.Event()
    log.write_text("one\ntwo\nthree\n")
    assert last_lines(log, 0) == 14 and last_lines(log, 9) == 0

    def write() -> None:
        with log.open("a") as stream:
            stream.write("four\n")
        over.set()

    threading.Timer(0.2, write).start()
    follow(log, over.is_set, shown, last_lines(log, 2))
    assert shown.getvalue() == "two\nthree\nfour\n"


def test_options_come_through_a_command_line_unchanged() -> None:
    options = {"task": "rte", "steps": "30", "deterministic": "yes", "reuse": None, "eval_every": "3"}
    arguments = as_arguments({**options, "rerun": None, "resume": "yes", "quiet": None})
    assert arguments == ["--task", "rte", "--steps", "30", "--deterministic", "--eval-every", "3", "--resume"]


@pytest.mark.parametrize(
    ("head", "variable", "wanted"),
    [(True, "", True), (False, "", False), (True, detach.DETACHED, False), (True, detach.JOB, False)],
)
def test_only_a_command_that_an_ssh_connection_holds_is_detached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, head: bool, variable: str, wanted: bool
) -> None:
    monkeypatch.setattr(cluster, "HEAD_OF_A_CLUSTER", tmp_path / "ray_bootstrap_config.yaml")
    for name in (detach.DETACHED, detach.JOB):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")
    if head:
        cluster.HEAD_OF_A_CLUSTER.touch()
    assert detach.is_wanted() is wanted


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    settings, problems = read_settings({"task": "debsec", "output": str(tmp_path), "name": "mine"})
    return make_plan(settings, problems)


def test_a_detached_search_is_shown_to_its_end_and_its_exit_code_is_the_command_s(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "import os, sys; print('session', os.getsid(0)); print('no such task', file=sys.stderr); sys.exit(2)"
    monkeypatch.setattr(detach, "command", lambda arguments: [sys.executable, "-c", script])
    assert detach.run_detached(plan, [], Console(file=io.StringIO())) == 2
    out = capsys.readouterr().out
    assert "no such task" in out and f"session {os.getsid(0)}" not in out


def test_a_detached_search_that_its_storage_alone_has_is_called_as_it_was_begun(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an earlier version, whose defaults were others: its process finds it by the name of then."""
    uri = (here / "storage").as_uri()
    before = begun(storage=uri)
    place = stored(before)
    assert place is not None
    (place / DEFINITION).write_bytes((before.folder / DEFINITION).read_bytes())
    monkeypatch.setattr(detach, "command", lambda arguments: [sys.executable, "-c", ""])
    said = io.StringIO()
    again = planned(**GIVEN, storage=uri, output=here / "elsewhere")
    detach.run_detached(again, [], Console(file=said, width=500))
    assert [folder.name for folder in (here / "elsewhere").iterdir()] == [before.name]
    assert f"Search {before.name} runs" in said.getvalue() and again.name not in said.getvalue()


def test_a_detached_command_is_shown_to_its_end_in_the_folder_it_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "import sys; print(sys.argv[1:]); sys.exit(3)"
    monkeypatch.setattr(detach, "command", lambda arguments: [sys.executable, "-c", script, *arguments])
    shown, log = io.StringIO(), tmp_path / "runs" / "night.log"
    assert detach.run_command_detached(["nightly", "demo"], log, "The night", Console(file=shown, width=500)) == 3
    assert "['nightly', 'demo']" in capsys.readouterr().out and "['nightly', 'demo']" in log.read_text()
    assert "The night runs in a process of its own" in shown.getvalue() and "kill -INT" in shown.getvalue()


def test_a_search_that_runs_already_is_shown_and_not_started_again(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(detach, "begin", lambda *_: pytest.fail("it was started again"))
    plan.folder.mkdir()
    log, said = plan.folder / LOG, io.StringIO()
    log.write_text("long ago\n")
    running = SearchLock(plan.folder, plan.name)
    running.__enter__()

    def end() -> None:
        with log.open("a") as stream:
            stream.write("the winner\n")
        running.__exit__(None, None, None)

    threading.Timer(0.5, end).start()
    assert detach.run_detached(plan, [], Console(file=said, width=500)) == 0
    assert f"runs already (process {os.getpid()}" in said.getvalue()
    assert capsys.readouterr().out == "the winner\n"


def test_ctrl_c_ends_the_display_and_not_the_search(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    children: list[subprocess.Popen[bytes]] = []
    begin = detach.begin
    monkeypatch.setattr(detach, "command", lambda arguments: [sys.executable, "-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(detach, "begin", lambda *given: children.append(begin(*given)) or children[0])
    monkeypatch.setattr(detach, "follow", interrupted)
    said = io.StringIO()
    assert detach.run_detached(plan, [], Console(file=said, width=500)) == 0
    assert "search mine goes on" in said.getvalue() and children[0].poll() is None
    children[0].kill()
    children[0].wait()


def test_where_results_go_can_be_said_once_for_all_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADEPT_OUTPUT", str(tmp_path))
    assert SearchSettings().output == tmp_path
    monkeypatch.delenv("ADEPT_OUTPUT")
    assert SearchSettings().output == Path("runs")


def test_names_that_are_none_are_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / LOG).touch()
    for command in ("watch", "stop"):
        assert "did you mean 'mine'?" in " ".join(adept(tmp_path, command, "mien", code=2).split())
    assert "not running" in adept(tmp_path, "stop", "mine")


def test_a_path_below_the_home_folder_is_meant_so_where_no_shell_has_seen_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home" / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "home" / "runs" / "mine" / LOG).write_text("a line\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert "search mine is not running" in adept(tmp_path, "watch", "mine", "--output=~/runs")
    monkeypatch.setenv("ADEPT_OUTPUT", "~/runs")
    assert "search mine is not running" in adept(tmp_path, "stop", "mine")
    assert not (tmp_path / "~").exists()
