"""The counter of launches sees what it is for."""

from __future__ import annotations

from typing import Any

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


def test_a_chain_reads_and_writes_what_its_kernels_do() -> None:
    x = torch.empty(4, 6, device=META)
    with Launches() as seen:
        y = (x @ x.T).add_(1)
        (y.exp() * torch.empty(4, 1, device=META).expand(4, 4)) @ x
    (chain,) = (chain for chain in seen.chains if chain.names)
    assert chain.names == ("add_", "exp", "mul")
    assert chain.read == [16, 16, 16, 4] and chain.written == [16, 16, 16]
    assert chain.passes == (3.25, 3.0)
    assert seen.bytes == 4 * (24 + 24 + 16 + sum(chain.read) + sum(chain.written) + 16 + 24 + 24)


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return counted("t5-base", "float32", 32, 64)


@pytest.fixture(scope="module")
def fused() -> dict[str, Any]:
    return counted("t5-base", "float32", 32, 64, fused=True)


def test_a_pass_of_t5_base_launches_as_few_kernels_as_was_reached(plain: dict[str, Any]) -> None:
    assert plain["training pass"]["kernels"] <= 1900
    assert plain["evaluation pass"]["kernels"] <= 760
    assert plain["update"]["kernels"] > plain["training pass"]["kernels"]


def test_fused_it_launches_and_moves_half_as_much(plain: dict[str, Any], fused: dict[str, Any]) -> None:
    assert fused["training pass"]["kernels"] <= 1000
    assert fused["evaluation pass"]["kernels"] <= 450
    assert fused["training pass"]["bytes"] < plain["training pass"]["bytes"] / 2


def test_fused_no_chain_of_a_layer_reads_or_writes_its_activations_more_than_three_times(
    plain: dict[str, Any], fused: dict[str, Any]
) -> None:
    def most(found: dict[str, Any], what: str) -> float:
        return max(chain[what] for chain in found["training pass"]["chains"])

    assert (most(fused, "reads"), most(fused, "writes")) == (3.0, 2.0)
    assert (most(plain, "reads"), most(plain, "writes")) == (9.0, 4.0)
    layers = {chain["kernels"] for chain in fused["training pass"]["chains"]}
    assert {"add_norm", "add_norm_backward", "softmax_dropout", "softmax_dropout_backward", "dropped"} <= layers
