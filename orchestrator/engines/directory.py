"""Which engines there are and how full each is: one small actor that every trial asks, instead of every engine."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import ray
from ray.exceptions import ActorUnavailableError

from orchestrator.engines.lost_actors import LOST_ACTOR
from orchestrator.engines.training_loop import Room

FRESH = 0.002  # seconds an engine that an answer is good for: more engines are asked less often, all in all the same
PATIENCE = 2.0  # seconds for an answer that takes an engine no time
NO_ROOM = Room(0, 0)


class Rooms(NamedTuple):
    """What the engines hold.

    Attributes:
        rooms: by the engine's name. One that cannot be reached at the moment, or that is not loaded, has no slots.
        share: trials that each engine holds if all are held evenly.
    """

    rooms: dict[str, Room]
    share: int


def trial_key(directory: str, number: int) -> str:
    """What engines know a trial by: an engine may serve another search next, whose trials have the same numbers."""
    return f"{directory}/{number}"


class Directory:
    """The actor: it lives beside the driver, which publishes the engines; trials ask for their rooms.

    With trials that ask the engines themselves, calls would grow with trials times engines. Here each report costs one
    call, and each engine answers a few times a second whatever asks.
    """

    def __init__(self) -> None:
        self._engines: dict[str, Any] = {}
        self._rooms: dict[str, Room] = {}
        self._asked: dict[str, asyncio.Task[Room | None]] = {}
        self._ended: set[str] = set()
        self._share, self._published = 0, 0
        self._fresh_until = 0.0
        self._refreshing: asyncio.Task[None] | None = None
        self._arrived = 0
        self._met = asyncio.Event()

    async def publish(self, names: list[str], share: int, number: int) -> None:
        """Set which engines there are from now on.

        Args:
            number: grows from call to call: Ray may deliver two calls of an actor like this in either order, and the
                list of before must not stay.
        """
        if number < self._published:
            return
        self._published, self._share = number, share
        for name in self._engines.keys() - set(names):
            self._forget(name)
        for name in names:
            if name not in self._engines:
                try:
                    self._engines[name] = ray.get_actor(name)
                except ValueError:
                    self._ended.add(name)
        self._fresh_until = 0.0

    async def rooms(self) -> Rooms:
        """What each engine holds; one that has ended for good is left out."""
        if asyncio.get_running_loop().time() >= self._fresh_until:
            if self._refreshing is None or self._refreshing.done():
                self._refreshing = asyncio.create_task(self._refresh())
            await asyncio.shield(self._refreshing)
        return Rooms(dict(self._rooms), self._share)

    async def ended(self) -> set[str]:
        """The engines that were published and have ended for good."""
        await self.rooms()
        return self._ended

    async def meet(self, number: int) -> None:
        """Return when so many have called this."""
        self._arrived += 1
        if self._arrived >= number:
            self._met.set()
        await self._met.wait()

    async def _refresh(self) -> None:
        asked = [name for name in self._engines if name not in self._asked]
        for name in asked:
            self._asked[name] = asyncio.create_task(_room(self._engines[name]))
        if asked:  # who did not answer the last time is not waited for again
            await asyncio.wait([self._asked[name] for name in asked], timeout=PATIENCE)
        for name, answer in list(self._asked.items()):
            if not answer.done():
                self._rooms[name] = NO_ROOM
                continue
            del self._asked[name]
            room = answer.result()
            if room is None:
                self._ended.add(name)
                self._forget(name)
            elif name in self._engines:
                self._rooms[name] = room
        self._fresh_until = asyncio.get_running_loop().time() + FRESH * len(self._engines)

    def _forget(self, name: str) -> None:
        self._engines.pop(name, None)
        self._rooms.pop(name, None)
        asked = self._asked.pop(name, None)
        if asked is not None:
            asked.cancel()


async def _room(engine: Any) -> Room | None:
    """What an engine holds; None where it has ended for good."""
    try:
        return await engine.room.remote()
    except ActorUnavailableError:
        return NO_ROOM
    except LOST_ACTOR:
        return None
