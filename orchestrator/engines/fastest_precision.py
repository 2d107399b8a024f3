"""What ``--precision auto`` stands for: each host that is up multiplies once in either precision, on its own device.

A search has one precision, whatever host a trial runs on and however often the search goes on: bfloat16 only where
every host that may train gains by it, and where the backbone is right in it. A host that joins later does as the search
does. What a host has found out is kept in its cache, so that the same command gets the same answer there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.engines.count import device_kind, devices
from orchestrator.engines.host_facts import digest_of_sources, version_of
from orchestrator.engines.nodes import nodes_up
from orchestrator.record.provenance import describe_hardware, vector_units
from trials.config import Precision
from trials.data.cache import cached, default_cache_dir
from trials.errors import UserError

if TYPE_CHECKING:
    from orchestrator.plan.plan import Plan

PATIENCE = 120.0
"""Seconds for a host to load its libraries, to multiply, which takes a fraction of one, and to load the backbone in
bfloat16; one that takes longer is loaded by the engines alone."""

REMOTE = 10.0  # seconds that asking a host and its answer may take beside that
GAIN = 1.5
"""Times as fast as the fastest float32 products, from which on bfloat16 is taken."""
SLOW = 0.5  # times as fast, below which there are no units for it, as in `trials.stack.devices`, which imports torch


@dataclass(frozen=True)
class Answer:
    """What a host says of bfloat16.

    Attributes:
        pace: times as fast as in float32 that it multiplies the backbone's shapes.
        refusal: why the backbone is not right in it there, in words; empty where it is, or where that takes too long to
            find out; None where it could not be found out, as where its weights have not been downloaded yet.
    """

    pace: float
    refusal: str | None = ""


class _NotKnownError(Exception):
    """An answer that is not whole: another time it may be."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


def chosen_precision(plan: Plan) -> tuple[Precision, str]:
    """The precision to compute a plan's backbone in on the Ray that is connected, and why, in words."""
    up = list(nodes_up().values())
    kind = device_kind(up)
    # No device is asked of Ray: engines that wait for this search, kept from one before, may hold them all.
    asked = {
        node.address: ray.remote(answer_here)
        .options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False))
        .remote("cuda" if kind == "GPU" else "cpu", *_of(plan))
        for node in up
        if devices(node, kind) and not node.draining  # where nothing will be trained
    }
    until = time.monotonic() + PATIENCE + REMOTE  # for all of them together
    answers: dict[str, Answer] = {}
    for address, answer in asked.items():
        try:
            answers[address] = ray.get(answer, timeout=max(0.0, until - time.monotonic()))
        except (RayError, GetTimeoutError):  # it cannot train either, and is asked why before the first trial
            continue
    return decision(answers)


def ask_here_early(plan: Plan) -> None:
    """Have this host find out what it will say, while the Ray that is to ask it is still being started.

    That is for a host that Ray will find no accelerator on, as far as can be seen now: a wrong guess costs time.
    """
    if shutil.which("nvidia-smi") is not None:
        return

    def find_out() -> None:
        with suppress(subprocess.SubprocessError, OSError):  # it is asked again
            answer_here("cpu", *_of(plan))

    threading.Thread(target=find_out, daemon=True).start()


def _of(plan: Plan) -> tuple[int, int, str, str, str]:
    """What an answer depends on beside the device: the backbone's width and hidden units, and the backbone."""
    spec = plan.spec
    return plan.facts.width, plan.facts.ff, spec.backbone, spec.revision, spec.lane or ""


def decision(answers: Mapping[str, Answer]) -> tuple[Precision, str]:
    """The precision, and why, from what each host says of bfloat16."""
    if not answers:
        return "float32", "float32, since no host could say how fast it multiplies in bfloat16"
    slowest = min(answers, key=lambda address: answers[address].pace)
    where = f" on {slowest}" if len(answers) > 1 else ""
    pace = answers[slowest].pace
    times = f"bfloat16 multiplies {pace:.1f} times as fast as float32{where}"
    if 0 < pace < SLOW:
        return "float32", f"float32, kept for this search: bfloat16 multiplies {1 / pace:.0f} times slower{where}"
    if pace < GAIN:
        return "float32", f"float32, kept for this search: {times}, and {GAIN:g} times is what it takes"
    for address, answer in answers.items():
        if answer.refusal:
            where = f" on {address}" if len(answers) > 1 else ""
            return "float32", f"float32, kept for this search: in bfloat16{where}, {answer.refusal}"
    return "bfloat16", f"bfloat16, kept for this search: {times}; --precision float32 is as published"


def answer_here(device: str, width: int, ff: int, backbone: str, revision: str, lane: str) -> Answer:
    """What this host says, from its cache where it has found it out before; one process at a time finds it out.

    Raises:
        CalledProcessError, TimeoutExpired: it could not be found out how fast it multiplies.
    """
    known = describe_hardware()
    hardware = [known.get("gpu", "")] if device == "cuda" else [known.get("cpu", ""), vector_units()]
    of = [device, *hardware, *map(str, (version_of("torch"), version_of("transformers"), digest_of_sources()))]
    of += [str(width), str(ff), backbone, revision, lane]
    name = f"bfloat16-{hashlib.sha256(chr(10).join(of).encode()).hexdigest()[:16]}"

    def kept(folder: Path) -> dict[str, Any]:
        answer = found_out(device, width, ff, backbone, revision, lane)
        if answer.refusal is None:
            raise _NotKnownError(answer)
        return asdict(answer)

    try:
        return Answer(**cached(default_cache_dir(), name, kept)[1])
    except _NotKnownError as error:
        return error.answer
    except UserError:  # a cache that cannot be written costs the time again
        return found_out(device, width, ff, backbone, revision, lane)


def found_out(device: str, width: int, ff: int, backbone: str, revision: str, lane: str) -> Answer:
    """What this host says, by a process that ends with its answer (`trials.halves`).

    Raises:
        CalledProcessError, TimeoutExpired: it could not be found out how fast it multiplies.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if device == "cuda":
        environment.pop("CUDA_VISIBLE_DEVICES", None)  # Ray shows none to a task that asks for none
    command = [sys.executable, "-m", "trials.halves", device, str(width), str(ff), str(GAIN), backbone, revision, lane]
    refusal: str | None = ""
    try:
        output = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=PATIENCE).stdout
    except subprocess.SubprocessError as error:
        output = getattr(error, "stdout", None) or b""
        if not output.strip():
            raise
        if not isinstance(error, subprocess.TimeoutExpired):  # it would take as long again
            refusal = None
    times, *said = output.decode().strip().splitlines() or [""]
    try:
        return Answer(float(times), json.loads(said[-1]) if said else refusal)
    except ValueError as error:
        raise subprocess.CalledProcessError(0, command, output) from error
