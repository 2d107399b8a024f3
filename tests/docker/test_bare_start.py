"""What docker/bare.sh wants before it starts something, on a machine that has no PostgreSQL."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docker" / "bare.sh"
Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """The script with programs that only look like those of the environment, and with no PostgreSQL to find."""
    programs = {
        "none/find": "exit 1",
        "venv/bin/mlflow": "exit 1",
        "venv/bin/ray": 'echo "$*" >"$(dirname "$0")/called"; exec sleep 60',
        "venv/bin/python3": "exit 0",
    }
    for name, line in programs.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/usr/bin/env bash\n{line}\n")
        file.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path / 'none'}:/usr/bin:/bin", "ADEPT_STATE": str(tmp_path / "state"),
        "ADEPT_VENV": str(tmp_path / "venv"), "HEAD": "first:6379", "HOME": str(tmp_path),
    }  # fmt: skip

    def run(*arguments: str) -> tuple[int, str]:
        with (tmp_path / "said").open("w+") as said:  # a service would hold a pipe open
            done = subprocess.run([SCRIPT, *arguments], env=environment, stdout=said, stderr=said, timeout=60)
            said.seek(0)
            return done.returncode, said.read()

    return run


def test_a_worker_starts_without_postgresql(call: Call, tmp_path: Path) -> None:
    try:
        assert call("start", "worker") == (0, "worker answers\n")
        called = (tmp_path / "venv" / "bin" / "called").read_text()
        assert called.startswith("start --block --address=first:6379")
    finally:
        assert call("stop") == (0, "worker stopped\n")


@pytest.mark.parametrize("services", [[], ["postgres"], ["worker", "postgres"]], ids=lambda names: "+".join(names))
def test_who_asks_for_postgresql_is_told_how_to_get_it(call: Call, services: list[str]) -> None:
    if Path("/usr/bin/postgres").exists():
        pytest.skip("PostgreSQL is in every PATH here")
    code, said = call("start", *services)
    assert code == 2 and said == "error: there is no PostgreSQL here: apt-get install postgresql\n"
