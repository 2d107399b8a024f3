"""Passes hold every row once, stay below their limit, and pad less than one pass would."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from trials.batching.passes import Grain, PassCost, passes


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


def test_a_grain_leaves_few_shapes_and_little_padding() -> None:
    """A device that has to prepare itself for each shape meets few of them, step after step."""
    grain, shapes, real, padded_to = Grain(rows=4, length=16), set(), 0, 0
    for step in range(40):
        lengths = np.random.default_rng(step).lognormal(4.6, 0.5, 64).astype(int) + 20
        cut = passes(lengths, PassCost(fixed=300, most=3000, grain=grain))
        assert sorted(np.concatenate(cut).tolist()) == list(range(64))
        made = [(len(rows), grain.padded(int(lengths[rows].max()))) for rows in cut]
        assert all(rows % 4 == 0 and rows * length <= 3000 for rows, length in made)
        shapes |= set(made)
        real += int(lengths.sum())
        padded_to += sum(rows * length for rows, length in made)
    assert len(shapes) < 80  # 201 without a grain
    assert padded_to < 1.2 * real


@pytest.mark.parametrize("rows", [1, 3, 6, 9])
def test_the_last_rows_may_be_fewer_than_the_grain(rows: int) -> None:
    cut = passes(np.arange(rows) + 10, PassCost(fixed=10, most=10**6, grain=Grain(rows=4)))
    assert sorted(np.concatenate(cut).tolist()) == list(range(rows))
    assert all(len(part) % 4 == 0 for part in cut[:-1])


def test_memory_goes_before_the_grain() -> None:
    """Four rows of 200 tokens do not fit: they are computed in twos."""
    lengths = np.full(8, 200)
    assert [len(part) for part in passes(lengths, PassCost(fixed=10, most=500, grain=Grain(rows=4)))] == [2, 2, 2, 2]
