"""Which Ray a search joins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator import connecting
from trials.errors import UserError


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The addresses that Ray is asked for; only ``local`` answers. No head of a cluster unless a test makes one."""
    addresses: list[str] = []

    def init(address: str, **_: Any) -> None:
        addresses.append(address)
        if address != "local":
            raise ConnectionError(address)

    monkeypatch.setattr(connecting.ray, "init", init)
    monkeypatch.setattr(connecting.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(connecting, "HEAD_OF_A_CLUSTER", tmp_path / "ray_bootstrap_config.yaml")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name in [*connecting.WORKER_ENVIRONMENT, *connecting.HOST_ENVIRONMENT, "ADEPT_VERBOSE"]:
        monkeypatch.setenv(name, "set by the test")
    monkeypatch.delenv("ADEPT_VERBOSE")
    return addresses


def test_a_search_has_a_ray_of_its_own_whatever_else_runs_on_the_machine(joined: list[str]) -> None:
    connecting.connect(debug=False)
    assert joined == ["local"]


@pytest.mark.parametrize("debug", [True, False])
def test_debug_reaches_the_workers(joined: list[str], debug: bool) -> None:
    connecting.connect(debug)
    assert ("ADEPT_VERBOSE" in os.environ) is debug


def test_on_the_head_of_a_cluster_its_ray_is_asked_first(joined: list[str]) -> None:
    connecting.HEAD_OF_A_CLUSTER.touch()
    connecting.connect(debug=False)
    assert joined == ["auto", "local"]  # the cluster has been taken down


def test_an_address_that_does_not_answer_is_an_error(joined: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(UserError, match=r"RAY_ADDRESS=10\.0\.0\.1:6379: no Ray cluster answers"):
        connecting.connect(debug=False)
