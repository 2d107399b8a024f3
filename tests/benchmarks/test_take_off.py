"""What a search compares itself with is what the recorded and the published curves have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import take_off
from orchestrator.schedulers.outlook import TAKE_OFFS
from tests.trials.made_data import REAL_DATA, REPOSITORY

RECORDED = [REPOSITORY / "benchmarks" / "curves.parquet", REAL_DATA / "recorded_grid_debsec_3.parquet"]
PUBLISHED = REAL_DATA / "dept_learning_curves.csv"


@pytest.mark.skipif(not PUBLISHED.exists(), reason=f"there are no published curves: {PUBLISHED}")
def test_the_take_offs_are_those_of_the_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(take_off, "RULES", [rule for rule in take_off.RULES if rule.scheduler == "promotion"])
    given = [*map(str, RECORDED), "--published", str(PUBLISHED), "--results", str(tmp_path), "--repeats", "1"]
    take_off.main(given)
    found = json.loads((tmp_path / "take_off.json").read_text())
    assert tuple(sorted(round(share, 4) for share in found["take-offs"].values() if share is not None)) == TAKE_OFFS
    learns, learns_not = (found["replays"][f"{some} is learnt"] for some in ("something", "nothing"))
    assert {rule: row["said"] for rule, row in learns.items()} == dict.fromkeys(learns, 0.0)
    assert all(row["said"] == 1.0 and row["at"] < row["end"] for row in learns_not.values())
