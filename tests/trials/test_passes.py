"""Passes hold every row once, stay below their limit, and pad less than one pass would."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from trials.passes import PassCost, passes


def padded(lengths: np.ndarray, cut: list[np.ndarray]) -> int:
    return sum(len(rows) * int(lengths[rows].max()) for rows in cut)


@pytest.mark.parametrize("rows", [1, 2, 31, 400])
@pytest.mark.parametrize("most", [1, 300, 2048, 10**9])
def test_every_row_is_in_one_pass_below_the_limit(rows: int, most: int) -> None:
    lengths = np.random.default_rng(rows).integers(1, 290, rows)
    cut = passes(lengths, PassCost(fixed=100, most=most))
    assert sorted(np.concatenate(cut).tolist()) == list(range(rows))
    for part in cut:
        assert len(part) == 1 or len(part) * lengths[part].max() <= most


def test_the_cut_is_the_cheapest_there_is() -> None:
    """Against every way to cut seven sorted rows."""
    lengths = np.array([90, 60, 58, 31, 30, 12, 11])
    cost = PassCost(fixed=25, most=200)
    found = passes(lengths, cost)
    best = min(
        (sum(cost.fixed + (b - a) * int(lengths[a]) for a, b in itertools.pairwise((0, *inner, 7))))
        for n in range(7)
        for inner in itertools.combinations(range(1, 7), n)
        if all((b - a) == 1 or (b - a) * lengths[a] <= cost.most for a, b in itertools.pairwise((0, *inner, 7)))
    )
    assert padded(lengths, found) + cost.fixed * len(found) == best


def test_sorted_passes_have_little_padding() -> None:
    lengths = np.random.default_rng(0).lognormal(4.2, 0.5, 24 * 32).astype(int) + 1
    real = int(lengths.sum())
    assert padded(lengths, passes(lengths, PassCost(fixed=100, most=2048))) < 1.08 * real
    assert len(lengths) * int(lengths.max()) > 3 * real
