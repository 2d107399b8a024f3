"""How many engines, and how full."""

from __future__ import annotations

import pytest

from orchestrator.engines.count import device_kind, even_share, least_memory, places
from orchestrator.engines.nodes import Node
from orchestrator.plan.estimate import engines_needed
from trials.backbones.describe import describe


@pytest.mark.parametrize(
    ("devices", "trials", "slots", "max_concurrent", "engines"),
    [
        (8, 24, None, None, 8),  # where slots are measured, no device is left idle
        (8, 3, None, None, 3),
        (8, 24, 24, None, 1),  # where one is enough, one is started
        (8, 25, 24, None, 2),
        (2, 24, 4, None, 2),
        (8, 24, 1, 3, 3),
        (8, 24, None, 1, 1),
        (2, 0, None, None, 1),
    ],
)
def test_as_many_engines_as_have_something_to_do(
    devices: int, trials: int, slots: int | None, max_concurrent: int | None, engines: int
) -> None:
    assert engines_needed(devices, trials, slots, max_concurrent) == engines


@pytest.mark.parametrize(
    ("slots", "trials", "share"),
    [([12, 12], 24, 12), ([24, 24], 24, 12), ([2, 24], 24, 22), ([4], 9, 4), ([3, 3], 3, 2), ([], 3, 0)],
)
def test_trials_are_spread_evenly_within_the_slots(slots: list[int], trials: int, share: int) -> None:
    assert even_share(slots, trials) == share
    assert sum(min(own, share) for own in slots) >= min(trials, sum(slots))


def test_engines_on_cores_are_bounded_by_the_memory_of_each_host_and_spread_over_hosts() -> None:
    hosts = [node("a", cpus=8, memory=4e9), node("b", cpus=2, memory=64e9), node("c", memory=9e9)]
    assert "".join(place.node for place in places(hosts, "CPU", 10**9)) == "ababaa"


def test_with_accelerators_anywhere_engines_are_there_whatever_the_memory() -> None:
    hosts = [node("a", cpus=64, memory=64e9), node("b", gpus=2, cpus=4, memory=1e9), node("c", gpus=1, memory=1e9)]
    assert device_kind(hosts) == "GPU"
    assert "".join(place.node for place in places(hosts, "GPU", 10**10)) == "bcb"


def test_where_no_host_seems_to_have_the_memory_the_largest_is_tried() -> None:
    hosts = [node("a", cpus=8, memory=1e8), node("b", cpus=2, memory=2e8)]
    assert [place.node for place in places(hosts, "CPU", 10**9)] == ["b"]
    assert places([], "CPU", 10**9) == []


def node(name: str, cpus: int = 0, gpus: int = 0, memory: float = 0) -> Node:
    return Node(name, f"10.0.0.{name}", gpus, cpus, memory)


def test_the_least_memory_of_an_engine_holds_the_weights() -> None:
    nano, base = least_memory(describe("t5-nano")), least_memory(describe("t5-base"))
    assert 4 * 5.8e6 < nano < 10**9
    assert base - nano == pytest.approx(4 * (223e6 - 5.8e6), rel=0.05)
