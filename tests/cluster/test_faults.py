"""Hosts that lose power or their network, and hosts that join, during a search: its table is that of a quiet day."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.conftest import hosts
from tests.cluster.lab import MINUTE, Hosts, said, table

pytestmark = pytest.mark.cluster

TRIALS = 24
SPACE = """
about: twenty-four short trials
settings: {steps: 240, eval_every: 20, batch_size: 4, warmup_steps: 1}
grids:
  adept:
    prompt_lr: [0.01, 0.03, 0.1, 0.3, 0.5, 1.0]
    mlp_lr: [1e-1, 1e-2, 1e-3, 1e-4]
    prompt_length: 4
    bottleneck: 2
"""


@pytest.fixture(scope="module")
def four() -> Iterator[Hosts]:
    """A cluster of four hosts, the last of which is off."""
    with hosts("faults", 4) as made:
        made.netlab.kill(4)
        (made.storage / "task" / "space24.yaml").write_text(SPACE)
        made.up()
        made.wait_for_hosts(3)
        yield made


def options(cluster: Hosts, name: str) -> list[str]:
    task = cluster.storage / "task"
    where = ["--task", str(task / "task.yaml"), "--space", str(task / "space24.yaml"), "--backbone", "t5-nano"]
    return [*where, "--name", name, "--deterministic", "--slots", "4"]


def begin(cluster: Hosts, name: str) -> subprocess.Popen[str]:
    return cluster.begin("submit", str(cluster.yaml), "orchestrator/search.py", *options(cluster, name))


def reports(cluster: Hosts, name: str) -> int:
    return sum(len(trial["reports"]) for trial in cluster.record(name).get("trials", []))


@pytest.fixture(scope="module")
def undisturbed(four: Hosts) -> dict[str, Any]:
    """The record of the search when nothing happens to it."""
    done = four.submit(*options(four, "calm"), seconds=10 * MINUTE)
    assert done.returncode == 0, said(done)
    record = four.record("calm")
    assert len(record["trials"]) == TRIALS and len({trial["status"] for trial in record["trials"]}) == 2
    return record


def test_workers_lost_and_found_leave_no_trace_in_the_table(four: Hosts, undisturbed: dict[str, Any]) -> None:
    search = begin(four, "storm")
    four.wait(lambda: reports(four, "storm") > 6, 4 * MINUTE, "reports of three hosts")
    four.netlab.kill(2)  # a power cut
    four.netlab.cut(3)  # a cable is pulled
    four.netlab.boot(4)  # and a host is turned on
    time.sleep(MINUTE)
    four.netlab.cut(3, down=False)
    done = four.end_of(search, 10 * MINUTE)
    assert done.returncode == 0, said(done)
    record = four.record("storm")
    assert table(record) == table(undisturbed)
    assert "joined" in done.stdout and four.netlab.ip(4) in done.stdout, said(done)


def test_a_head_that_loses_power_ends_with_the_same_table(four: Hosts, undisturbed: dict[str, Any]) -> None:
    search = begin(four, "headless")
    four.wait(lambda: reports(four, "headless") > 20, 4 * MINUTE, "reports")
    four.netlab.kill(1)
    assert four.end_of(search, 3 * MINUTE).returncode != 0
    kept = reports(four, "headless")
    four.netlab.boot(1)
    four.up()
    four.wait_for_hosts(2)
    done = four.submit(*options(four, "headless"), seconds=10 * MINUTE)
    assert done.returncode == 0 and "Resuming headless" in done.stdout, said(done)
    assert kept > 0 and table(four.record("headless")) == table(undisturbed)
