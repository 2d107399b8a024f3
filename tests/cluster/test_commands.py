"""`ray up`, `ray submit`, `ray exec`, `ray job submit` and `ray down` with the shipped cluster file, on real hosts."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec

import pytest

from orchestrator.nights.history import History
from tests.cluster.conftest import hosts
from tests.cluster.lab import MINUTE, Hosts, said

ENGINE = "pgrep -f ray::EngineActor"
SWEEP = """
tasks: [task.yaml]
backbones: [t5-nano]
options: {space: space.yaml, samples: 3, slots: 1, steps: 40, eval_every: 10, scheduler: none}
champions: true
notify: {when: always, file: notices.jsonl}
"""


def small(cluster: Hosts, name: str, steps: int, every: int = 20) -> list[str]:
    """A search of six short trials, none stopped early."""
    task = cluster.storage / "task"
    where = ["--task", str(task / "task.yaml"), "--space", str(task / "space.yaml"), "--backbone", "t5-nano"]
    where += ["--precision", "float32"]
    return [*where, "--name", name, "--steps", str(steps), "--eval-every", str(every), "--scheduler", "none"]


def reports(cluster: Hosts, name: str) -> int:
    return sum(len(trial["reports"]) for trial in cluster.record(name).get("trials", []))


@pytest.mark.cluster
def test_up_submit_down() -> None:
    """The smallest whole."""
    with hosts("smoke", 2) as two:
        two.up()
        two.wait_for_hosts(2)
        done = two.submit(*small(two, "smoke", steps=2, every=2), "--samples", "2")
        assert done.returncode == 0 and "Winner" in done.stdout, said(done)
        down = two.ray("down", "-y", str(two.yaml))
        assert down.returncode == 0, said(down)
        two.wait(lambda: two.shell(1, "pgrep -x raylet").returncode != 0, MINUTE, "the head's Ray to end")


@pytest.mark.cluster
def test_a_search_spreads_over_the_hosts_and_its_table_is_printed(cluster: Hosts) -> None:
    search = cluster.begin(
        "submit", str(cluster.yaml), "orchestrator/search.py", "--task", "debsec", "--backbone", "t5-nano",
        "--steps", "4", "--eval-every", "2", "--samples", "3", "--slots", "1",
        "--scheduler", "none", "--name", "spread",
    )  # fmt: skip
    with_engine: set[int] = set()

    def all_seen() -> bool:
        with_engine.update(host for host in (1, 2, 3) if cluster.shell(host, ENGINE).returncode == 0)
        return len(with_engine) == 3

    cluster.wait(all_seen, 4 * MINUTE, "an engine on each host")
    done = cluster.end_of(search, 4 * MINUTE)
    output = done.stdout
    assert done.returncode == 0, said(done)
    record = cluster.record("spread")
    assert [trial["status"] for trial in record["trials"]] == ["finished"] * 3
    assert f"trial {record['test']['trial_number']}" in output and "Winner" in output and "Test" in output
    assert "Traceback" not in output


@pytest.mark.cluster
def test_a_search_outlives_its_connection_and_is_watched_stopped_and_resumed(cluster: Hosts) -> None:
    search = cluster.begin("submit", str(cluster.yaml), "orchestrator/search.py", *small(cluster, "drop", steps=400))
    cluster.wait(lambda: reports(cluster, "drop"), 4 * MINUTE, "a report")
    os.killpg(search.pid, signal.SIGKILL)  # the laptop is closed
    before = reports(cluster, "drop")
    cluster.wait(lambda: reports(cluster, "drop") > before + 3, MINUTE, "reports without a connection")

    watching = cluster.begin("exec", str(cluster.yaml), "adept-search watch drop")
    cluster.wait(lambda: "watch drop" in cluster.shell(1, "pgrep -af watch").stdout, MINUTE, "the watching")
    stopped = cluster.on_head("adept-search stop drop")
    assert stopped.returncode == 0 and "search drop has stopped" in stopped.stdout, said(stopped)
    seen = cluster.end_of(watching, MINUTE)
    assert seen.returncode == 0 and "new best" in seen.stdout and "interrupted: " in seen.stdout, said(seen)
    kept = reports(cluster, "drop")
    assert 0 < kept < 6 * 20

    again = cluster.on_head("adept-search stop drop")
    assert again.returncode == 0 and "not running" in again.stdout, said(again)
    resumed = cluster.on_head("adept-search resume drop", seconds=5 * MINUTE)
    assert resumed.returncode == 0 and "Winner" in resumed.stdout, said(resumed)
    steps = [[report["step"] for report in trial["reports"]] for trial in cluster.record("drop")["trials"]]
    assert steps == [list(range(20, 401, 20))] * 6, "a report is lost or there twice"


@pytest.mark.cluster
def test_the_same_search_submitted_twice_runs_once(cluster: Hosts) -> None:
    command = ["submit", str(cluster.yaml), "orchestrator/search.py"]
    first = cluster.begin(*command, *small(cluster, "twice", steps=200))
    cluster.wait(lambda: reports(cluster, "twice"), 4 * MINUTE, "a report")
    second = cluster.begin(*command, *small(cluster, "twice", steps=200))
    other = cluster.submit(*small(cluster, "twice", steps=100))
    assert other.returncode == 1
    assert "error: --name twice" in other.stdout and "choose another --name" in other.stdout, said(other)
    for process in (first, second):
        done = cluster.end_of(process, 5 * MINUTE)
        assert done.returncode == 0 and "Winner" in done.stdout, said(done)
    assert "runs already (process" in done.stdout and "nothing was started" in done.stdout
    assert [len(trial["reports"]) for trial in cluster.record("twice")["trials"]] == [10] * 6


@pytest.mark.cluster
@pytest.mark.skipif(find_spec("aiohttp_cors") is None, reason="jobs need Ray's dashboard: the extra `cluster`")
def test_ray_job_submit_runs_a_search_as_a_job(cluster: Hosts) -> None:
    forwarding = cluster.begin("dashboard", str(cluster.yaml))
    try:
        address = ["--address", "http://127.0.0.1:8265"]
        cluster.wait(lambda: cluster.ray("job", "list", *address).returncode == 0, 2 * MINUTE, "the dashboard")
        search = ["python", "orchestrator/search.py", *small(cluster, "job", steps=4, every=4)]
        done = cluster.ray("job", "submit", *address, "--working-dir", ".", "--", *search)
        assert done.returncode == 0 and "Winner" in done.stdout and "succeeded" in done.stdout, said(done)
        assert "process of its own" not in done.stdout  # a job is one already
    finally:
        os.killpg(forwarding.pid, signal.SIGKILL)
        forwarding.communicate()


@pytest.mark.cluster
def test_a_night_outlives_its_connection_and_the_next_one_is_compared_with_it(cluster: Hosts) -> None:
    sweep = cluster.storage / "task" / "small.yaml"
    sweep.write_text(SWEEP)
    command = ["submit", str(cluster.yaml), "orchestrator/command.py", "nightly", str(sweep), "--date"]
    first = cluster.begin(*command, "2026-01-01")
    cluster.wait(lambda: cluster.shell(1, ENGINE).returncode == 0, 4 * MINUTE, "an engine on the head")
    os.killpg(first.pid, signal.SIGKILL)  # the laptop is closed
    first.communicate()
    history, notices = History(cluster.runs("history")), sweep.with_name("notices.jsonl")
    cluster.wait(notices.exists, 4 * MINUTE, "the first night's notice")
    second = cluster.ray(*command, "2026-01-02", seconds=6 * MINUTE)
    assert "process of its own" in second.stdout and "Traceback" not in second.stdout, said(second)
    before, after = history.nights("small")
    assert (before.date, after.date) == ("2026-01-01", "2026-01-02") and len(notices.read_text().splitlines()) == 2
    assert before.cells[0].status == "measured" and after.cells[0].status == "taken over", said(second)
    assert before.cells[0].score == after.cells[0].score
    assert (cluster.runs("small") / "history.html").is_file()
