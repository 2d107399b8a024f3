"""The shipped cluster file, as far as it can be checked without a cluster; on real hosts: tests/cluster."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    return document


def test_what_it_copies_is_here_and_enough_to_run(shipped: dict[str, Any], tmp_path: Path) -> None:
    sources = [Path(source) for source in shipped["file_mounts"].values() if not source.startswith("~")]
    for source in sources:
        (tmp_path / source).symlink_to(ROOT / source)
    done = subprocess.run(
        ["python", "-c", "import orchestrator; print(orchestrator.__path__[0])"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout.strip() == str(tmp_path / "orchestrator")
    assert {"pyproject.toml", "constraints.txt"} <= {source.name for source in sources}


def run_setup(shipped: dict[str, Any], home: Path, shared: Path) -> subprocess.CompletedProcess[str]:
    """The set-up commands as a host runs them, up to the installation."""
    commands = [command.replace("/mnt/shared/adept", str(shared)) for command in shipped["setup_commands"][:-1]]
    (home / ".ray").mkdir(exist_ok=True)
    (home / ".ray" / "auth_token").write_text("secret")
    script = "\n".join(f"( {command} ) || exit 1" for command in commands)
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    return subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)


def environment_of(home: Path) -> dict[str, str]:
    """What a shell of a host has after its ~/.bashrc."""
    done = subprocess.run(
        ["bash", "-c", ". ~/.bashrc; env"], env={"HOME": str(home), "PATH": "/bin"}, capture_output=True, text=True
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def test_a_second_set_up_changes_nothing_and_the_token_is_its_owner_s_alone(
    shipped: dict[str, Any], tmp_path: Path
) -> None:
    home, shared = tmp_path / "home", tmp_path / "shared"
    for folder in (home, shared):
        folder.mkdir()
    files = []
    for _ in range(2):
        done = run_setup(shipped, home, shared)
        assert done.returncode == 0, done.stdout + done.stderr
        files.append([(home / name).read_text() for name in (".bashrc", ".adept-search.env")])
    assert files[0] == files[1]
    assert (home / ".ray" / "auth_token").stat().st_mode & 0o077 == 0
    found = environment_of(home)
    assert found["RAY_AUTH_MODE"] == "token" and found["ADEPT_OUTPUT"] == str(shared)
    assert found["MLFLOW_TRACKING_URI"] == f"sqlite:///{shared}/mlflow.db"
    assert found["PATH"].startswith(f"{home}/.adept-search/bin:")


def test_a_shared_folder_that_is_missing_is_said(shipped: dict[str, Any], tmp_path: Path) -> None:
    done = run_setup(shipped, tmp_path, tmp_path / "nowhere")
    assert done.returncode == 1
    assert f"cannot write to {tmp_path / 'nowhere'}: mount the shared folder there" in done.stdout
