"""Whether the hosts of a cluster can take part in a search: asked of each before any trial, and of each that joins."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import RayError, RaySystemError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.engines import host_facts
from orchestrator.engines.nodes import Node
from orchestrator.plan.plan import Plan

log = logging.getLogger(__name__)

PATIENCE = 120.0  # seconds for a host's answer, a worker's start on a busy host included
CLOCKS_APART = 60.0  # seconds: more is worth a word; nothing here compares the clocks of two hosts
LEAST_ROOM = 256 << 20  # bytes for a host's temporary files: Ray's logs and objects, and checkpoints on their way
SAME = "install the same there: pip install -c constraints.txt, from the same commit as here"

cloudpickle.register_pickle_by_value(host_facts)


class HostChecks:
    """Asks hosts what they have, and compares it with what a search needs.

    Args:
        brought: paths that a host without them gets otherwise (`orchestrator.engines.shipping`).

    Attributes:
        shared: whether all hosts asked so far see the folder for results.
    """

    def __init__(self, plan: Plan, brought: Collection[str] = ()) -> None:
        self.shared = True
        self._paths = [path for path in paths_read(plan) if path not in brought]
        self._storage = plan.settings.storage or ""
        self._folder = plan.folder
        self._token = plan.folder / f".seen-{secrets.token_hex(4)}"
        self._own: dict[str, Any] | None = None
        self._asked: dict[str, tuple[Node, Any, float, float]] = {}  # with when by both of this host's clocks
        self._verdicts: dict[str, list[str]] = {}

    def verdict(self, node: Node) -> list[str] | None:
        """What is wrong with a host, one sentence each; None while it has not answered. Does not wait."""
        if node.id not in self._verdicts:
            if node.id not in self._asked:
                self._ask(node)
            answered, _ = ray.wait([self._asked[node.id][1]], timeout=0)
            if answered or time.monotonic() > self._asked[node.id][2] + PATIENCE:
                self._verdicts[node.id] = self._judge(node, bool(answered))
        return self._verdicts.get(node.id)

    def problems(self, nodes: Iterable[Node]) -> list[str]:
        """What is wrong with several hosts; waits for their answers."""
        left = list(nodes)
        for node in left:
            self.verdict(node)  # all at once
        problems = []
        while left:
            left = [node for node in left if self.verdict(node) is None]
            time.sleep(0.05 if left else 0)
        for verdict in self._verdicts.values():
            problems += verdict
        return problems

    def close(self) -> None:
        """Remove what was written for the checks."""
        with suppress(OSError):
            self._token.unlink(missing_ok=True)

    def _ask(self, node: Node) -> None:
        if self._own is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._token.touch()
            self._own = host_facts.host_facts(self._paths, str(self._token), self._storage)
        pinned = NodeAffinitySchedulingStrategy(node.id, soft=False)
        task = ray.remote(host_facts.host_facts).options(num_cpus=0, max_retries=0, scheduling_strategy=pinned)
        answer = task.remote(self._paths, str(self._token), self._storage)
        self._asked[node.id] = node, answer, time.monotonic(), time.time()

    def _judge(self, node: Node, answered: bool) -> list[str]:
        _, answer, _, since = self._asked.pop(node.id)
        where = f"host {node.address}"
        if not answered:
            return [f"{where}: does not answer a first task within {PATIENCE:.0f} s; see Ray's logs there, or end it"]
        try:
            there = ray.get(answer)
        except (RayTaskError, RaySystemError) as error:
            return [f"{where}: a first task failed ({last_line(error)}); {SAME}"]
        except RayError as error:
            return [f"{where}: cannot run a first task ({last_line(error)}); see Ray's logs there"]
        assert self._own is not None
        self.shared = self.shared and there["shared"] and there["writable"]
        off = max(since - there["clock"], there["clock"] - time.time())
        if off > CLOCKS_APART:
            log.info(
                f"{where}: its clock is {off:,.0f} s away from this host's; no harm to the search, but times in "
                "its logs are off: set it by NTP"
            )
        return [f"{where}: {problem}" for problem in compared(there, self._own)]


def compared(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What keeps a host from taking part, from the facts (`host_facts`) of both: a sentence each, with its remedy."""
    if there["missing"]:
        missing, python = ", ".join(there["missing"]), there["executable"]
        return [f"{missing} cannot be imported there by {python}; {SAME}, for that Python"]
    problems = []
    if there["python"].split(".")[:2] != here["python"].split(".")[:2]:
        problems.append(f"Python {there['python']} there, {here['python']} here; install the same there")
    for name, own in here["versions"].items():
        other = there["versions"][name]
        if other != own:
            problems.append(f"{name} {other or 'is not installed'} there, {own or 'is not installed'} here; {SAME}")
    if not problems and there["sources"] != here["sources"]:
        problems.append(
            f"our packages have other files there (digest {there['sources']}) than here ({here['sources']}), though "
            "their version is the same; bring both to the same commit (git pull, pip install)"
        )
    for path in there["unreadable"]:
        if path not in here["unreadable"]:
            problems.append(f"{path} is not there, or cannot be read; copy it to every host, or share its folder")
    problems += there.get("storage", [])
    if there["free"] < LEAST_ROOM:
        problems.append(
            f"{there['free'] >> 20} MB are free in {there['temporary']}, {LEAST_ROOM >> 20} are needed; make room there"
        )
    return problems


def paths_read(plan: Plan) -> list[str]:
    """Files and folders of the user's own that engines read, wherever they are."""
    spec = plan.spec
    own_task = [spec.task] if plan.task.in_a_file else []
    folder = [spec.backbone] if Path(spec.backbone).is_absolute() else []
    return [*own_task, *([spec.data_dir] if spec.data_dir else []), *folder]


def last_line(error: BaseException) -> str:
    """The last line of an error's text, where Ray puts what went wrong, without its layers."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
