"""How many engines a search is worth, where they can be, and how its trials spread over them. No Ray here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from trials.backbones.facts import Facts

if TYPE_CHECKING:
    from orchestrator.engines.nodes import Node

PROCESS_BYTES = 700 << 20
"""What an engine's process takes on a host beside the backbone's weights: libraries, and a first small stack."""


def even_share(slots: Sequence[int], trials: int) -> int:
    """The fewest trials that each engine must be ready to hold, within its slots, so that all have a place."""
    wanted = min(trials, sum(slots))
    return next(share for share in range(max(slots, default=0) + 1) if sum(min(own, share) for own in slots) >= wanted)


def least_memory(facts: Facts) -> int:
    """Bytes of a host that an engine with this backbone takes at least; the weights are float32."""
    encoder, decoder = facts.layer_weights()
    layers = encoder + decoder if facts.layers[0] else decoder
    return 4 * (facts.vocabulary * facts.width + layers) + PROCESS_BYTES


class Place(NamedTuple):
    """A device of a host, for one engine.

    Attributes:
        node: the host's id in Ray. address: for people. device: counts the host's places.
    """

    node: str
    address: str
    device: int


def places(nodes: Iterable[Node], kind: str, memory: int) -> list[Place]:
    """Where engines can be: one a device and, without accelerators, as many as a host's memory allows.

    Hosts come by turns, so that the first few places lie on as many hosts. Where no host's memory is enough, there is
    one place nevertheless: the estimate may be wrong, and an engine that lacks memory names it in its error.

    Args:
        kind: of the devices, ``GPU`` or ``CPU``. memory: bytes of an engine on a host without accelerators.
    """
    hosts = [node for node in nodes if devices(node, kind)]
    held = {node.id: node.gpus if kind == "GPU" else min(node.cpus, int(node.memory // memory)) for node in hosts}
    if hosts and not any(held.values()):
        held[max(hosts, key=lambda node: node.memory).id] = 1
    found = [Place(node.id, node.address, device) for node in hosts for device in range(held[node.id])]
    return sorted(found, key=lambda place: place.device)


def device_kind(nodes: Iterable[Node]) -> str:
    """What engines use: ``GPU`` wherever a host has one, else ``CPU``."""
    return "GPU" if any(node.gpus for node in nodes) else "CPU"


def devices(node: Node, kind: str) -> int:
    """A host's devices of a kind."""
    return node.gpus if kind == "GPU" else node.cpus
