"""The benchmark on tokenising: its rows are those of the tasks, and its steps work on a few of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tokenising import EMBEDDED, MAKERS, Words, child, maps_of, task_of, write
from trials.tasks import get_task


def test_made_rows_have_the_columns_and_lengths_of_the_real_ones() -> None:
    for name, make in MAKERS.items():
        rows = make(Words(seed=1), 2_000)
        assert set(get_task(name).read_columns) == set(rows) and {len(values) for values in rows.values()} == {2_000}
        texts = [text for values in rows.values() for text in values if isinstance(text, str)]
        mean = np.mean([len(text.split()) for text in texts])
        assert mean == pytest.approx({"qqp": 11, "yelp_polarity": 133}[name], rel=0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="memory maps are counted in /proc, which only Linux has")
def test_a_few_rows_are_tokenised_and_their_map_is_counted(tmp_path: Path) -> None:
    assert write("qqp", tmp_path / "data", share=0.0) > 0
    places = "qqp", str(tmp_path / "data"), str(tmp_path / "cache"), str(EMBEDDED / "t5-nano")
    found = child("tokenise", *places)
    assert found["rows"] == {"train": 100, "validation": 1_000, "test": 1_100}
    assert found["tokens"] > 20 * 2_200 and task_of("yelp_polarity").most_train is None
    file = tmp_path / "map"
    file.write_bytes(os.urandom(3_000_000))
    held = np.memmap(file, mode="r")
    assert int(held.sum()) > 0
    assert (maps_of(tmp_path)["map_rss_mb"], maps_of(tmp_path)["map_pss_mb"]) == (3, 3)  # nobody else maps it
    assert maps_of(tmp_path / "nothing")["map_rss_mb"] == 0
