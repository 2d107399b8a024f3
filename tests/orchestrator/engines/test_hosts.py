"""What is said of a host that cannot take part in a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.engines import host_facts
from orchestrator.engines.hosts import LEAST_ROOM, compared

HERE: dict[str, Any] = {
    "python": "3.11.9",
    "executable": "/venv/bin/python",
    "versions": {"adept-search": "0.1.0", "torch": "2.13.0"},
    "missing": [],
    "sources": "0a1b2c3d",
    "unreadable": [],
    "free": 10 * LEAST_ROOM,
    "temporary": "/tmp",
}


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({}, []),
        ({"python": "3.11.2"}, []),
        ({"python": "3.12.1"}, ["Python 3.12.1 there, 3.11.9 here"]),
        (
            {"versions": {"adept-search": "0.0.9", "torch": None}, "sources": "00000000"},
            ["adept-search 0.0.9 there, 0.1.0 here", "torch is not installed there, 2.13.0 here"],
        ),
        ({"sources": "00000000"}, ["other files there (digest 00000000) than here (0a1b2c3d)"]),
        ({"missing": ["trials"], "versions": {}}, ["trials cannot be imported there by /venv/bin/python"]),
        ({"unreadable": ["/data/glue"]}, ["/data/glue is not there, or cannot be read"]),
        ({"storage": ["--storage s3://b: ACCESS_DENIED; use others"]}, ["--storage s3://b: ACCESS_DENIED; use others"]),
        ({"free": 5 << 20}, ["5 MB are free in /tmp, 256 are needed"]),
    ],
)
def test_each_difference_is_named_with_both_sides(there: dict[str, Any], said: list[str]) -> None:
    found = compared({**HERE, **there}, HERE)
    assert len(found) == len(said)
    for problem, words in zip(found, said, strict=True):
        assert words in problem


def test_what_is_missing_here_too_is_not_held_against_a_host() -> None:
    assert compared({**HERE, "unreadable": ["/x"]}, {**HERE, "unreadable": ["/x"]}) == []


def test_the_facts_of_a_host_are_looked_up_with_the_standard_library_alone(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch()
    facts = host_facts.host_facts([str(tmp_path), str(tmp_path / "none")], str(token))
    assert facts["shared"] and facts["writable"] and facts["missing"] == []
    assert facts["unreadable"] == [str(tmp_path / "none")]
    assert not host_facts.host_facts([], str(tmp_path / "another"))["shared"]
    assert "+" not in (facts["versions"]["torch"] or "+")


def test_the_digest_changes_with_a_single_byte_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in host_facts.OURS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(host_facts.importlib.util, "find_spec", lambda name: _Spec(tmp_path / name))
    before = host_facts.digest_of_sources()
    assert before == host_facts.digest_of_sources()
    (tmp_path / "trials" / "__init__.py").write_text("x = 2\n")
    assert host_facts.digest_of_sources() != before


class _Spec:
    def __init__(self, folder: Path) -> None:
        self.submodule_search_locations = [str(folder)]
