"""What ``--precision auto`` stands for: each host that is up multiplies once in either precision, on its own device.

A search has one precision, whatever host a trial runs on and however often the search goes on: bfloat16 only where
every host that may train gains by it, and where the backbone is right in it. A host that joins later does as the search
does. What a host has found out is kept in its cache, so that the same command gets the same answer there.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.engines.count import device_kind, devices
from orchestrator.engines.host_facts import digest_of_sources, version_of
from orchestrator.engines.nodes import nodes_up
from orchestrator.record.provenance import describe_hardware
from trials.config import Precision
from trials.data.cache import cached, default_cache_dir
from trials.errors import UserError

if TYPE_CHECKING:
    from orchestrator.plan.plan import Plan

PATIENCE = 120.0  # seconds for a host to load its libraries and answer; multiplying takes a fraction of one
LOADING = 60.0  # seconds for it to load the backbone in bfloat16; a larger one is loaded by the engines alone
GAIN = 1.5
"""Times as fast as the fastest float32 products, from which on bfloat16 is taken."""


@dataclass(frozen=True)
class Answer:
    """What a host says of bfloat16.

    Attributes:
        pace: times as fast as in float32 that it multiplies the backbone's shapes.
        refusal: why the backbone is not right in it there, in words; empty where it is, or is not known.
    """

    pace: float
    refusal: str = ""


def chosen_precision(plan: Plan) -> tuple[Precision, str]:
    """The precision to compute a plan's backbone in on the Ray that is connected, and why, in words."""
    up, facts, spec = list(nodes_up().values()), plan.facts, plan.spec
    kind = device_kind(up)
    backbone = spec.backbone, spec.revision, spec.lane or ""
    # No device is asked of Ray: engines that wait for this search, kept from one before, may hold them all.
    asked = {
        node.address: ray.remote(answer_here)
        .options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False))
        .remote("cuda" if kind == "GPU" else "cpu", facts.width, facts.ff, *backbone)
        for node in up
        if devices(node, kind)
    }
    answers: dict[str, Answer] = {}
    for address, answer in asked.items():
        try:
            answers[address] = ray.get(answer, timeout=PATIENCE + LOADING)
        except (RayError, GetTimeoutError):  # it cannot train either, and is asked why before the first trial
            continue
    return decision(answers)


def decision(answers: Mapping[str, Answer]) -> tuple[Precision, str]:
    """The precision, and why, from what each host says of bfloat16."""
    if not answers:
        return "float32", "float32, since no host could say how fast it multiplies in bfloat16"
    slowest = min(answers, key=lambda address: answers[address].pace)
    where = f" on {slowest}" if len(answers) > 1 else ""
    times = f"bfloat16 multiplies {answers[slowest].pace:.1f} times as fast as float32{where}"
    if answers[slowest].pace < GAIN:
        return "float32", f"float32, kept for this search: {times}, and {GAIN:g} times is what it takes"
    for address, answer in answers.items():
        if answer.refusal:
            where = f" on {address}" if len(answers) > 1 else ""
            return "float32", f"float32, kept for this search: in bfloat16{where}, {answer.refusal}"
    return "bfloat16", f"bfloat16, kept for this search: {times}; --precision float32 is as published"


def answer_here(device: str, width: int, ff: int, backbone: str, revision: str, lane: str) -> Answer:
    """What this host says, from its cache where it has found it out before.

    Raises:
        CalledProcessError, TimeoutExpired: it could not be found out how fast it multiplies.
    """
    hardware = [describe_hardware().get("gpu" if device == "cuda" else "cpu", "")]
    of = [device, *hardware, str(version_of("torch")), str(width), str(ff)]
    pace = float(_kept("pace", of, lambda: pace_here(device, width, ff)))
    if pace < GAIN:
        return Answer(pace)
    of += [backbone, revision, lane, str(version_of("transformers")), digest_of_sources()]
    return Answer(pace, str(_kept("halves", of, lambda: refusal_here(device, backbone, revision, lane))))


def pace_here(device: str, width: int, ff: int) -> float:
    """How many times as fast as in float32 this host multiplies in bfloat16, by a process that ends with its answer.

    Raises:
        CalledProcessError, TimeoutExpired: it could not be found out.
    """
    return float(_asked("trials.stack.pace", device, str(width), str(ff)))


def refusal_here(device: str, backbone: str, revision: str, lane: str) -> str:
    """Why a backbone is not right in bfloat16 here; empty where it is, or where that does not come out in time."""
    try:
        return str(json.loads(_asked("trials.backbones.halves", device, backbone, revision, lane, seconds=LOADING)))
    except (subprocess.SubprocessError, ValueError):
        return ""


def _asked(module: str, device: str, *arguments: str, seconds: float = PATIENCE) -> str:
    """The last line that a module prints in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if device == "cuda":
        environment.pop("CUDA_VISIBLE_DEVICES", None)  # Ray shows none to a task that asks for none
    command = [sys.executable, "-m", module, device, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=seconds)
    return done.stdout.strip().splitlines()[-1]


def _kept(what: str, of: list[str], find: Callable[[], Any]) -> Any:
    """An answer of this host, found out once for all that it depends on."""
    name = f"{what}-{hashlib.sha256(chr(10).join(of).encode()).hexdigest()[:16]}"
    try:
        return cached(default_cache_dir(), name, lambda folder: {"answer": find()})[1]["answer"]
    except UserError:  # a cache that cannot be written costs the time again
        return find()
