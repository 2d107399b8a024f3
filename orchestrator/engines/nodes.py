"""The hosts of the Ray cluster that a search runs on, as they are at the moment."""

from __future__ import annotations

from dataclasses import dataclass

import ray
from ray._private import state, worker


@dataclass(frozen=True)
class Node:
    """A host that is up.

    Attributes:
        id: Ray's own; one that comes back after a restart has another.
        address: its IP address, for people.
        gpus: accelerators. cpus: cores. memory: bytes that Ray counts on.
        draining: it has been told that it is about to be taken away: a spot machine that its owner wants back, or one
            that a person drains.
    """

    id: str
    address: str
    gpus: int
    cpus: int
    memory: float
    draining: bool = False


def nodes_up() -> dict[str, Node]:
    """The hosts that are up, by their ids. Takes a millisecond."""
    # Neither ray.nodes() nor a public call of Ray 2.60 tells of draining; Ray Train asks here, too.
    draining = state.state.get_draining_nodes()
    return {node["NodeID"]: _node(node, node["NodeID"] in draining) for node in ray.nodes() if node["Alive"]}


def has_own_ray() -> bool:
    """Whether this process has started its Ray itself: on this machine alone, where no other host ever joins."""
    return bool(worker.global_worker.node.is_head())


def own_node() -> str:
    """Id of the host that this process runs on."""
    return ray.get_runtime_context().get_node_id()


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
