"""Rows one behind the other: every token is there once, and the numbers are those of padded rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trials.backbones.loading import Backbone, Inputs, load_backbone
from trials.backbones.t5.forward import T5
from trials.batching.dropout import Dropout, row_keys
from trials.batching.packing import ROUND, Packing
from trials.batching.passes import ANY, Grain, PassCost, passes

LENGTHS = torch.tensor([9, 31, 1, 16, 22, 40, 24])
PACKED = Grain(packed=True)
COARSE = Grain(length=16, packed=True)


def rows_of(width: int = 8) -> torch.Tensor:
    x = torch.randn(len(LENGTHS), int(LENGTHS.max()), width, generator=torch.Generator().manual_seed(0))
    return x * (torch.arange(x.shape[1]) < LENGTHS[:, None])[..., None]


@pytest.mark.parametrize("grain", [ANY, PACKED, COARSE])
def test_every_token_is_there_and_comes_back_to_its_place(grain: Grain) -> None:
    x = rows_of()
    packing = Packing(LENGTHS, x.shape[1], grain)
    packed = packing.packed(x)
    for block in packing.blocks:
        padded = packed[block.tokens].view(block.rows, block.length, -1)
        for row, tokens in enumerate(padded, start=block.row):
            assert torch.equal(tokens[: LENGTHS[row]], x[row, : LENGTHS[row]])
    back = packing.unpacked(packed)
    assert back.shape == x.shape
    for row, length in enumerate(LENGTHS):
        assert torch.equal(back[row, :length], x[row, :length])


def test_packed_rows_have_no_padding_and_coarse_ones_few_shapes() -> None:
    exact, coarse = (Packing(LENGTHS, 40, grain) for grain in (PACKED, COARSE))
    assert len(exact.packed(rows_of())) == int(LENGTHS.sum()) and not exact.spare
    assert [(block.rows, block.length) for block in coarse.blocks] == [
        (1, 16),
        (1, 32),
        (2, 16),
        (1, 32),
        (1, 40),
        (1, 32),
    ]
    assert all(block.rows == 1 for block in exact.blocks)
    assert len(coarse.packed(rows_of())) % ROUND == 0 and coarse.spare


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_states_masks_and_gradients_are_those_of_padded_rows(
    t5_folder: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = load_backbone(t5_folder, precision=precision)  # type: ignore[arg-type]
    x, keys = rows_of(on.facts.width), torch.from_numpy(row_keys(1, 2, len(LENGTHS)))
    real = (torch.arange(x.shape[1]) < LENGTHS[:, None])[..., None]
    found = {}
    for name, grain in {"padded": ANY, "packed": PACKED, "coarse": COARSE}.items():
        monkeypatch.setattr(T5, "grain", grain)
        rows = x.clone().requires_grad_()
        states = on.t5.encode(rows, LENGTHS, Dropout(keys)).states.float() * real  # type: ignore[attr-defined]
        states.square().sum().backward()
        assert rows.grad is not None
        found[name] = states.detach(), rows.grad * real
    for name in ("packed", "coarse"):
        for one, other in zip(found["padded"], found[name], strict=True):
            off = float((one - other).abs().max() / one.abs().max())
            assert off < (1e-5 if precision == "float32" else 0.05), name
            assert torch.equal(one == 0, other == 0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_work_gathered_into_few_launches_has_the_numbers_of_a_processors(
    t5_folder: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An accelerator's way through encoder and decoder, on the processor: masks, attention, residuals and norms."""
    on = load_backbone(t5_folder, precision=precision)  # type: ignore[arg-type]
    monkeypatch.setattr(T5, "grain", ANY)
    targets = torch.tensor([[30, 1]] * len(LENGTHS))
    found = []
    for gathers in (False, True):
        monkeypatch.setattr(T5, "gathers", gathers)
        rows = rows_of(on.facts.width).requires_grad_()
        losses = on.token_losses(Inputs(rows, LENGTHS, LENGTHS), targets, Dropout(torch.from_numpy(row_keys(1, 2, 7))))
        losses.sum().backward()
        found.append((losses.detach(), rows.grad))
    for one, other in zip(*found, strict=True):
        assert one is not None and other is not None
        assert float((one - other).norm() / one.norm()) < (1e-5 if precision == "float32" else 0.05)


def test_a_processor_packs_and_rows_in_bfloat16_come_in_few_lengths(t5: Backbone, t5_folder: str) -> None:
    assert t5.grain == PACKED
    assert load_backbone(t5_folder, precision="bfloat16").grain == COARSE


def test_passes_of_packed_rows_hold_as_many_tokens_as_allowed_and_no_padding() -> None:
    lengths = np.random.default_rng(0).lognormal(4.2, 0.5, 200).astype(int) + 1
    cut = passes(lengths, PassCost(fixed=100, most=2048, grain=PACKED))
    assert sorted(np.concatenate(cut).tolist()) == list(range(200))
    assert all(lengths[rows].sum() <= 2048 for rows in cut)
    assert len(cut) <= -(-lengths.sum() // (2048 - lengths.max()))
    assert len(cut) < len(passes(lengths, PassCost(fixed=100, most=2048)))
