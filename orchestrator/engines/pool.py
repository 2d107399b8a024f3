"""The engines of a search, as its driver sees them: how many, where, how full; and the winner's test in one of them.

The pool follows the cluster. A host that joins gets engines as long as there are trials for them; one that leaves, or
is about to, takes its engines off the list that trials choose from (`orchestrator.engines.directory`).
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayTaskError

from orchestrator.engines.actor import Build, EngineFacts, Files
from orchestrator.engines.build import build_engine
from orchestrator.engines.count import device_kind, devices, even_share, least_memory, places
from orchestrator.engines.directory import Directory, trial_key
from orchestrator.engines.hosts import HostChecks, paths_read
from orchestrator.engines.kept import KeptEngines
from orchestrator.engines.lost_actors import LOST_ACTOR
from orchestrator.engines.members import WHOLE, Members
from orchestrator.engines.nodes import Node, nodes_up, own_node, start_beside_driver
from orchestrator.engines.ray_internals import has_own_ray
from orchestrator.engines.shipping import ship
from orchestrator.plan.engine_spec import GB
from orchestrator.plan.estimate import engines_needed
from orchestrator.plan.plan import Plan
from trials.errors import UserError

log = logging.getLogger(__name__)

TURN = 2.0  # seconds between two looks at the cluster
LATECOMERS = 10.0  # seconds that the first engine waits for the others, and as long again as it took itself
SILENCE = 60.0  # seconds without an engine after which the user is shown what is waited for
ACTOR_BYTES = 128 << 20  # of a trial's actor: 111 MB are its own


class EnginePool:
    """Starts engines, one a device; a trial finds its own way to one of them.

    Args:
        build: what makes an engine in its process.
        kept: engines that stay loaded between searches: those on the pool's places are taken over, and its own are
            handed back when it closes. None: it starts its own, and ends them.

    Attributes:
        note: a remark for the user on the choice of devices; empty where there was none.
        directory: name of the actor that knows the engines; empty where none is started.
    """

    def __init__(self, plan: Plan, build: Build = build_engine, kept: KeptEngines | None = None) -> None:
        self._plan, self._spec = plan, plan.spec
        self._members = Members(build, kept)
        self._hosts: HostChecks | None = None  # None: on a Ray of one's own, where there is only this one
        self._refused: set[str] = set()
        self._directory: Any = None
        self._published: tuple[list[str], int] | None = None
        self._publications = itertools.count(1)
        self._ended: ray.ObjectRef | None = None
        self._kind, self._beside_driver = "CPU", 0.0
        self._starting = False
        self._next_look = 0.0
        self._alone_since: float | None = None
        self.directory = ""
        self.note = ""

    @property
    def facts(self) -> dict[str, EngineFacts]:
        """Of each engine when it was loaded, by name."""
        return {name: member.facts for name, member in self._members.loaded.items() if member.facts}

    def facts_now(self, seconds: float) -> dict[str, EngineFacts]:
        """The same as they are now, of those that answer in so many seconds; of the others as they were."""
        return {**self.facts, **self._members.ask_all(seconds)}

    @property
    def names(self) -> list[str]:
        """The names, as Ray actors, of the engines that are loaded."""
        return list(self._members.loaded)

    def start(self, trials: int) -> None:
        """Have engines for so many trials loaded, all at the same time, and wait for them.

        One that takes much longer than the first is not waited for: it joins later.

        Raises:
            UserError: more devices are asked for than there are, hosts cannot take part, or no engine could be started.
                What goes wrong while an engine loads is raised as it is.
        """
        if self._directory is not None:
            return
        up = nodes_up()
        self._check(up)
        self._beside_driver = up[own_node()].memory
        self.directory = f"engines-{secrets.token_hex(3)}"
        self._directory = start_beside_driver(Directory, self.directory)
        self._starting = True
        try:
            self._wait(trials)
            ray.get(self._publish(trials))  # before any trial asks
        except BaseException:
            self.close()
            raise
        self._starting = False

    @property
    def due(self) -> bool:
        """Whether it is time to `follow` again."""
        return self._directory is not None and time.monotonic() >= self._next_look

    def follow(self, trials: int) -> None:
        """Bring the pool to where the cluster is now, without waiting for anything.

        Args:
            trials: that are left, those in training included.

        Raises:
            UserError: no engine is left, and none has come for as long as the user wants to wait.
        """
        self._next_look = time.monotonic() + TURN
        up = nodes_up()
        self._members.let_go(up)
        joined = self._members.settle(strict=self._starting)
        self._give_up_ended()
        self._grow(up, trials)
        self._see_whether_any_is_left()
        if joined and not self._starting:
            where = ", ".join(dict.fromkeys(member.place.address for member in joined))
            log.info("%d engine(s) joined on %s; now %s", len(joined), where, self.describe(), extra=WHOLE)
        self._publish(trials)

    def at_once(self, trials: int) -> int:
        """How many of so many trials run at once: as many as there are slots, or fewer where the user wants.

        Their actors live beside the driver, so that no other host's end is theirs. Those that do not fit there go to
        other hosts, but only where these see the folder for results: actors keep their trials' checkpoints in it.
        """
        anywhere = self._hosts is not None and self._hosts.shared
        actors = trials if anywhere else max(1, int(self._beside_driver // ACTOR_BYTES))
        slots = sum(facts.slots for facts in self.facts.values())
        return min(trials, slots, self._plan.max_concurrent or trials, actors)

    def share(self, trials: int) -> int:
        """Trials that each engine holds of those that run at once, spread evenly."""
        return even_share([facts.slots for facts in self.facts.values()], self.at_once(trials))

    def describe(self) -> str:
        """One line for people."""
        engines = list(self.facts.values())
        slots = sorted({facts.slots for facts in engines})
        each = " to ".join(str(number) for number in dict.fromkeys((slots[0], slots[-1])))
        memory = max(facts.memory for facts in engines) / GB
        kinds = " and ".join(sorted({facts.device for facts in engines}))
        hosts = len({facts.node for facts in engines})
        text = f"{len(engines)} engine(s) on {kinds}, {each} slot(s) each, {memory:.1f} GB loaded"
        text += f", on {hosts} hosts" if hosts > 1 else ""
        notes = dict.fromkeys((self.note, *(facts.note for facts in engines)))
        return "; ".join([text, *filter(None, notes)])

    def release(self, number: int) -> None:
        """Free a trial's slot, wherever it is: its own actor may not be able to. Does not wait."""
        for member in self._members.loaded.values():
            member.actor.stop.remote(trial_key(self.directory, number))

    def test(self, adapter_files: Files) -> dict[str, Any]:
        """An adapter's test scores (`engines.test_scores`), from an engine that is loaded already if there is one."""
        for attempt in range(2):
            for member in self._members.loaded.values():
                try:
                    return ray.get(member.actor.test.remote(adapter_files))
                except LOST_ACTOR:
                    continue
                except RayTaskError as error:
                    raise error.cause from None
            if attempt == 0:  # none was started, since all trials had ended before, or all are gone
                self.close()
                self.start(1)
        raise UserError(["the winner could not be tested: every engine ended; the same command tries it again"])

    def close(self) -> None:
        """End the engines, or hand them back."""
        self._members.close()
        if self._directory is not None:
            ray.kill(self._directory)
        if self._hosts is not None:
            self._hosts.close()
        self._directory, self._published, self._ended, self._alone_since = None, None, None, None
        self.directory = ""

    def _check(self, up: dict[str, Node]) -> None:
        """Whether the devices that are asked for are there, and whether hosts can take part."""
        asked, kind = self._plan.settings.devices, device_kind(up.values())
        if has_own_ray():
            found = sum(devices(node, kind) for node in up.values())
            if asked and asked > found:
                raise UserError([f"--devices {asked}: Ray has {found} {kind}(s) here; ask for at most that many"])
            return
        shipments = ship(self._plan, paths_read(self._plan))
        self._spec = replace(self._spec, shipments=shipments)
        self._hosts = HostChecks(self._plan, [shipment.source for shipment in shipments if shipment.digest])
        problems = self._hosts.problems(node for node in up.values() if devices(node, kind))
        if problems:
            self._hosts.close()
            raise UserError(problems)

    def _wait(self, trials: int) -> None:
        """Follow the cluster until engines are loaded; the first does not wait for long for the others."""
        begun, until, shown = time.monotonic(), float("inf"), False
        while not (self.facts and (len(self.facts) == len(self._members) or time.monotonic() > until)):
            if self.due:
                self.follow(trials)
            self._members.settle(strict=True)
            if self.facts and until == float("inf"):
                until = time.monotonic() + LATECOMERS + (time.monotonic() - begun)
            if not shown and len(self._members) and time.monotonic() > begun + SILENCE:
                shown = True
                waits = "engines are being loaded; where another search holds the devices, they wait until it ends"
                log.info(waits, extra=WHOLE)
            time.sleep(0.1)

    def _grow(self, up: dict[str, Node], trials: int) -> None:
        """Start engines in free places while there are trials that want one."""
        settings, spec = self._plan.settings, self._spec
        if self._kind == "CPU":  # where engines had accelerators, they do not fall back to cores when those are gone
            self._kind = device_kind(up.values())
        with_devices = [node for node in up.values() if devices(node, self._kind) and not node.draining]
        able = [node for node in with_devices if self._may_join(node)]
        there = sum(devices(node, self._kind) for node in able)
        memory = spec.memory_limit or least_memory(self._plan.facts)
        found = places(able, self._kind, memory)
        wanted = engines_needed(settings.devices or there, trials, spec.slots, self._plan.max_concurrent)
        self.note = ""
        if wanted > there:
            self.note = f"--devices {settings.devices}: {there} {self._kind}(s) now, more as hosts join"
        elif wanted > len(found):
            self.note = f"memory holds {len(found)} engine(s) of {memory / GB:.1f} GB, not {wanted}"
        taken = self._members.places
        chosen = [place for place in found if place not in taken | self._members.spoilt][: max(0, wanted - len(taken))]
        for place in chosen:
            own = spec
            if self._kind == "CPU" and spec.memory_limit is None:  # those on one host must not each count on all of it
                beside = sum(other.node == place.node for other in [*taken, *chosen])
                own = replace(spec, memory_limit=int(up[place.node].memory / beside))
            self._members.start(place, self._kind, own)
        self._members.end_idle()

    def _may_join(self, node: Node) -> bool:
        """Whether a host can take part; not as long as it has not answered."""
        if self._hosts is None:
            return True
        verdict = self._hosts.verdict(node)
        if verdict and node.id not in self._refused:
            self._refused.add(node.id)
            for problem in verdict:
                log.info("the search goes on without a host that joined: %s", problem, extra=WHOLE)
        return verdict == []

    def _give_up_ended(self) -> None:
        """Do without the engines that the directory has found ended for good."""
        if self._ended is not None:
            answered, _ = ray.wait([self._ended], timeout=0)
            if not answered:
                return
            for name in ray.get(self._ended):
                self._members.give_up(name, "ended for good; Ray's logs say why")
        self._ended = self._directory.ended.remote()

    def _see_whether_any_is_left(self) -> None:
        """Where no engine is, nor is loading: wait for a host that may bring one, for as long as the user wants."""
        if len(self._members):
            self._alone_since = None
            return
        state = "could be started" if self._starting else "is left"
        reason = f": {self._members.why}" if self._members.why else ""
        again = "" if self._starting else ". All reports are kept; the same command goes on from them"
        if self._hosts is None:
            raise UserError([f"no engine {state}{reason}{again}"])
        now, minutes = time.monotonic(), self._plan.settings.host_wait
        if self._alone_since is None:
            self._alone_since = now
            address = ray.get_runtime_context().gcs_address
            waits = f"Trials wait {minutes:g} minutes for a host with a {self._kind} that is free"
            add = f"add one (there: ray start --address={address}), or press Ctrl-C: all reports are kept"
            log.info(f"no engine {state}{reason}. {waits}: {add}", extra=WHOLE)
        if now > self._alone_since + 60 * minutes:
            waited = f"and no host has come in {minutes:g} minutes (--host-wait)"
            raise UserError([f"no engine {state}{reason}, {waited}{again}"])

    def _publish(self, trials: int) -> list[ray.ObjectRef]:
        """Publish in the directory which engines there are, where that has changed; what ends when it has them."""
        now = self.names, self.share(trials)
        if now == self._published:
            return []
        self._published = now
        return [self._directory.publish.remote(*now, next(self._publications))]
