"""How large a pass should be on a device, and how many trials fill it: measured, not assumed."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import psutil
import torch

from trials.backbones.loading import Backbone, Inputs
from trials.batching.dropout import Dropout
from trials.batching.passes import PassCost
from trials.config import TrialConfig
from trials.errors import UserError
from trials.memory import forget_peak, peak
from trials.methods import get_method
from trials.methods.base.module import MethodModule, make_method
from trials.stack.devices import wait
from trials.stack.embedding_table import Group
from trials.stack.low_rank_updates import LowRankUpdates
from trials.stack.weight_updates import WeightUpdates
from trials.trial import Split

SECONDS = 1.0
"""A size that would take longer than this is measured only if the one before was faster a token than its half."""

LONGEST = 4.0
"""Seconds of one pass beyond which none is tried."""

REPEATS = 3
"""Each size is timed this often, or twice where that would take longer than `SECONDS`; the fastest counts, for other
work on the machine only ever slows, and the first pass of a size may have to make its kernels."""

GAIN = 1.05
"""A larger pass must be this much faster a token to be worth its memory."""

FLAT = 2
"""Doublings one after another that bring no gain, after which none is tried: a device that is full stays so."""

SAFETY = 0.85
"""Share of the memory limit that passes plan for; the rest is for fragments and the trials themselves."""

FEWEST_SLOTS, MOST_SLOTS = 2, 32  # with one, a device would idle while its trial's report is decided on


@dataclass(frozen=True)
class Measured:
    """What measuring found.

    Attributes:
        cost: for `trials.batching.passes.passes`.
        slots: trials that fill the device.
        tokens_per_second: of training, at the best pass size.
        bytes_per_token: memory of a pass beyond what the engine holds anyway; 0 where it could not be seen.
    """

    cost: PassCost
    slots: int
    tokens_per_second: float
    bytes_per_token: float


def measure(backbone: Backbone, train: Split, config: TrialConfig, memory_limit: int | None = None) -> Measured:
    """Time training passes of doubling size, and take the smallest that is about as fast a token as any.

    Args:
        backbone: the frozen model on its device.
        train: training rows; theirs is the typical length.
        config: of a typical trial: prompt length and batch size.
        memory_limit: bytes that the process (on a CPU) or the device's allocator may use.

    Raises:
        UserError: the limit leaves no room for a single row.
    """
    sample = np.random.default_rng(0).permutation(len(train))[:256].tolist()
    sources, targets, _ = train.batch(sample)
    behind = [len(t) if backbone.embeds_answers else 0 for t in targets]
    lengths = np.array([config.prompt_length + len(s) + n for s, n in zip(sources, behind, strict=True)])
    typical, answer = int(np.median(lengths)), max(map(len, targets))
    inside = _Inside(backbone, config)
    held = MOST_SLOTS if inside.shared else 1
    memory = _Memory(backbone.device, memory_limit)
    most_rows = max(1, held * config.batch_size)
    sizes: list[int] = []
    times: list[float] = []
    rows, flat = max(1, 256 // typical), 0
    _pass(backbone, rows, typical, answer, inside)  # the first pass of a process pays for libraries and threads
    while True:
        repeats = REPEATS if not times or times[-1] * 2 * REPEATS < SECONDS else 2
        times.append(min(_pass(backbone, rows, typical, answer, inside) for _ in range(repeats)))
        sizes.append(rows * typical)
        per_token = memory.risen() / sizes[-1]
        full = per_token * sizes[-1] * 2 > memory.room * SAFETY
        # On a large model one row takes its time and says nothing of many: what a pass costs by itself is shared.
        gains = len(times) == 1 or times[-1] * GAIN < times[-2] * sizes[-1] / sizes[-2]
        slow = times[-1] * 2 * REPEATS > SECONDS and not (gains and times[-1] * 2 < LONGEST)
        flat = 0 if gains else flat + 1
        if full or slow or flat == FLAT or rows * 2 > most_rows:
            break
        rows *= 2
    if memory_limit is not None and per_token * int(lengths.max()) > memory.room:
        needed = (memory_limit - memory.room + per_token * int(lengths.max())) / 2**30
        raise UserError(
            [f"--memory-limit {memory_limit / 2**30:g}: one row needs {needed:.1f} GiB; allow at least that"]
        )
    rates = np.array(sizes) / np.array(times)
    best = int(np.flatnonzero(rates * GAIN >= rates.max())[0])
    most = sizes[best]
    if per_token:
        most = int(min(most, memory.room * SAFETY / per_token))
    rate = float(rates[best])
    slope, fixed = np.polyfit(sizes, times, 1, w=1 / np.array(times)) if len(sizes) > 1 else (1 / rate, 0.0)
    cost = PassCost(int(np.clip(fixed / max(slope, 1e-12), 16, most)), max(most, 64), backbone.grain)
    of_a_trial = float(lengths.mean()) * config.batch_size
    slots = int(np.clip(-(-most // of_a_trial), min(FEWEST_SLOTS, held), held))
    return Measured(cost, slots, rate, per_token)


class _Inside:
    """What trials change inside the backbone: time and memory that passes need, for their gradients as well.

    Attributes:
        shared: whether trials share passes; else one has all rows.
    """

    def __init__(self, backbone: Backbone, config: TrialConfig) -> None:
        method = get_method(config.method)
        self.shared = method.shares_passes(backbone.facts.lane)
        self._backbone, self._batch = backbone, config.batch_size
        self._method: MethodModule | None = None
        self._updates: WeightUpdates | None = None
        if config.inner:
            self._method = make_method(config, backbone.surroundings(1)).to(backbone.device)
            if not self.shared:
                alone = {name: p.detach()[None] for name, p in self._method.named_parameters()}
                self._updates = WeightUpdates(backbone, self._method, alone, gradients=True)

    def applied(self, rows: int) -> AbstractContextManager[None]:
        """Around a pass of so many rows, of as many trials as bring them."""
        if self._method is None:
            return nullcontext()
        if self._updates is not None:
            return self._updates.applied()
        methods = [self._method] * -(-rows // self._batch)
        updates = LowRankUpdates(self._backbone, [Group(range(len(methods)), methods)], methods)
        return updates.applied(np.arange(rows) // self._batch)


def _pass(backbone: Backbone, rows: int, length: int, answer: int, inside: _Inside) -> float:
    """Seconds of one training pass over made-up rows."""
    device = backbone.device
    x = torch.zeros(rows, length, backbone.facts.width, device=device).normal_().requires_grad_()
    starts = torch.full((rows,), length - (answer if backbone.embeds_answers else 0), device=device)
    targets = torch.full((rows, answer), 1, device=device)
    inputs = Inputs(x, torch.full((rows,), length, device=device), starts)
    applied = inside.applied(rows)
    wait(device)
    started = time.perf_counter()
    dropout = Dropout(torch.arange(rows, dtype=torch.int32, device=device))
    with applied:
        backbone.token_losses(inputs, targets, dropout).sum().backward()
    wait(device)
    return time.perf_counter() - started


class _Memory:
    """What a device has to give beside what is held already, and how much of it passes have needed.

    Attributes:
        room: bytes.
    """

    def __init__(self, device: torch.device, limit: int | None) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.before = float(torch.cuda.memory_allocated(device))
            free = float(torch.cuda.mem_get_info(device)[0])
            self.room = free if limit is None else min(free, limit - self.before)
        else:
            forget_peak()
            self.before = float(peak())
            self.room = float(psutil.virtual_memory().available) if limit is None else limit - self.before

    def risen(self) -> float:
        """Bytes by which the peak is above where it began; freed memory that a process keeps counts."""
        if self.device.type == "cuda":
            return float(torch.cuda.max_memory_allocated(self.device)) - self.before
        return max(0.0, peak() - self.before)
