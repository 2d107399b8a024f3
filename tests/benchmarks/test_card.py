"""What the script for a card writes: every part with how it ended, whatever became of the others."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from benchmarks.card import gathered
from benchmarks.same_numbers import same_masks


def test_parts_that_fail_stand_beside_those_that_do_not(tmp_path: Path) -> None:
    (tmp_path / "numbers.ended").write_text("0\n")
    (tmp_path / "numbers.seconds").write_text("3\n")
    (tmp_path / "numbers.json").write_text(json.dumps({"same": True}))
    (tmp_path / "makespan.ended").write_text("124\n")
    (tmp_path / "roofline.ended").write_text("1\n")
    (tmp_path / "roofline.log").write_text("no card\n")
    found = gathered(tmp_path, "cpu")
    assert found["device"] == "cpu" and not found["done"]
    assert found["parts"]["numbers"] == {"ended": "done", "seconds": 3, "found": {"same": True}}
    assert found["parts"]["makespan"]["ended"] == "took too long"
    assert found["parts"]["roofline"] == {"ended": "failed with 1", "log": ["no card"]}


def test_masks_made_together_are_compared() -> None:
    assert same_masks(torch.device("cpu"))
