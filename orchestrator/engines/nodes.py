"""The hosts of the Ray cluster that a search runs on, as they are at the moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.engines.ray_internals import draining_nodes


@dataclass(frozen=True)
class Node:
    """A host that is up.

    Attributes:
        id: Ray's own; one that comes back after a restart has another.
        address: its IP address, for people.
        gpus: accelerators. cpus: cores. memory: bytes that Ray counts on.
        draining: it is about to be taken away: a spot machine that its owner wants back, or one that a person drains.
    """

    id: str
    address: str
    gpus: int
    cpus: int
    memory: float
    draining: bool = False


def nodes_up() -> dict[str, Node]:
    """The hosts that are up, by their ids. Takes a millisecond."""
    draining = draining_nodes()
    return {node["NodeID"]: _node(node, node["NodeID"] in draining) for node in ray.nodes() if node["Alive"]}


def own_node() -> str:
    """Id of the host that this process runs on."""
    return ray.get_runtime_context().get_node_id()


def start_beside_driver(kind: type, name: str) -> Any:
    """An actor that takes no core, and ends with nothing but this host."""
    beside = NodeAffinitySchedulingStrategy(own_node(), soft=False)
    return ray.remote(kind).options(name=name, num_cpus=0, scheduling_strategy=beside).remote()


def _node(node: dict[str, object], draining: bool) -> Node:
    has = node["Resources"]
    assert isinstance(has, dict)
    return Node(
        id=str(node["NodeID"]),
        address=str(node["NodeManagerAddress"]),
        gpus=int(has.get("GPU", 0)),
        cpus=int(has.get("CPU", 0)),
        memory=float(has.get("memory", 0)),
        draining=draining,
    )
