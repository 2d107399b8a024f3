"""Which engines trials hear of."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import ray

from orchestrator.engines.directory import Directory


def test_a_list_that_arrives_late_does_not_replace_the_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray delivers calls of an asynchronous actor in any order: a search without engines would wait for ever."""
    monkeypatch.setattr(ray, "get_actor", lambda name: f"actor {name}")

    async def published() -> Any:
        directory = Directory()
        await directory.publish(["engine-0"], 2, 2)
        await directory.publish([], 0, 1)
        return directory._engines, directory._share

    assert asyncio.run(published()) == ({"engine-0": "actor engine-0"}, 2)
