"""The counter of launches sees what it is for."""

from __future__ import annotations

import pytest
import torch

from benchmarks.kernels import counted
from benchmarks.launches import META, Launches
from trials.batching.transfers import sent


def test_views_are_no_kernels_and_products_are() -> None:
    x = torch.empty(4, 6, device=META)
    with Launches() as seen:
        y = (x.view(3, 8).transpose(0, 1)[1:] @ x.view(3, 8)).add_(1)
        torch.empty_like(y)
    assert dict(seen.kernels) == {"mm": 1, "add_": 1} and not seen.mixed and not seen.copies


def test_mixed_devices_and_waits_are_seen() -> None:
    x, here = torch.empty(5, device=META), torch.ones(5)
    with Launches() as seen:
        sent(here, META)
        assert not seen.waits
        here.to(META)
        assert (seen.copies, seen.waits) == (2, ["_to_copy"])
        x[torch.tensor([1, 2])]
    assert seen.mixed == ["index"]
    with pytest.raises((RuntimeError, NotImplementedError)), Launches():
        bool((x > 0).all())
    with pytest.raises((RuntimeError, NotImplementedError)), Launches():
        x[x > 0]


def test_a_pass_of_t5_base_launches_as_few_kernels_as_was_reached() -> None:
    found = counted("t5-base", "float32", 32, 64)
    assert found["training pass"]["kernels"] <= 1900
    assert found["evaluation pass"]["kernels"] <= 760
    assert found["update"]["kernels"] > found["training pass"]["kernels"]
