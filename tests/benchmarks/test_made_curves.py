"""Made-up learning curves: shapes as published, and the same at any number of reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.made_curves import made_grid, power_law, published_shapes, resampled
from orchestrator.schedulers.simulation.figures import Setting, replays, summarise

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "data" / "dept_learning_curves.csv"


def test_the_published_shapes_bloom_late() -> None:
    if not PUBLISHED.exists():
        pytest.skip("the published curves are not here")
    shapes = published_shapes(PUBLISHED)
    assert shapes["cola"][5] == 0.0  # nothing until step 6,000 of 40,000
    assert len(shapes) >= 12
    grids = [made_grid(seed, shapes=list(shapes.values())) for seed in range(3)]
    found = replays(grids, Setting("promotion", 0.25).make, repeats=5)
    assert 0.2 < summarise("promotion", found).share < 0.6


def test_a_shape_is_the_same_shape_at_another_distance() -> None:
    shape = power_law(40, 1.0)
    assert resampled(shape, 40) == pytest.approx(shape)
    assert resampled(shape, 10) == pytest.approx(shape[3::4])
    assert resampled(power_law(10, 1.0), 20)[1::2] == pytest.approx(power_law(10, 1.0))
