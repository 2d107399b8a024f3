"""Searches on a cluster whose hosts come and go, with toys in the engines."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import ray
from ray.core.generated import autoscaler_pb2

from orchestrator.engines.hosts import HostChecks
from orchestrator.engines.nodes import nodes_up
from orchestrator.engines.pool import EnginePool
from orchestrator.record.record import SearchRecord
from orchestrator.tune.progress import Progress
from tests.orchestrator.searching_toys import empty_record, search_with, searched, toy_plan
from trials.errors import UserError

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = pytest.mark.slow

RATES = [round(0.1 * n, 1) for n in range(1, 7)]
STEPS, EVERY = 800, 40


def host(cluster: Cluster, **more: Any) -> Any:
    return cluster.add_node(num_cpus=1, object_store_memory=80_000_000, **more)


def drain(node: Any) -> None:
    """What an autoscaler does when the cloud takes a spot machine back."""
    made: Any = autoscaler_pb2
    worker: Any = ray._private.worker.global_worker
    reason = made.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    deadline = int(time.time() * 1000) + 60_000
    assert worker.gcs_client.drain_node(node.node_id, reason, "spot", deadline)[0]


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Has something done once in a search, when so many steps have been trained."""
    planned: list[tuple[int, Callable[[], object]]] = []
    tick = Progress.tick

    def tick_and_do(progress: Progress) -> None:
        tick(progress)
        for item in [item for item in planned if progress._done() >= item[0]]:
            planned.remove(item)
            item[1]()

    monkeypatch.setattr(Progress, "tick", tick_and_do)
    return lambda steps, what: planned.append((steps, what))


def assert_whole(record: SearchRecord) -> None:
    """Every trial is finished, and no report was trained twice."""
    assert {(trial.number, trial.status) for trial in record.trials} == {(n, "finished") for n in range(1, 7)}
    for trial in record.trials:
        assert [report["step"] for report in trial.reports] == list(range(EVERY, STEPS + 1, EVERY))


def engines_of_last_reports(folder: Path) -> set[int]:
    kept = (folder / "tune" / "attempt-1").glob("trial-*/checkpoint_*/training.json")
    return {json.loads(file.read_text())["pid"] for file in kept}


def test_a_host_that_joins_gets_trials_and_one_that_dies_takes_none_along(
    cluster: Cluster, after: Any, tmp_path: Path
) -> None:
    first = host(cluster)
    wrong = tmp_path / "old" / "transformers-1.0.dist-info"
    wrong.mkdir(parents=True)
    (wrong / "METADATA").write_text("Name: transformers\nVersion: 1.0\n")
    after(200, lambda: host(cluster))
    after(300, lambda: host(cluster, env_vars={"PYTHONPATH": str(wrong.parent)}))
    after(2000, lambda: cluster.remove_node(first, allow_graceful=False))
    plan = toy_plan(tmp_path, RATES, STEPS, eval_every=EVERY, slots=2)
    record, shown = searched(plan, tmp_path)
    assert_whole(record)
    assert "1 engine(s) joined on" in shown and "now 2 engine(s) on cpu" in shown
    assert "goes on without a host that joined" in shown and "transformers 1.0 there" in shown
    assert "has left: its trials go on elsewhere, 1 engine(s) are left" in shown
    assert len(engines_of_last_reports(tmp_path)) > 1


@pytest.mark.cluster
def test_trials_of_a_host_that_is_taken_back_lose_no_update_and_wait_for_the_next_host(
    cluster: Cluster, after: Any, tmp_path: Path
) -> None:
    first = host(cluster)
    after(700, lambda: drain(first))
    show = Progress.show

    def join_when_asked(progress: Progress, message: logging.LogRecord) -> None:
        show(progress, message)
        if "Trials wait 5 minutes" in message.getMessage():
            host(cluster)

    plan = toy_plan(tmp_path, RATES, STEPS, eval_every=EVERY, slots=3, host_wait=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "show", join_when_asked)
        record, shown = searched(plan, tmp_path)
    assert_whole(record)
    assert "is about to be taken away: its trials go on elsewhere, 0 engine(s) are left" in shown
    assert "goes on elsewhere, at the same update" in shown
    assert "was lost" not in shown


@pytest.mark.cluster
def test_a_search_that_no_host_comes_for_ends_with_a_word_and_fails_no_trial(
    cluster: Cluster, after: Any, tmp_path: Path
) -> None:
    first = host(cluster)
    after(100, lambda: cluster.remove_node(first, allow_graceful=False))
    plan = toy_plan(tmp_path, RATES, STEPS, eval_every=EVERY, slots=6, host_wait=0.05)
    record, shown = empty_record(), io.StringIO()
    with pytest.raises(UserError, match=r"no engine is left.*no host has come in 0.05 minutes \(--host-wait\)"):
        search_with(plan, tmp_path, record, shown)
    assert "ray start --address=" in " ".join(shown.getvalue().split())
    assert "failed" not in {trial.status for trial in record.trials}
    assert any(trial.reports for trial in record.trials)


@pytest.mark.cluster
def test_hosts_with_other_versions_are_named_before_anything_starts(cluster: Cluster, tmp_path: Path) -> None:
    for name, version in (("torch", "1.0"), ("transformers", "0.0.1")):
        wrong = tmp_path / "old" / f"{name}-{version}.dist-info"
        wrong.mkdir(parents=True)
        (wrong / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    hidden = tmp_path / "hidden" / "sitecustomize.py"
    hidden.parent.mkdir()
    hidden.write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'trials' else find(name, *more)\n"
    )
    host(cluster, env_vars={"PYTHONPATH": str(wrong.parent)})
    host(cluster, env_vars={"PYTHONPATH": str(hidden.parent)})
    plan = toy_plan(tmp_path, RATES)
    pool = EnginePool(plan)
    with pytest.raises(UserError) as refused:
        pool.start(1)
    said = "\n".join(refused.value.problems)
    assert len(refused.value.problems) == 3
    assert "torch 1.0 there, " in said and "transformers 0.0.1 there, " in said
    assert "trials cannot be imported there by" in said and "pip install -c constraints.txt" in said
    assert not list(plan.folder.glob(".seen-*"))
    checks = HostChecks(plan)
    assert checks.problems(node for node in nodes_up().values() if not node.cpus) == []  # the head is as it should be
    assert checks.shared
    checks.close()
