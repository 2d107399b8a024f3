"""Which Ray a search joins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ray._private.node import Node

from orchestrator.tune import cluster
from trials.errors import UserError


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The addresses that Ray is asked for; only ``local`` answers. No head of a cluster unless a test makes one."""
    addresses: list[str] = []

    def init(address: str, **_: Any) -> None:
        addresses.append(address)
        if address != "local":
            raise ConnectionError(address)

    monkeypatch.setattr(cluster.ray, "init", init)
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster, "HEAD_OF_A_CLUSTER", tmp_path / "ray_bootstrap_config.yaml")
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    for name in [*cluster.WORKER_ENVIRONMENT, *cluster.HOST_ENVIRONMENT, "ADEPT_VERBOSE"]:
        monkeypatch.setenv(name, "set by the test")
    monkeypatch.delenv("ADEPT_VERBOSE")
    return addresses


def test_a_search_has_a_ray_of_its_own_whatever_else_runs_on_the_machine(joined: list[str]) -> None:
    cluster.connect(debug=False)
    assert joined == ["local"]


@pytest.mark.parametrize("debug", [True, False])
def test_debug_reaches_the_workers(joined: list[str], debug: bool) -> None:
    cluster.connect(debug)
    assert ("ADEPT_VERBOSE" in os.environ) is debug


@pytest.mark.parametrize("debug", [True, False])
def test_a_ray_of_its_own_reads_logs_only_where_they_are_shown(
    joined: list[str], monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    starts = Node.start_log_monitor, Node.start_monitor, Node.start_api_server
    found: list[bool] = []

    def init(**_: Any) -> None:
        found.append(starts == (Node.start_log_monitor, Node.start_monitor, Node.start_api_server))

    monkeypatch.setattr(cluster.ray, "init", init)
    cluster.connect(debug)
    assert found == [debug]
    assert starts == (Node.start_log_monitor, Node.start_monitor, Node.start_api_server), "for the next Ray"


def test_on_the_head_of_a_cluster_its_ray_is_asked_first(joined: list[str]) -> None:
    cluster.HEAD_OF_A_CLUSTER.touch()
    cluster.connect(debug=False)
    assert joined == ["auto", "local"]  # the cluster has been taken down


def test_a_user_without_a_home_folder_is_on_no_head_of_a_cluster(
    joined: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "HEAD_OF_A_CLUSTER", Path("~/ray_bootstrap_config.yaml"))
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("posixpath.expanduser", str)  # as it is where the system does not know the user either
    cluster.connect(debug=False)
    assert joined == ["local"]


def test_an_address_that_does_not_answer_is_an_error(joined: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(UserError, match=r"RAY_ADDRESS=10\.0\.0\.1:6379: no Ray cluster answers"):
        cluster.connect(debug=False)


def failing(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> list[Exception]:
    """Ray does not start for these reasons, one after the other, and then it does; what is left of them."""
    left = list(errors)

    def init(**_: Any) -> None:
        if left:
            raise left.pop(0)

    monkeypatch.setattr(cluster.ray, "init", init)
    return left


TIMED_OUT = "The current node timed out during startup. This could happen because some of the raylet failed to startup"


def test_a_ray_that_did_not_come_up_is_started_once_more(joined: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    left = failing(monkeypatch, Exception(TIMED_OUT))
    cluster.connect(debug=False)
    assert not left


def test_a_ray_that_does_not_come_up_twice_is_one_sentence(joined: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    left = failing(monkeypatch, Exception(TIMED_OUT + "\nmore"), TimeoutError("the GCS"), Exception("never raised"))
    with pytest.raises(
        UserError, match=r"tried 2 times \(the GCS\).*the same command again.*/tmp/ray-\d+/ray/session"
    ) as caught:
        cluster.connect(debug=False)
    assert len(caught.value.problems) == 1 and len(left) == 1


def test_a_folder_of_another_user_is_named_with_the_way_out(joined: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    left = failing(monkeypatch, PermissionError(13, "Permission denied", "/tmp/ray/session_1"), Exception("a retry"))
    with pytest.raises(UserError) as caught:
        cluster.connect(debug=False)
    folder = f"/tmp/ray-{os.geteuid()}/ray"
    assert f"{folder} ($RAY_TMPDIR) cannot be used (Permission denied: /tmp/ray/session_1)" in str(caught.value)
    assert "another user. Set RAY_TMPDIR" in str(caught.value) and len(left) == 1, "that would be refused again"


def test_a_folder_that_may_not_be_written_is_found_beforehand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "local")
    if len(str(tmp_path)) < 35:
        assert cluster.problems() == []
    monkeypatch.setattr(cluster, "LONGEST_SOCKET", 4096)
    assert cluster.problems() == []
    monkeypatch.setattr(cluster.os, "access", lambda path, mode: Path(path) != tmp_path)
    (problem,) = cluster.problems()
    assert f"{tmp_path} is not writable" in problem and "RAY_TMPDIR" in problem
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert cluster.problems() == [], "the cluster has a folder of its own"


@pytest.mark.parametrize("length", [30, 75])
def test_the_length_of_rays_folder_is_checked_to_the_byte(
    joined: list[str], monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/".ljust(length, "x"))
    session = f"session_2026-01-31_12-00-00_000000_{os.getpid()}/sockets/plasma_store"
    path = f"{os.environ['RAY_TMPDIR']}/ray-{os.geteuid()}/ray/{session}"
    if len(path) <= 107:
        assert cluster.problems() == []
        return
    with pytest.raises(UserError) as caught:
        cluster.connect(debug=False)
    assert joined == []
    said = str(caught.value)
    assert f"paths of {len(path)} bytes; 107 are allowed" in said
    most = int(said.partition("of at most ")[2].split()[0])
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/".ljust(most, "x"))
    assert cluster.problems() == []
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/".ljust(most + 1, "x"))
    assert cluster.problems() != []
