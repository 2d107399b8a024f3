"""What ``--precision auto`` stands for: each host that is up multiplies once in either precision, on its own device.

A search has one precision, whatever host a trial runs on and however often the search goes on: bfloat16 only where
every host that may train gains by it. A host that joins later does as the search does.
"""

from __future__ import annotations

import os
import subprocess
import sys

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.engines.count import device_kind, devices
from orchestrator.engines.nodes import nodes_up
from trials.backbones.facts import Facts
from trials.config import Precision

PATIENCE = 120.0  # seconds for a host to load its libraries and answer; multiplying takes a fraction of one
GAIN = 1.5
"""Times as fast as the fastest float32 products, from which on bfloat16 is taken."""


def chosen_precision(facts: Facts) -> tuple[Precision, str]:
    """The precision to compute a backbone in on the Ray that is connected, and why, in words."""
    up = list(nodes_up().values())
    kind = device_kind(up)
    # No device is asked of Ray: engines that wait for this search, kept from one before, may hold them all.
    asked = {
        node.address: ray.remote(pace_here)
        .options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False))
        .remote("cuda" if kind == "GPU" else "cpu", facts.width, facts.ff)
        for node in up
        if devices(node, kind)
    }
    paces: dict[str, float] = {}
    for address, answer in asked.items():
        try:
            paces[address] = ray.get(answer, timeout=PATIENCE)
        except (RayError, GetTimeoutError):  # it cannot train either, and is asked why before the first trial
            continue
    return decision(paces)


def decision(paces: dict[str, float]) -> tuple[Precision, str]:
    """The precision, and why, from how many times as fast as float32 each host multiplies in bfloat16."""
    if not paces:
        return "float32", "float32, since no host could say how fast it multiplies in bfloat16"
    slowest = min(paces, key=lambda address: paces[address])
    where = f" on {slowest}" if len(paces) > 1 else ""
    times = f"bfloat16 multiplies {paces[slowest]:.1f} times as fast as float32{where}"
    if paces[slowest] >= GAIN:
        return "bfloat16", f"bfloat16, kept for this search: {times}"
    return "float32", f"float32, kept for this search: {times}, and {GAIN:g} times is what it takes"


def pace_here(device: str, width: int, ff: int) -> float:
    """How many times as fast as in float32 this host multiplies in bfloat16, by a process that ends with its answer.

    Raises:
        CalledProcessError, TimeoutExpired: it could not be found out.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if device == "cuda":
        environment.pop("CUDA_VISIBLE_DEVICES", None)  # Ray shows none to a task that asks for none
    command = [sys.executable, "-m", "trials.stack.pace", device, str(width), str(ff)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return float(done.stdout.split()[-1])
