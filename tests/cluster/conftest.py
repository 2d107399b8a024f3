"""Hosts for the tests of this folder; where there can be none, its tests are skipped and say why."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.lab import Hosts, missing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here, reason = Path(__file__).parent, missing()
    for item in items:
        if reason and here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@contextmanager
def hosts(name: str, number: int) -> Iterator[Hosts]:
    """Hosts on which no Ray runs yet."""
    with tempfile.TemporaryDirectory(prefix="adept-lab-", dir="/var/tmp") as folder:  # every host has a /tmp of its own
        made = Hosts(name, number, Path(folder) / "lab")
        try:
            yield made
        finally:
            made.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Hosts]:
    """Three hosts after `ray up`."""
    with hosts("adept", 3) as made:
        made.up()
        made.wait_for_hosts(3)
        yield made
