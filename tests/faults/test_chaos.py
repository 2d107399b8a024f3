"""A round of the chaos command, as documented there; it takes many more by hand.

It is marked `cluster` for the minutes it takes. What is killed and cut in it is so in faster tests as well: drivers in
`tests/orchestrator/run/test_search.py`, engines in `tests/orchestrator/engines`, checkpoints in `test_truncation.py`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.commands import adept
from tests.faults import chaos, small_search
from tests.faults.checks import all_problems
from tests.faults.small_search import Search, Server

pytestmark = pytest.mark.cluster

ROUNDS, SEED = 1, 86787  # of this seed: in its one round each kind of process is killed while trials are trained


def undisturbed_here(folder: Path, options: tuple[str, ...], server: Server) -> Search:
    """As the command has it, on the Ray of the tests."""
    search = Search(folder, f"calm-{options[1]}", server.uri, options)
    adept(folder, *search.arguments)
    assert all_problems(search.folder, server.uri, undisturbed=None) == []
    return search


def test_killed_at_any_moment_the_same_command_ends_with_the_same_table(
    engines_kept: None,
    fresh_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(chaos, "undisturbed", undisturbed_here)
    monkeypatch.setattr(small_search, "SPACE", small_search.SHORT)
    monkeypatch.setattr(chaos, "REPORTS", chaos.REPORTS // 4)
    folder = tmp_path / "searches"
    (folder / "server").mkdir(parents=True)
    shutil.copy(fresh_database, folder / "server" / "mlflow.db")
    command = ["--rounds", str(ROUNDS), "--seed", str(SEED)]
    command += ["--folder", str(folder), "--json", str(tmp_path / "chaos.json")]
    assert chaos.main(command) == 0, capsys.readouterr().out
    outcome = json.loads((tmp_path / "chaos.json").read_text())
    assert outcome["rounds"] == ROUNDS and outcome["losses"] == 0
    assert all(outcome["kills"].values()), f"nobody was killed of {outcome['kills']}"
    assert outcome["starts"] > ROUNDS + outcome["kills"]["driver"] - 1
