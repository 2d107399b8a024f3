"""Engines that stay loaded between searches: what the next search's pool takes over, and what it does not."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle
from rich.console import Console

from orchestrator.engines.directory import trial_key
from orchestrator.engines.kept import KeptEngines
from orchestrator.engines.pool import EnginePool
from orchestrator.record.record import SearchRecord
from orchestrator.tune import runner
from orchestrator.tune.progress import Progress
from tests.orchestrator.searching_toys import empty_record, toy_plan
from tests.orchestrator.toy_engine import ToyEngine, build_toy, config_of

pytestmark = pytest.mark.usefixtures("ray_local")
cloudpickle.register_pickle_by_value(sys.modules[__name__])

RATES = [round(0.1 * n, 1) for n in range(1, 9)]


@pytest.fixture
def kept() -> Iterator[KeptEngines]:
    engines = KeptEngines()
    yield engines
    engines.close()


@pytest.fixture
def pool(tmp_path: Path, kept: KeptEngines) -> Iterator[Callable[..., EnginePool]]:
    """Starts the pool of a search of eight trials that keeps its engines."""
    pools: list[EnginePool] = []

    def start(**options: Any) -> EnginePool:
        pools.append(EnginePool(toy_plan(tmp_path, RATES, **options), build_toy, kept))
        pools[-1].start(len(RATES))
        return pools[-1]

    yield start
    for each in pools:
        each.close()


def called(engine: str, method: str, *arguments: Any) -> Any:
    return ray.get(getattr(ray.get_actor(engine), method).remote(*arguments), timeout=60)


def pids(engines: EnginePool) -> dict[str, int]:
    return {name: facts.pid for name, facts in engines.facts.items()}


def test_the_next_search_goes_on_in_the_same_processes_with_slots_of_its_own(
    pool: Callable[..., EnginePool], kept: KeptEngines
) -> None:
    first = pool(slots=1, devices=2)
    before = pids(first)
    first.close()
    assert len(kept) == 2
    second = pool(slots=3, devices=2)
    assert pids(second) == before
    assert {facts.slots for facts in second.facts.values()} == {3}


def test_nothing_is_left_of_trials_that_were_held_and_a_late_call_of_theirs_does_no_harm(
    pool: Callable[..., EnginePool],
) -> None:
    first = pool(slots=2, devices=1)
    (name,) = first.names
    of_first = trial_key(first.directory, 1)
    assert called(name, "start", of_first, config_of(steps=10_000).as_dict())
    first.close()
    second = pool(slots=2, devices=1)
    assert (second.names, second.facts[name].trials, second.facts[name].throughput) == ([name], 0, 0.0)
    of_second = trial_key(second.directory, 1)
    assert called(name, "start", of_second, config_of(steps=10_000).as_dict())
    called(name, "stop", of_first)
    assert called(name, "next_report", of_second).report["step"] == 1


def test_an_engine_that_dies_in_a_later_search_comes_back_as_that_searchs_engine(
    pool: Callable[..., EnginePool],
) -> None:
    pool(slots=2, devices=1).close()
    second = pool(slots=5, devices=1)
    (name,) = second.names
    os.kill(second.facts[name].pid, signal.SIGKILL)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            found = called(name, "facts")
            break
        except ray.exceptions.ActorUnavailableError:
            time.sleep(0.2)
    assert found.pid != second.facts[name].pid
    assert found.slots == 5


@pytest.mark.parametrize("for_good", [False, True])
def test_an_engine_that_died_between_two_searches_is_replaced(pool: Callable[..., EnginePool], for_good: bool) -> None:
    first = pool(slots=1, devices=2)
    before = pids(first)
    first.close()
    name = next(iter(before))
    if for_good:
        ray.kill(ray.get_actor(name))
    else:
        os.kill(before[name], signal.SIGKILL)
    second = pool(slots=4, devices=2)
    until = time.monotonic() + 60
    while len(second.facts) < 2 and time.monotonic() < until:
        second.follow(len(RATES))
        time.sleep(0.2)
    after = pids(second)
    assert len(after) == 2 and before[name] not in after.values()
    assert {facts.slots for facts in second.facts.values()} == {4}
    assert set(before.values()) & set(after.values())


def test_engines_that_a_search_has_no_use_for_end_since_its_own_count_on_their_memory(
    pool: Callable[..., EnginePool], kept: KeptEngines
) -> None:
    first = pool(slots=1, devices=2)
    first.close()
    second = pool(slots=4, devices=1)
    assert len(second.names) == 1 and len(kept) == 0


def test_an_engine_that_cannot_be_made_for_one_search_is_not_kept_and_the_next_search_has_another(
    tmp_path: Path, kept: KeptEngines
) -> None:
    def build(spec: Any, device: str) -> ToyEngine:
        if spec.slots == 3:
            raise ValueError("the file is damaged")
        return build_toy(spec, device)

    def started(slots: int) -> EnginePool:
        made = EnginePool(toy_plan(tmp_path, [0.1], slots=slots, devices=1), build, kept)
        made.start(1)
        return made

    started(2).close()
    with pytest.raises(ValueError, match="the file is damaged"):
        started(3)
    assert len(kept) == 0
    third = started(2)
    assert len(third.names) == 1
    third.close()


@pytest.mark.slow
def test_searches_one_after_the_other_train_the_same_as_apart(tmp_path: Path, kept: KeptEngines) -> None:
    made: list[SearchRecord] = []
    processes: list[dict[str, int]] = []
    searches = RATES[:3], RATES[3:5], RATES[5:]
    for number, rates in enumerate(searches):
        folder = tmp_path / str(number)
        folder.mkdir()
        plan, record = toy_plan(folder, rates, slots=2, devices=1), empty_record()
        with Progress(plan.count, plan.steps, "accuracy", Console(file=io.StringIO(), width=200)) as progress:
            search = runner.Search(plan, folder / "tune", progress, record, lambda: None, build_toy, kept=kept)
            search.fit()
            processes.append(pids(search.pool))
            search.pool.close()
        made.append(record)
    assert processes[0] == processes[1] == processes[2]
    for record, rates in zip(made, searches, strict=True):
        assert {trial.status for trial in record.trials} == {"finished"}
        scores = [[report["score"] for report in trial.reports] for trial in record.trials]
        assert scores == [[pytest.approx(100 * rate + step) for step in (1, 2, 3, 4)] for rate in rates]
