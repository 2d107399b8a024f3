"""The engines of a pool one by one: started on a host's device, loaded, given up, gone with their host."""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import ray
from ray.exceptions import ActorUnavailableError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.engines.actor import GRACE, Build, EngineActor, EngineFacts
from orchestrator.engines.count import Place
from orchestrator.engines.lost_actors import LOST_ACTOR
from orchestrator.engines.nodes import Node
from orchestrator.plan.engine_spec import EngineSpec

log = logging.getLogger(__name__)
WHOLE = {"whole": True}
"""Given with a message that the display must not shorten: it names hosts and ways out."""

RESTARTS = 8  # of an engine whose process dies, before it counts as gone


@dataclass
class Member:
    """An engine: the actor of that name, for a place.

    Attributes:
        answer: becomes its facts when it is loaded. facts: None before that.
    """

    name: str
    place: Place
    actor: Any
    answer: ray.ObjectRef
    facts: EngineFacts | None = None


class Leaving(NamedTuple):
    """An engine whose host is about to go.

    Attributes:
        handed_back: there when it has its trials ready to be fetched. since: seconds of this process's clock.
    """

    member: Member
    handed_back: ray.ObjectRef
    since: float


class Members:
    """Engines, each pinned to its host: Ray starts it again there while the host is up, and never elsewhere.

    Attributes:
        spoilt: places whose engines ended for good; others there would, too.
        why: what the last one that was given up ended of.
    """

    def __init__(self, build: Build) -> None:
        self._build = build
        self._engines: dict[str, Member] = {}
        self._leaving: list[Leaving] = []
        self._started = 0
        self.spoilt: set[Place] = set()
        self.why = ""

    def __len__(self) -> int:
        return len(self._engines)

    @property
    def loaded(self) -> dict[str, Member]:
        """Those that train, by name."""
        return {name: member for name, member in self._engines.items() if member.facts is not None}

    @property
    def places(self) -> set[Place]:
        """Those taken."""
        return {member.place for member in self._engines.values()}

    def start(self, place: Place, kind: str, spec: EngineSpec) -> None:
        """Start an engine; it loads by itself."""
        name = f"engine-{self._started}-{secrets.token_hex(3)}"
        self._started += 1
        pinned = NodeAffinitySchedulingStrategy(place.node, soft=False)
        actor_class = ray.remote(num_cpus=1, num_gpus=int(kind == "GPU"), max_restarts=RESTARTS)(EngineActor)
        actor: Any = actor_class.options(name=name, scheduling_strategy=pinned).remote(spec, self._build)
        self._engines[name] = Member(name, place, actor, actor.facts.remote())

    def settle(self, strict: bool) -> list[Member]:
        """The engines that have been loaded since the last time. Does not wait.

        Args:
            strict: raise what an engine raised while it loaded; else it is given up, and the others go on.
        """
        loaded = []
        for member in [member for member in self._engines.values() if member.facts is None]:
            answered, _ = ray.wait([member.answer], timeout=0)
            if not answered:
                continue
            try:
                member.facts = ray.get(member.answer)
                loaded.append(member)
            except ActorUnavailableError:  # its process died over it, and Ray starts it again
                member.answer = member.actor.facts.remote()
            except RayTaskError as error:
                if strict:
                    raise error.cause from None
                self.give_up(member.name, f"could not be loaded ({error.cause})")
            except LOST_ACTOR as error:
                self.give_up(member.name, f"ended {RESTARTS + 1} times ({str(error).strip().splitlines()[0]})")
        return loaded

    def give_up(self, name: str, why: str) -> None:
        """Do without an engine, if it is still there, and without its place."""
        member = self._engines.pop(name, None)
        if member is None:
            return
        self.spoilt.add(member.place)
        self.why = f"its process on host {member.place.address} {why}"
        if self._engines:
            log.info(f"an engine was lost: {self.why}; the search goes on without it", extra=WHOLE)
        ray.kill(member.actor)

    def let_go(self, up: dict[str, Node]) -> None:
        """Take the engines off whose hosts have left, or are about to: these hand their trials back first."""
        lost = [member for member in self._engines.values() if member.place.node not in up]
        drained = [member for member in self._engines.values() if member not in lost and up[member.place.node].draining]
        self._leaving += [Leaving(member, member.actor.leave.remote(), time.monotonic()) for member in drained]
        self._end_those_that_left()
        for members, what in ((lost, "has left"), (drained, "is about to be taken away")):
            for member in members:
                del self._engines[member.name]
            for address in dict.fromkeys(member.place.address for member in members):
                left = f"{len(self.loaded)} engine(s) are left"
                log.info(f"host {address} {what}: its trials go on elsewhere, {left}", extra=WHOLE)

    def close(self) -> None:
        """End them all."""
        for member in [*self._engines.values(), *(left.member for left in self._leaving)]:
            ray.kill(member.actor)
        self._engines.clear()
        self._leaving.clear()
        self.spoilt.clear()

    def _end_those_that_left(self) -> None:
        """End engines whose trials have been fetched: a host that is idle can go before its time."""
        for left in list(self._leaving):
            answered, _ = ray.wait([left.handed_back], timeout=0)
            if answered and time.monotonic() > left.since + GRACE:
                ray.kill(left.member.actor)
                self._leaving.remove(left)
