"""What an engine finds out about its device before it trains."""

from __future__ import annotations

import pytest

from tests.trials.making import Rows, config
from tests.trials.test_engine import data
from trials.backbones.loading import Backbone
from trials.engine import Engine, EngineSettings
from trials.errors import UserError
from trials.stack.measuring import FEWEST_SLOTS, FLAT, LONGEST, MOST_SLOTS, measure


def test_passes_and_slots_are_found_by_measuring(backbone: Backbone) -> None:
    found = measure(backbone, Rows(40), config())
    assert FEWEST_SLOTS <= found.slots <= MOST_SLOTS
    assert found.cost.most >= 64 and 16 <= found.cost.fixed <= found.cost.most
    assert found.tokens_per_second > 0


def test_a_slow_model_is_measured_as_long_as_larger_passes_gain(t5: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass takes 0.3 s whatever is in it, and half a millisecond a token: one row alone would say 1,000 a second."""
    rows_tried: list[int] = []

    def slow(backbone: Backbone, rows: int, length: int, *_: object) -> float:
        rows_tried.append(rows)
        return 0.3 + 5e-4 * rows * length

    monkeypatch.setattr("trials.stack.measuring._pass", slow)
    found = measure(t5, Rows(40), config())
    assert found.cost.most > 2000 and found.tokens_per_second > 1500
    assert found.cost.fixed == pytest.approx(600, rel=0.01)  # tokens' worth of the 0.3 s
    assert all(rows_tried.count(rows) == 2 for rows in rows_tried[4:])  # the first size is timed more often
    assert slow(t5, rows_tried[-1], 1) < LONGEST


def test_a_limit_makes_passes_smaller(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process holds 1 GB, and its passes have raised the peak by 1 MB; half of that is allowed."""
    monkeypatch.setattr("trials.stack.measuring.peak", iter([1e9, *[1e9 + 1e6] * 99]).__next__)
    free = measure(backbone, Rows(40), config(), 10**12)
    assert free.bytes_per_token > 0
    monkeypatch.setattr("trials.stack.measuring.peak", iter([1e9, *[1e9 + 1e6] * 99]).__next__)
    held = measure(backbone, Rows(40), config(), 10**9 + 500_000)
    assert held.cost.most * held.bytes_per_token <= 500_000 or held.cost.most == 64


def test_a_limit_without_room_for_a_row_is_an_error(t5: Backbone) -> None:
    with pytest.raises(UserError, match=r"--memory-limit 0\.001: one row needs .* GiB; allow"):
        measure(t5, Rows(40), config(), round(0.001 * 2**30))


def test_slots_asked_for_are_kept(t5: Backbone) -> None:
    asked = Engine(t5, data(Rows()), EngineSettings(slots=7), typical=config())
    assert asked.slots_to_fill == 7
    assert Engine(t5, data(Rows()), typical=config()).slots_to_fill >= FEWEST_SLOTS


def test_a_device_that_is_full_is_not_measured_any_further(t5: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every engine of a search waits for this before its first update."""
    tried: set[int] = set()

    def full(backbone: Backbone, rows: int, *shape: object) -> float:
        tried.add(rows)
        return 1e-4 * rows  # a row costs the same in any pass

    monkeypatch.setattr("trials.stack.measuring._pass", full)
    found = measure(t5, Rows(40), config())
    assert len(tried) == 1 + FLAT
    assert found.cost.most <= 2 * 256
