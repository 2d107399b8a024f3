"""How many engines a search is worth, and how its trials spread over them. Plain numbers; no Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from trials.backbone_facts import Facts

PROCESS_BYTES = 700 << 20
"""What an engine's process takes on a host beside the backbone's weights: libraries, and a first small stack."""


def engines_needed(devices: int, trials: int, slots: int | None, max_concurrent: int | None) -> int:
    """Engines that find something to do.

    With a number of slots, as few as hold all trials that may run at once; where it is left to measurement, a device
    for each trial while there are devices: two half-full engines are done sooner than a full one and an idle device.
    """
    at_once = min(trials, max_concurrent or trials)
    return max(1, min(devices, math.ceil(at_once / (slots or 1))))


def even_share(slots: Sequence[int], trials: int) -> int:
    """The fewest trials that each engine must be ready to hold, within its slots, so that all have a place."""
    wanted = min(trials, sum(slots))
    return next(share for share in range(max(slots) + 1) if sum(min(own, share) for own in slots) >= wanted)


def least_memory(facts: Facts) -> int:
    """Bytes of a host that an engine with this backbone takes at least; the weights are float32."""
    encoder, decoder = facts.layer_weights()
    layers = encoder + decoder if facts.layers[0] else decoder
    return 4 * (facts.vocabulary * facts.width + layers) + PROCESS_BYTES


def hosts_hold(hosts: Sequence[Mapping[str, Any]], kind: str, memory: int) -> int:
    """Engines that fit on hosts together: one a device and, without accelerators, as many as their memory allows.

    Args:
        hosts: Ray's resources of each.
        kind: of the device, ``GPU`` or ``CPU``.
        memory: bytes of an engine on a CPU.
    """
    if kind == "GPU":
        return sum(int(host.get(kind, 0)) for host in hosts)
    return sum(min(int(host.get(kind, 0)), int(host.get("memory", 0) // memory)) for host in hosts)
