"""A round of the chaos command, as documented there; it takes many more by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.small_search import ROOT

pytestmark = pytest.mark.slow

ROUNDS, SEED = 1, 2107  # of this seed: in its one round each kind of process is killed while trials are trained


def test_killed_at_any_moment_the_same_command_ends_with_the_same_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.chaos", "--rounds", str(ROUNDS), "--seed", str(SEED)]
    command += ["--folder", str(tmp_path / "searches"), "--json", str(tmp_path / "chaos.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads((tmp_path / "chaos.json").read_text())
    assert outcome["rounds"] == ROUNDS and outcome["losses"] == 0
    assert all(outcome["kills"].values()), f"nobody was killed of {outcome['kills']}"
    assert outcome["starts"] > ROUNDS + outcome["kills"]["driver"] - 1
