"""What a result says of where it came from, and what it keeps to itself."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.record import provenance
from orchestrator.record.provenance import collect, describe_hardware, vector_units


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def test_the_command_line_is_shown_without_secrets_and_home_folders() -> None:
    command = ["/home/joe/bin/adept-search", "search", "--tracking-uri", "http://joe:pw@host:5000", "--token", "abc"]
    assert collect(command)["command"] == "adept-search search --tracking-uri http://host:5000 --token removed"


def test_the_commit_of_a_checkout_and_whether_it_is_that_commit(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    (checkout / "notes.txt").write_text("not tracked, so no other code")
    assert collect([], checkout=checkout)["git_commit"] == commit
    (checkout / "code.py").write_text("2")
    assert collect([], checkout=checkout)["git_commit"] == f"{commit}-dirty"


def test_an_environment_inside_another_projects_checkout_borrows_no_commit(checkout: Path) -> None:
    installed = checkout / ".venv" / "lib"
    installed.mkdir(parents=True)
    assert "git_commit" not in collect([], checkout=installed)


def test_outside_git_and_without_git_there_is_no_commit_and_no_error(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "git_commit" not in collect([], checkout=tmp_path_factory.mktemp("plain"))
    monkeypatch.setenv("PATH", "")
    assert "git_commit" not in collect([], checkout=checkout)


def test_a_hooks_git_variables_do_not_change_the_repository(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert collect([], checkout=checkout)["git_commit"] == commit


def test_versions_and_hardware_are_there_and_the_host_name_is_not() -> None:
    facts = collect()
    assert facts["python"] == platform.python_version()
    assert facts["version/ray"].count(".") == 2
    assert "cores" in facts["cpu"] and facts["memory"].endswith("GiB")
    assert facts["command"].startswith(Path(sys.argv[0]).name)
    if len(platform.node()) > 3:
        assert not [name for name, fact in facts.items() if platform.node() in fact and name != "command"]


def test_hardware_of_the_trials_stands_in_place_of_the_drivers() -> None:
    facts = collect([], hardware={"gpu": "8 x NVIDIA H100"})
    assert facts["gpu"] == "8 x NVIDIA H100"
    assert "cpu" not in facts


def test_the_names_of_gpus_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\nprintf 'NVIDIA A, 10 MiB\\nNVIDIA A, 10 MiB\\nNVIDIA B, 5 MiB\\n'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert collect([])["gpu"] == "2 x NVIDIA A, 10 MiB; 1 x NVIDIA B, 5 MiB"


@pytest.mark.parametrize(
    ("key", "flags", "units"),
    [
        ("flags", "fpu avx2 amx_bf16 sse avx512_bf16", "amx_bf16 avx2 avx512_bf16"),
        ("Features", "fp bf16 sve", "bf16 sve"),
    ],
)
def test_processors_of_one_name_differ_in_their_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, flags: str, units: str
) -> None:
    monkeypatch.setattr(provenance, "CPUINFO", tmp_path / "cpuinfo")
    assert vector_units() == ""
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: AMD EPYC\n{key}\t\t: {flags}\n" * 2)
    assert vector_units() == units and describe_hardware()["cpu"].startswith("AMD EPYC, ")
