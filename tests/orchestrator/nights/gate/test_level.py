"""A quantity followed from night to night: false changes, true ones, and what comes after them."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.gate_rates import KINDS, detected, false_alarms
from orchestrator.nights.gate.level import Level
from orchestrator.nights.gate.noise import FEWEST, Spread, both_beyond, growth, spread
from orchestrator.nights.gate.quantities import MEASURES
from orchestrator.nights.gate.rows import RowEvidence
from orchestrator.nights.verdict import Quantity
from orchestrator.sweep.rules import GateRules

RULES = GateRules()


def followed(values: list[float], quantity: Quantity = Quantity.SCORE) -> tuple[Level, list[tuple[int, int, int]]]:
    """The level after the last night, and (night found, first night, direction) of each change."""
    level, found = Level(MEASURES[quantity].limits(RULES, 4)), []
    for night, value in enumerate(values):
        level.follow(night, value)
        if level.change is not None:
            found.append((level.change.found, level.change.first, level.change.direction))
    return level, found


def changes(values: list[float], quantity: Quantity = Quantity.SCORE) -> list[tuple[int, int, int]]:
    return followed(values, quantity)[1]


def noise(nights: int, sd: float, seed: int = 1) -> list[float]:
    return np.random.default_rng(seed).normal(0, sd, nights).tolist()


@pytest.mark.parametrize("kind", [*KINDS])
def test_quiet_sweeps_give_at_most_one_false_alarm_in_fifty_nights(kind: str) -> None:
    """200 series of 4-cell sweeps: 50 sweeps of 50 nights; one alarm each is allowed, and three would be too many."""
    values = 0.4 * KINDS[kind](np.random.default_rng(5), 100, 14 + 25)
    in_fifty_nights = false_alarms(values, Quantity.SCORE, 4, 14, RULES) / (100 / 4) * 50 / 25
    assert in_fifty_nights <= 2.0


@pytest.mark.parametrize(("quantity", "sd", "loss"), [(Quantity.SCORE, 0.4, 2.0), (Quantity.SPEED, 0.02, -np.log(0.9))])
def test_changes_are_found_within_two_nights(quantity: Quantity, sd: float, loss: float) -> None:
    values = np.random.default_rng(3).normal(0, sd, (60, 23))
    values[:, 21:] -= loss
    assert detected(values, quantity, 4, 21, RULES) >= 54


def test_one_bad_hour_of_a_machine_is_no_slowdown() -> None:
    values = noise(30, 0.015)
    values[20] -= 0.6
    assert not changes(values, Quantity.SPEED)
    values[21] -= 0.6
    assert changes(values, Quantity.SPEED)[0] == (21, 20, -1)


def test_a_change_is_reported_once_and_stands_until_it_is_made_good() -> None:
    values = [*noise(20, 0.2), *(value - 3 for value in noise(8, 0.2, 2)), *noise(8, 0.2, 3)]
    found = changes(values)
    assert [direction for _, _, direction in found] == [-1, 1]
    assert found[0][1] == 20
    assert found[1][1] == 28
    assert followed(values[:28])[0].standing is not None
    whole = followed(values)[0]
    assert whole.standing is None
    assert len(whole.nights) > 20  # it is back at the old level, whose nights count again


def test_nights_in_which_nothing_is_learnt_do_not_make_the_others_look_quieter() -> None:
    """As three simulated weeks had it: two nights with learning rates far too low, which answer much the same."""
    learnt, low = [39.8, 45.6, 41.4, 45.0, 41.0, 47.8, 45.2], [23.2, 23.8]
    limits = MEASURES[Quantity.SCORE].limits(RULES, 3)
    level, found = Level(limits), []
    for night, value in enumerate([*learnt, *low, 49.4, 32.2]):
        level.follow(
            night, value, lambda *_: RowEvidence(1e-6, 500, "McNemar's exact test", True), lambda _: Spread(4, 10)
        )
        found += [(level.change.first, level.change.direction)] if level.change is not None else []
    assert found == [(7, -1), (9, 1)]  # and 32.2 is an odd night of trainings that differ by three points
    assert level.nights == [*range(7), 9, 10]
    around = spread([low, learnt], limits.floor)
    assert around is not None and 2 < around.sd < 4


def test_a_loss_that_stays_for_a_whole_window_is_the_new_level() -> None:
    values = [*noise(20, 0.3), *(value - 3 for value in noise(RULES.window + 3, 0.3, 2))]
    assert followed(values)[0].standing is None


def test_noise_that_grows_is_seen_as_such() -> None:
    found = growth([*noise(20, 0.2), *noise(5, 3.0)])
    assert found is not None and found.is_sure
    assert found.now > 5 * found.before
    steady = growth(noise(25, 0.2))
    assert steady is not None and not steady.is_sure


def test_the_spread_is_about_each_level_and_without_outliers() -> None:
    assert spread([[1.0] * (FEWEST - 1)], 0.1) is None
    flat = spread([[1.0] * 10], 0.1)
    assert flat == Spread(0.1, 9)
    two_levels = spread([noise(10, 1.0), [value + 50 for value in noise(10, 1.0, 2)]], 0.01)
    assert two_levels is not None and 0.5 < two_levels.sd < 1.6
    one_off = spread([[*noise(15, 1.0), 400.0]], 0.01)
    assert one_off is not None and one_off.sd < 1.6


def test_the_chance_of_two_nights_is_what_a_simulation_gives() -> None:
    dice, nights = np.random.default_rng(0), 8
    before, now = dice.normal(size=(400_000, nights)), dice.normal(size=(400_000, 2))
    limit = 1.5 * before.std(axis=1, ddof=1)
    share = ((before.mean(axis=1)[:, None] - now) > limit[:, None]).all(axis=1).mean()
    assert both_beyond(1.5, nights, Spread(1.0, nights - 1)) == pytest.approx(share, rel=0.05)
