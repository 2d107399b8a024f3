"""Engines that stay loaded between the searches of one driver: a pool that closes hands them back, the next takes them.

What stays is the process with its libraries and its backbone. Data, slots and trials are the next search's own.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError

from orchestrator.engines.count import Place
from orchestrator.engines.lost_actors import LOST_ACTOR
from orchestrator.engines.nodes import Node, start_beside_driver
from orchestrator.plan.engine_spec import EngineSpec

REST = 30.0  # seconds in which an engine lets go of a search


class Specs:
    """The actor: what each engine is made from by now. One that Ray starts again after its process died asks here."""

    def __init__(self) -> None:
        self._specs: dict[str, EngineSpec | None] = {}

    def put(self, name: str, spec: EngineSpec | None) -> None:
        """Set an engine's spec; None: it is not needed at the moment."""
        self._specs[name] = spec

    def of(self, name: str) -> EngineSpec | None:
        """The spec of the engine of that name."""
        return self._specs.get(name)


@dataclass(frozen=True)
class Kept:
    """An engine that no search needs at the moment.

    Attributes:
        name, place, actor: see `orchestrator.engines.members.Member`.
        kind: of its device. spec: that it had last.
        rested: there when it has let go of its search.
    """

    name: str
    place: Place
    actor: Any
    kind: str
    spec: EngineSpec
    rested: Any = None


class KeptEngines:
    """Given to one `EnginePool` after the other, all with the same ``build``; used from one thread."""

    def __init__(self) -> None:
        self._idle: list[Kept] = []
        self._specs: Any = None
        self._name = ""

    def __len__(self) -> int:
        return len(self._idle)

    @property
    def specs(self) -> str:
        """Name of the `Specs` actor, which lives beside the driver and ends with it."""
        if self._specs is None:
            self._name = f"specs-{secrets.token_hex(3)}"
            self._specs = start_beside_driver(Specs, self._name)
        return self._name

    def note(self, name: str, spec: EngineSpec | None) -> None:
        """Have an engine of that name made from a spec whenever its process is started from now on.

        Raises:
            RayError: the actor that knows the specs has ended. The next call starts another one.
        """
        assert self.specs
        try:
            ray.get(self._specs.put.remote(name, spec))
        except RayError:
            self._specs = None
            raise

    def put(self, engine: Kept) -> None:
        """Keep an engine that its search needs no longer: it frees everything but its backbone."""
        try:
            self.note(engine.name, None)
        except RayError:  # it could not be started again as what it is by then
            ray.kill(engine.actor)
            return
        self._idle.append(replace(engine, rested=engine.actor.take.remote(None)))

    def take(self, place: Place, kind: str, spec: EngineSpec) -> Kept | None:
        """An engine of that kind on the place's host, the one with the spec's backbone first; None: there is none."""
        there = [engine for engine in self._idle if engine.place.node == place.node and engine.kind == kind]
        if not there:
            return None
        wanted = spec.backbone, spec.precision, spec.lane
        engine = max(there, key=lambda one: (one.spec.backbone, one.spec.precision, one.spec.lane) == wanted)
        try:
            # Ray may deliver two calls of an actor like this in either order: the first must be over before the next.
            with suppress(ActorUnavailableError, *LOST_ACTOR):  # that it ended is seen when it is asked for its facts
                ray.get(engine.rested, timeout=REST)
            self.note(engine.name, spec)
        except RayError:
            self._end([engine])
            return None
        self._idle.remove(engine)
        return engine

    def let_go(self, up: Mapping[str, Node]) -> None:
        """End those whose hosts have left, or are about to."""
        self._end([one for one in self._idle if one.place.node not in up or up[one.place.node].draining])

    def end_on_cores(self) -> None:
        """End those without an accelerator: the pool that has just started counts on their memory."""
        self._end([one for one in self._idle if one.kind == "CPU"])

    def close(self) -> None:
        """End them all."""
        self._end(list(self._idle))
        if self._specs is not None:
            ray.kill(self._specs)
        self._specs = None

    def _end(self, engines: list[Kept]) -> None:
        for engine in engines:
            with suppress(RayError, ValueError):  # it may have ended by itself
                ray.kill(engine.actor)
            self._idle.remove(engine)
