"""How many engines, and how full."""

from __future__ import annotations

import pytest

from orchestrator.engine_count import engines_needed, even_share, hosts_hold, least_memory
from trials.backbone_facts import describe


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
    [([12, 12], 24, 12), ([24, 24], 24, 12), ([2, 24], 24, 22), ([4], 9, 4), ([3, 3], 3, 2)],
)
def test_trials_are_spread_evenly_within_the_slots(slots: list[int], trials: int, share: int) -> None:
    assert even_share(slots, trials) == share
    assert sum(min(own, share) for own in slots) >= min(trials, sum(slots))


def test_engines_on_cores_are_bounded_by_the_memory_of_each_host() -> None:
    hosts = [{"CPU": 8.0, "memory": 4e9}, {"CPU": 2.0, "memory": 64e9}, {"memory": 9e9}]
    assert hosts_hold(hosts, "CPU", 10**9) == 4 + 2
    assert hosts_hold([{"GPU": 4.0, "CPU": 4.0, "memory": 1e9}], "GPU", 10**10) == 4


def test_the_least_memory_of_an_engine_holds_the_weights() -> None:
    nano, base = least_memory(describe("t5-nano")), least_memory(describe("t5-base"))
    assert 4 * 5.8e6 < nano < 10**9
    assert base - nano == pytest.approx(4 * (223e6 - 5.8e6), rel=0.05)
