"""Imports without the collector of cycles, which is on again behind them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from orchestrator.uncollected import uncollected


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_cycles_are_collected_again_behind_it_whatever_was_raised() -> None:
    with pytest.raises(ImportError), uncollected():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()


def test_one_inside_another_leaves_it_off() -> None:
    with uncollected():
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_process_without_it_stays_so() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()
