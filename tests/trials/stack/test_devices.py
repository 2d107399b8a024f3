"""What a device is good at: a precision that it has no units for is refused, a faster one is worth a word."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace

import pytest
import torch

from trials.backbones.precision import products_as
from trials.errors import UserError
from trials.stack import devices
from trials.stack.devices import pace, refuse_slow, same_bits

CPU = torch.device("cpu")


@pytest.fixture
def bfloat16_takes(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Pretend that a product in bfloat16 takes so many times as long as one in float32."""
    pace.cache_clear()
    yield lambda times: monkeypatch.setattr(
        devices, "_seconds", lambda p, device, shape: times if p == "bfloat16" else 1.0
    )
    pace.cache_clear()


def test_the_pace_is_measured() -> None:
    assert pace("float32", CPU) == pytest.approx(1, rel=0.9)
    assert pace("bfloat16", CPU) > 0


def test_what_else_a_machine_does_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is kept with a search, and on its host: another process on the core must not decide it."""
    hours = itertools.count()
    clocks = SimpleNamespace(perf_counter=lambda: 3600.0 * next(hours), thread_time=time.thread_time)
    monkeypatch.setattr(devices, "time", clocks)
    assert devices._seconds("float32", CPU, (64, 256)) < 60


def test_a_device_of_another_kind_is_timed_as_well() -> None:
    """Engines of a search have a CPU or CUDA; who uses `trials` alone may have anything that torch has."""
    assert pace("bfloat16", torch.device("meta")) > 0


def test_a_precision_that_a_device_has_no_units_for_is_refused(bfloat16_takes) -> None:  # type: ignore[no-untyped-def]
    bfloat16_takes(50.0)
    # It may not have been asked for: another machine's --precision auto has chosen it for this search.
    remedy = "search in --precision float32, or on hosts that have them"
    with pytest.raises(UserError, match=rf"^--precision bfloat16: this CPU .* 50 times slower .* {remedy}$"):
        refuse_slow("bfloat16", CPU)
    refuse_slow("float32", CPU)


@pytest.mark.parametrize("seconds", [0.25, 1.0])
def test_one_that_it_has_units_for_is_not(bfloat16_takes, seconds: float) -> None:  # type: ignore[no-untyped-def]
    bfloat16_takes(seconds)
    refuse_slow("bfloat16", CPU)


def test_a_models_shapes_are_timed_in_well_under_a_second() -> None:
    pace.cache_clear()
    started = time.process_time()
    assert pace("bfloat16", CPU, (768, 3072)) > 0
    assert time.process_time() - started < 2  # of this process alone, whatever else the machine does


def test_exact_float32_is_never_refused(bfloat16_takes) -> None:  # type: ignore[no-untyped-def]
    bfloat16_takes(0.25)
    refuse_slow("float32-exact", CPU)


def test_cuda_rounds_products_of_float32_but_for_exact_ones() -> None:
    """The switch is torch's own, there without a device, too; other devices leave it alone."""
    switch, before = torch.backends.cuda.matmul, torch.backends.cuda.matmul.allow_tf32
    try:
        for precision, rounds in (("float32", True), ("float32-exact", False), ("float32", True), ("bfloat16", False)):
            products_as(precision, torch.device("cuda"))  # type: ignore[arg-type]
            assert switch.allow_tf32 is rounds
        products_as("float32", CPU)
        assert switch.allow_tf32 is False
    finally:
        switch.allow_tf32 = before


def test_cuda_adds_in_a_fixed_order_only_while_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    asked: list[tuple[bool, bool]] = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda on, warn_only: asked.append((on, warn_only)))
    for wanted in (True, False):
        same_bits(wanted, torch.device("cuda"))
        same_bits(wanted, CPU)
    assert asked == [(True, True), (False, True)]
