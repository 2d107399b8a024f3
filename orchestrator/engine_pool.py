"""The engines of a search, as its driver sees them: how many, where, how full; and the winner's test in one of them."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayTaskError

from orchestrator.engine_count import engines_needed, even_share, hosts_hold, least_memory
from orchestrator.engines import Build, EngineActor, EngineFacts, Files, build_engine
from orchestrator.planning import GB, Plan
from trials.errors import UserError

RESTARTS = 8  # of an engine whose process dies, before it counts as gone


class EnginePool:
    """Starts engines, one a device, and knows them by name; a trial finds its own way to one of them.

    Args:
        build: what makes an engine in its process.

    Attributes:
        facts: of each engine when it was loaded, by name.
        note: what to tell a person about the choice; empty where there was none.
    """

    def __init__(self, plan: Plan, build: Build = build_engine) -> None:
        self._plan = plan
        self._build = build
        self._actors: dict[str, Any] = {}
        self.facts: dict[str, EngineFacts] = {}
        self.note = ""

    def start(self, trials: int) -> None:
        """Have engines for so many trials loaded, all at the same time, and wait for them.

        Raises:
            UserError: more devices are asked for than there are, or no engine could be started. What goes wrong while
                an engine loads is raised as it is.
        """
        if self._actors:
            return
        settings, spec = self._plan.settings, self._plan.spec
        hosts = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        kind = "GPU" if any(host.get("GPU") for host in hosts) else "CPU"
        devices = sum(int(host.get(kind, 0)) for host in hosts)
        if settings.devices and settings.devices > devices:
            raise UserError(
                [f"--devices {settings.devices}: Ray has {devices} {kind}(s) here; ask for at most that many"]
            )
        memory = spec.memory_limit or least_memory(self._plan.facts)
        fit = max(1, hosts_hold(hosts, kind, memory))
        count = engines_needed(settings.devices or devices, trials, spec.slots, self._plan.max_concurrent)
        if fit < count:
            self.note = f"memory holds {fit} engine(s) of {memory / GB:.1f} GB, not {count}"
            count = fit
        if kind == "CPU" and spec.memory_limit is None:  # engines on one host must not each count on all of its memory
            spec = replace(spec, memory_limit=int(sum(host.get("memory", 0) for host in hosts) / count))
        actor = ray.remote(num_cpus=1, num_gpus=int(kind == "GPU"), max_restarts=RESTARTS)(EngineActor)
        token = secrets.token_hex(3)
        for index in range(count):
            name = f"engine-{index}-{token}"
            self._actors[name] = actor.options(name=name).remote(spec, self._build)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        for name, actor in list(self._actors.items()):
            try:
                self.facts[name] = loaded(actor)
            except RayTaskError as error:
                raise error.cause from None
            except RayActorError as error:
                del self._actors[name]
                last = error
        if not self.facts:
            problem = str(last).strip().splitlines()[0]
            raise UserError([f"no engine could be started: its process ended {RESTARTS + 1} times ({problem})"])

    @property
    def names(self) -> list[str]:
        """The engines' names as Ray actors."""
        return list(self._actors)

    def at_once(self, trials: int) -> int:
        """How many of so many trials run at once: as many as there are slots, or fewer where the user wants."""
        return min(trials, sum(facts.slots for facts in self.facts.values()), self._plan.max_concurrent or trials)

    def share(self, trials: int) -> int:
        """Trials that each engine holds of those that run at once, spread evenly."""
        return even_share([facts.slots for facts in self.facts.values()], self.at_once(trials))

    def describe(self) -> str:
        """One line for people."""
        engines = list(self.facts.values())
        slots = sorted({facts.slots for facts in engines})
        each = " to ".join(str(number) for number in dict.fromkeys((slots[0], slots[-1])))
        memory = max(facts.memory for facts in engines) / GB
        text = f"{len(engines)} engine(s) on {engines[0].device}, {each} slot(s) each, {memory:.1f} GB loaded"
        return f"{text}; {self.note}" if self.note else text

    def release(self, number: int) -> None:
        """Free a trial's slot, wherever it is: its own actor may not be able to. Does not wait."""
        for actor in self._actors.values():
            actor.stop.remote(str(number))

    def test(self, adapter_files: Files) -> dict[str, Any]:
        """An adapter's test scores (`engines.test_scores`), from an engine that is loaded already if there is one."""
        for attempt in range(2):
            for actor in self._actors.values():
                try:
                    return ray.get(actor.test.remote(adapter_files))
                except RayActorError:
                    continue
                except RayTaskError as error:
                    raise error.cause from None
            if attempt == 0:  # none was started, since all trials had ended before, or all are gone
                self.close()
                self.start(1)
        raise UserError(["the winner could not be tested: every engine ended; the same command tries it again"])

    def close(self) -> None:
        """End the engines."""
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors.clear()
        self.facts.clear()


def loaded(actor: Any) -> EngineFacts:
    """What an engine says when it is loaded; a process that dies over it is started again by Ray."""
    while True:
        try:
            return ray.get(actor.facts.remote())
        except ActorUnavailableError:
            time.sleep(0.5)
