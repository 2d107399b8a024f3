"""The kernels compile for cards that are not here, and what a pass launches is what is compiled."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.fused import calls
from benchmarks.kernels import training_pass
from benchmarks.launches import META, without_numbers
from trials.backbones.fused.operators import SCHEMAS


def test_every_kernel_of_a_pass_is_measured() -> None:
    seen = training_pass(without_numbers("t5-base", "bfloat16", fused=True, num_layers=1, num_decoder_layers=1), 4, 8)
    launched = {name for name in seen.kernels if name in SCHEMAS}
    assert launched == {function for _, function, _ in calls(4, 8, torch.bfloat16, META)} == set(SCHEMAS)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_all_kernels_compile_for_a_card(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.fused", "--compile", "90", "--out", str(tmp_path / "found.json")]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "TRITON_CACHE_DIR": str(tmp_path)}  # which it has to undo
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[2])
    found = json.loads((tmp_path / "found.json").read_text())["compiled"]["90"]
    assert len(found) == 2 * len(calls(4, 8, torch.bfloat16, META))
    assert all(row["compiled"] and row["cubin"] > 0 for row in found)
