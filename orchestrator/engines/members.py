"""The engines of a pool one by one: started on a host's device, loaded, given up, gone with their host."""

from __future__ import annotations

import logging
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import ray
from ray.exceptions import ActorUnavailableError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.engines.actor import GRACE, Build, EngineActor, EngineFacts
from orchestrator.engines.count import Place
from orchestrator.engines.kept import Kept, KeptEngines
from orchestrator.engines.lost_actors import LOST_ACTOR
from orchestrator.engines.nodes import Node
from orchestrator.plan.engine_spec import EngineSpec

log = logging.getLogger(__name__)
WHOLE = {"whole": True}
"""Given with a message that the display must not shorten: it names hosts and ways out."""

HAND_BACK = 10.0  # seconds in which an engine answers that is kept for the next search
RESTARTS = 8  # of an engine whose process dies, before it counts as gone


@dataclass
class Member:
    """An engine: the actor of that name, for a place.

    Attributes:
        kind: of its device. spec: what it is made from.
        taken_over: whether it was there before, for another search.
        answer: becomes its facts when it is loaded. facts: None before that.
    """

    name: str
    place: Place
    actor: Any
    kind: str
    spec: EngineSpec
    taken_over: bool
    answer: ray.ObjectRef
    facts: EngineFacts | None = None

    def ask(self) -> None:
        """Ask for its facts once more."""
        self.answer = self.actor.take.remote(self.spec) if self.taken_over else self.actor.facts.remote()


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

    Args:
        kept: engines of earlier searches, which go before new ones, and where those that are loaded go in the end.
            None: there are none, and all end here.

    Attributes:
        spoilt: places whose engines ended for good; others there would, too.
        why: what the last one that was given up ended of.
    """

    def __init__(self, build: Build, kept: KeptEngines | None = None) -> None:
        self._build = build
        self._kept = kept
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
        """Start an engine, or take over one that is there; it loads by itself."""
        found = self._kept.take(place, kind, spec) if self._kept is not None else None
        if found is not None:
            answer = found.actor.take.remote(spec)
            self._engines[found.name] = Member(found.name, place, found.actor, kind, spec, True, answer)
        else:
            self._start_new(place, kind, spec)

    def _start_new(self, place: Place, kind: str, spec: EngineSpec) -> None:
        name, specs = f"engine-{self._started}-{secrets.token_hex(3)}", ""
        self._started += 1
        if self._kept is not None:
            self._kept.note(name, spec)
            specs = self._kept.specs
        pinned = NodeAffinitySchedulingStrategy(place.node, soft=False)
        actor_class = ray.remote(num_cpus=1, num_gpus=int(kind == "GPU"), max_restarts=RESTARTS)(EngineActor)
        actor: Any = actor_class.options(name=name, scheduling_strategy=pinned).remote(spec, self._build, specs)
        self._engines[name] = Member(name, place, actor, kind, spec, False, actor.facts.remote())

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
                member.ask()
            except RayTaskError as error:
                if strict:
                    raise error.cause from None
                self.give_up(member.name, f"could not be loaded ({error.cause})")
            except LOST_ACTOR as error:
                if member.taken_over:  # it ended between two searches, which says nothing of its place
                    del self._engines[member.name]
                    self._start_new(member.place, member.kind, member.spec)
                    continue
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
        if self._kept is not None:
            self._kept.let_go(up)
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

    def end_idle(self) -> None:
        """End engines of earlier searches that are not needed here, where they share their host's memory with these."""
        if self._kept is not None:
            self._kept.end_on_cores()

    def ask_all(self, seconds: float) -> dict[str, EngineFacts]:
        """What the loaded engines answer in that time of themselves, by name."""
        asked = {name: member.actor.facts.remote() for name, member in self.loaded.items()}
        if asked:
            ray.wait(list(asked.values()), num_returns=len(asked), timeout=seconds)
        found = {}
        for name, answer in asked.items():
            with suppress(RayError):  # also of those that have not answered
                found[name] = ray.get(answer, timeout=0)
        return found

    def close(self) -> None:
        """End them all, or hand them back to those that are kept: they are asked whether they can still do anything."""
        well = self.ask_all(HAND_BACK) if self._kept is not None else {}
        for member in [*self._engines.values(), *(left.member for left in self._leaving)]:
            if self._kept is not None and member.name in well and member.name in self._engines:
                self._kept.put(Kept(member.name, member.place, member.actor, member.kind, member.spec))
            else:
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
