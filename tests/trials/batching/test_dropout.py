"""Masks: the right share of zeros, and nothing but row, step and place decides them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trials.batching.dropout import Dropout, keep, row_keys


def keys(rows: int = 6, seed: int = 1, step: int = 3) -> torch.Tensor:
    return torch.from_numpy(row_keys(seed, step, rows))


@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("shape", [(64, 100, 256), (64, 4, 90, 91), (64, 4096)])
def test_the_share_of_zeros_is_p_everywhere(p: float, shape: tuple[int, ...]) -> None:
    mask = keep(keys(64), shape[1:], p, torch.float32)
    assert mask.shape == shape and mask.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)])
    zeros = (mask == 0).double()
    for axis in range(len(shape)):
        others = [i for i in range(len(shape)) if i != axis]
        shares = zeros.mean(dim=others)
        spread = (p * (1 - p) * len(shares) / zeros.numel()) ** 0.5
        assert float((shares - p).abs().max()) < 5.5 * spread


@pytest.mark.parametrize("p", [0.003, 0.1, 0.5, 0.9, 0.998])
def test_every_precision_drops_the_same(p: float) -> None:
    kept = keep(keys(64), (40, 257), p, torch.float64) > 0
    assert float(kept.double().mean()) == pytest.approx(1 - p, abs=0.004)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        mask = keep(keys(64), (40, 257), p, dtype)
        assert torch.equal(mask, kept.to(dtype) * torch.tensor(1 / (1 - p), dtype=dtype))


def test_places_are_not_correlated() -> None:
    zeros = (keep(keys(400), (50, 40), 0.5, torch.float32) == 0).double().view(400, -1) - 0.5
    correlation = (zeros.T @ zeros) / (400 * 0.25) - torch.eye(2000)
    assert float(correlation.abs().max()) < 6.5 / 400**0.5
    rows = (zeros @ zeros.T) / (2000 * 0.25) - torch.eye(400)
    assert float(rows.abs().max()) < 6 / 2000**0.5


@pytest.mark.parametrize(
    ("small", "large"), [((7, 20), (70, 20)), ((4, 9, 9), (4, 130, 151)), ((4, 3, 64), (4, 3, 65))]
)
def test_padding_does_not_move_masks(small: tuple[int, ...], large: tuple[int, ...]) -> None:
    window = keep(keys(), large, 0.1, torch.float32)[(slice(None), *map(slice, small))]
    assert torch.equal(window, keep(keys(), small, 0.1, torch.float32))


def test_rows_steps_seeds_and_sites_differ() -> None:
    x = torch.ones(1, 10, 64)
    masks = {
        tuple(Dropout(torch.from_numpy(row_keys(seed, step, 4))[row : row + 1]).mask(x, 0.1, site).flatten().tolist())
        for seed in (0, 1)
        for step in (0, 1)
        for row in (0, 3)
        for site in (0, 1, 8)
    }
    assert len(masks) == 24


@pytest.mark.parametrize("most", [1, 40_000, 1 << 26])
def test_masks_made_together_are_those_made_one_by_one(most: int) -> None:
    places = [(9, (5, 31)), (10, (2, 5, 5)), (17, (5, 31)), (1000, (5, 64)), (18, (2, 5, 5)), (7, (5, 31))]
    together, single = Dropout(keys()), Dropout(keys())
    together.prepare(places, 0.1, torch.bfloat16, most)
    assert together.made(10) is None  # another place's turn, and one that nobody announced
    for site, shape in places:
        x = torch.ones(6, *shape, dtype=torch.bfloat16)
        assert torch.equal(together.mask(x, 0.1, site), single.mask(x, 0.1, site))
    assert together.made(7) is None


def test_a_rows_word_does_not_depend_on_the_batch() -> None:
    assert np.array_equal(row_keys(5, 9, 4), row_keys(5, 9, 32)[:4])
    assert len(set(row_keys(5, 9, 1000).tolist())) == 1000
