"""Trials in engines of their own processes, with a toy in the engines: where they go, and what they survive."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle

from orchestrator.engines.count import Place
from orchestrator.engines.members import Members
from orchestrator.engines.nodes import Node
from orchestrator.engines.pool import EnginePool
from orchestrator.plan.engine_spec import EngineSpec
from orchestrator.plan.plan import Plan
from orchestrator.tune import trainable
from orchestrator.tune.progress import Progress
from orchestrator.tune.trainable import TrialActor
from tests.orchestrator.searching_toys import searched, toy_plan
from tests.orchestrator.toy_engine import REFUSED, build_toy
from trials.errors import UserError

pytestmark = pytest.mark.usefixtures("ray_local")
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class TellingActor(TrialActor):
    """Also says what its process has imported."""

    def step(self) -> dict[str, Any]:
        return {
            **super().step(),
            "home": self.home,
            "heavy": [m for m in ("torch", "transformers") if m in sys.modules],
        }


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    return partial(toy_plan, tmp_path)


@pytest.fixture
def pool() -> Iterator[Callable[..., EnginePool]]:
    pools: list[EnginePool] = []

    def start(plan: Plan, trials: int | None = None) -> EnginePool:
        pools.append(EnginePool(plan, build_toy))
        pools[-1].start(trials or len(plan.trials))
        return pools[-1]

    yield start
    for started in pools:
        started.close()


def build_noted(spec: Any, device: str) -> Any:
    engine = build_toy(spec, device)
    engine.note = "it could be faster"
    return engine


def asked(engine: str, method: str) -> Any:
    return ray.get(getattr(ray.get_actor(engine), method).remote())


def actor(plan: Plan, pool: EnginePool, number: int, steps: int = 1000) -> Any:
    """A trial's actor as Tune makes it, reporting each step of a long budget."""
    trial = {**next(t for t in plan.trials if t.number == number).config.as_dict(), "steps": steps}
    folder = plan.folder / f"trial-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    config = {"directory": pool.directory, "at_once": 1, "number": number, "trial": trial}
    config |= {"folder": folder, "checkpoint": None, "recorded": 0}
    return ray.remote(num_cpus=0)(TellingActor).remote(config)


def report(trial_actor: Any) -> dict[str, Any]:
    return ray.get(trial_actor.train.remote(), timeout=60)


def test_a_trials_actor_loads_neither_torch_nor_transformers(
    plan: Callable[..., Plan], pool: Callable[..., EnginePool]
) -> None:
    made = plan([0.1])
    engines = pool(made)
    first = report(actor(made, engines, 1))
    assert first["step"] == 1
    assert first["heavy"] == []
    assert first["pid"] != engines.facts[engines.names[0]].pid


def test_every_trial_of_a_search_reports_though_slots_are_few(plan: Callable[..., Plan], tmp_path: Path) -> None:
    made = plan([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], slots=1, devices=2)
    record, shown = searched(made, tmp_path)
    assert {(t.number, t.status) for t in record.trials} == {(number, "finished") for number in range(1, 8)}
    assert all([r["step"] for r in trial.reports] == [1, 2, 3, 4] for trial in record.trials)
    assert "2 engine(s) on cpu, 1 slot(s) each" in shown
    kept = sorted((tmp_path / "tune" / "attempt-1" / "trial-3").glob("checkpoint_*/training.json"))
    assert [json.loads(file.read_text())["step"] for file in kept] == [3, 4]


def test_what_engines_say_of_their_devices_is_shown_once(plan: Callable[..., Plan]) -> None:
    engines = EnginePool(plan([0.1, 0.2], slots=1, devices=2), build_noted)
    engines.start(2)
    shown = engines.describe()
    engines.close()
    assert shown.startswith("2 engine(s) on cpu") and shown.endswith("; it could be faster")
    assert shown.count("faster") == 1


def test_a_trial_that_cannot_start_fails_alone_with_its_reason(plan: Callable[..., Plan], tmp_path: Path) -> None:
    record, _ = searched(plan([0.1, REFUSED]), tmp_path)
    assert {t.status for t in record.trials} == {"finished", "failed"}
    assert [t.error for t in record.trials if t.status == "failed"] == ["ValueError: no such rate"]


def test_one_engine_is_started_where_one_is_enough(plan: Callable[..., Plan], pool: Callable[..., EnginePool]) -> None:
    engines = pool(plan([0.1, 0.2, 0.3, 0.4], slots=4))
    assert len(engines.names) == 1
    assert (engines.at_once(4), engines.share(4)) == (4, 4)


def test_trials_spread_over_engines_and_move_where_there_is_more_room(
    plan: Callable[..., Plan], pool: Callable[..., EnginePool]
) -> None:
    made = plan([0.1, 0.2, 0.3, 0.4])
    engines = pool(made)
    actors = {number: actor(made, engines, number) for number in (1, 2, 3, 4)}
    homes = {number: report(each)["home"] for number, each in actors.items()}
    assert sorted(list(homes.values()).count(name) for name in engines.names) == [2, 2]
    left = [number for number, home in homes.items() if home == homes[1]]
    for number in left:
        ray.get(actors[number].stop.remote())
    staying = [each for number, each in actors.items() if number not in left]
    later = [report(each) for each in staying * 2][2:]
    assert {each["home"] for each in later} == set(engines.names)
    assert [each["step"] for each in later] == [3, 3]


def test_a_trial_whose_engine_is_killed_goes_on_from_its_last_report(
    plan: Callable[..., Plan], pool: Callable[..., EnginePool]
) -> None:
    made = plan([0.1], slots=1)
    engines = pool(made)
    trial = actor(made, engines, 1)
    assert [report(trial)["step"] for _ in range(3)] == [1, 2, 3]
    os.kill(engines.facts[engines.names[0]].pid, signal.SIGKILL)
    after = [report(trial) for _ in range(3)]
    assert [each["step"] for each in after] == [4, 5, 6]
    assert any("was lost" in each["note"] for each in after)


def test_an_engine_that_is_told_to_end_hands_its_trials_back_between_two_reports(
    plan: Callable[..., Plan], pool: Callable[..., EnginePool]
) -> None:
    made = plan([0.1], eval_every=300, steps=600)
    engines = pool(made, 2)
    trial = actor(made, engines, 1)
    waiting = trial.train.remote()
    holding: list[str] = []
    while not holding:
        time.sleep(0.2)
        holding = [name for name in engines.names if asked(name, "room").held]
    home = holding[0]
    os.kill(engines.facts[home].pid, signal.SIGTERM)
    first = ray.get(waiting, timeout=60)
    assert first["step"] == 300 and first["home"] != home
    assert "at the same update" in first["note"]


def test_with_all_engines_gone_for_good_a_trial_says_so(
    plan: Callable[..., Plan], pool: Callable[..., EnginePool]
) -> None:
    made = plan([0.1])
    engines = pool(made)
    trial = actor(made, engines, 1)
    report(trial)
    engines.close()
    with pytest.raises(trainable.NoEngineError, match="no engine is left"):
        report(trial)


@pytest.mark.slow
def test_a_search_outlives_the_kill_of_an_engine_without_losing_a_report(
    plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan([round(0.1 * n, 1) for n in range(1, 9)], steps=60, slots=3, devices=2)
    killed: list[int] = []
    tick = Progress.tick

    def kill_once(progress: Progress) -> None:
        tick(progress)
        if not killed and progress._done() > 40:
            name = next(name for name in ray.util.list_named_actors() if name.startswith("engine-0"))
            killed.append(asked(name, "facts").pid)
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(Progress, "tick", kill_once)
    record, shown = searched(made, tmp_path)
    assert killed and "was lost" in shown
    assert {t.status for t in record.trials} == {"finished"}
    for trial in record.trials:
        assert sorted({r["step"] for r in trial.reports}) == list(range(1, 61))


def test_more_devices_than_there_are_is_refused(plan: Callable[..., Plan], pool: Callable[..., EnginePool]) -> None:
    with pytest.raises(UserError, match=r"--devices 9: Ray has 2 CPU\(s\) here; ask for at most that many"):
        pool(plan([0.1], devices=9))


def test_what_goes_wrong_while_an_engine_loads_is_said_as_it_is(plan: Callable[..., Plan]) -> None:
    def build(spec: Any, device: str) -> Any:
        raise UserError(["--backbone x: its weights are damaged"])

    started = time.monotonic()
    engines = EnginePool(plan([0.1]), build)
    with pytest.raises(UserError, match="its weights are damaged"):
        engines.start(1)
    assert time.monotonic() - started < 30
    assert engines.names == []


def test_without_a_memory_limit_engines_share_what_their_host_has(plan: Callable[..., Plan], tmp_path: Path) -> None:
    limits = tmp_path / "limits"

    def build(spec: Any, device: str) -> Any:
        with limits.open("a") as stream:
            stream.write(f"{spec.memory_limit}\n")
        return build_toy(spec, device)

    engines = EnginePool(plan([0.1, 0.2]), build)
    try:
        engines.start(2)
        assert [int(line) for line in limits.read_text().split()] == [int(ray.cluster_resources()["memory"] / 2)] * 2
    finally:
        engines.close()


class NotedMembers(Members):
    """Notes what engines are told of their hosts' memory, and starts none."""

    def __init__(self, *spoilt: Place) -> None:
        super().__init__(build_toy)
        self.spoilt.update(spoilt)
        self.limits: dict[Place, int | None] = {}

    @property
    def places(self) -> set[Place]:
        return set(self.limits)

    def start(self, place: Place, kind: str, spec: EngineSpec) -> None:
        self.limits[place] = spec.memory_limit


def test_engines_share_the_memory_of_the_host_that_they_come_to_in_the_place_of_another(
    plan: Callable[..., Plan],
) -> None:
    up = {name: Node(name, name, gpus=0, cpus=cores, memory=8e9) for name, cores in (("large", 2), ("small", 1))}
    engines = EnginePool(plan([0.1, 0.2], devices=2), build_toy)
    engines._members = members = NotedMembers(Place("small", "small", 0))
    engines._grow(up, 2)
    assert members.limits == {Place("large", "large", device): int(4e9) for device in (0, 1)}
