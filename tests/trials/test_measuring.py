"""What an engine finds out about its device before it trains."""

from __future__ import annotations

import pytest
from conftest import Rows
from making import config
from test_engine import data

from trials.backbones import Backbone
from trials.engine import Engine, EngineSettings
from trials.errors import UserError
from trials.measuring import FEWEST_SLOTS, MOST_SLOTS, measure


def test_passes_and_slots_are_found_by_measuring(backbone: Backbone) -> None:
    found = measure(backbone, Rows(40), config())
    assert FEWEST_SLOTS <= found.slots <= MOST_SLOTS
    assert found.cost.most >= 64 and 16 <= found.cost.fixed <= found.cost.most
    assert found.tokens_per_second > 0


def test_a_limit_makes_passes_smaller(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process holds 1 GB, and its passes have raised the peak by 1 MB; half of that is allowed."""
    monkeypatch.setattr("trials.measuring._peak", iter([1e9, *[1e9 + 1e6] * 99]).__next__)
    free = measure(backbone, Rows(40), config(), 10**12)
    assert free.bytes_per_token > 0
    monkeypatch.setattr("trials.measuring._peak", iter([1e9, *[1e9 + 1e6] * 99]).__next__)
    held = measure(backbone, Rows(40), config(), 10**9 + 500_000)
    assert held.cost.most * held.bytes_per_token <= 500_000 or held.cost.most == 64


def test_a_limit_without_room_for_a_row_is_an_error(t5: Backbone) -> None:
    with pytest.raises(UserError, match=r"--memory-limit 0\.001: one row needs .* GiB; allow"):
        measure(t5, Rows(40), config(), round(0.001 * 2**30))


def test_slots_asked_for_are_kept(t5: Backbone) -> None:
    asked = Engine(t5, data(Rows()), EngineSettings(slots=7), typical=config())
    assert asked.slots_to_fill == 7
    assert Engine(t5, data(Rows()), typical=config()).slots_to_fill >= FEWEST_SLOTS
