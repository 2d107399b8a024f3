"""What a device is good at: the precisions that it has units for; and that it adds in a fixed order where asked to."""

from __future__ import annotations

import os
import time
from functools import cache

import torch

from trials.backbones.precision import DTYPES, Precision, in_halves, products_as
from trials.errors import UserError

SIDE, SIDE_ON_CUDA = 256, 4096  # of the square matrices that are multiplied to see how fast a device is
FLOATS, FLOATS_ON_CUDA = 1 << 28, 1 << 38  # operations of a product of a model's shape, at most
REPEATS = 3  # of which the fastest counts
LONG = 0.2  # seconds after which none is repeated
SLOW = 0.5  # times float32's pace, below which a precision is refused


@cache
def pace(precision: Precision, device: torch.device, shape: tuple[int, int] | None = None) -> float:
    """How many times as fast as in float32 a device multiplies matrices: a tenth of a second to find out, once.

    Args:
        shape: of a model's matrix, features and hidden units; None: a square one.

    Measured, for what a processor without units for a precision does depends on the libraries, too: in bfloat16 it may
    be as fast as in float32, or fifty times slower.
    """
    return _seconds("float32", device, shape) / _seconds(precision, device, shape)


def has_units(precision: Precision, device: torch.device) -> bool:
    """Whether a device has units for a precision: without them it multiplies so slowly that nobody can want it."""
    return not in_halves(precision) or pace(precision, device) >= SLOW


def why_slow(precision: Precision, device: torch.device) -> str:
    """That a device has no units for a precision, and what that means, in words; empty where it has."""
    if has_units(precision, device):
        return ""
    times = 1 / pace(precision, device)
    return f"this {device.type.upper()} has no units for it and multiplies {times:.0f} times slower than in float32"


def refuse_slow(precision: Precision, device: torch.device) -> None:
    """Refuse a precision that a device has no units for.

    Raises:
        UserError: see `has_units`.
    """
    if why := why_slow(precision, device):
        remedy = "search in --precision float32, or on hosts that have them"
        raise UserError([f"--precision {precision}: {why}; {remedy}"])


def same_bits(wanted: bool, device: torch.device) -> None:
    """Have CUDA add in a fixed order from now on, or no longer: a prompt gets gradients from every row of a batch.

    It takes the ways that torch knows to be so; what has none warns. A processor adds in a fixed order as it is.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read with the first product of a process
        torch.use_deterministic_algorithms(wanted, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def wait(device: torch.device) -> None:
    """Until the device has done all that is queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _seconds(precision: Precision, device: torch.device, shape: tuple[int, int] | None = None) -> float:
    fast = device.type == "cuda"
    side = SIDE_ON_CUDA if fast else SIDE
    width, ff = shape or (side, side)
    most = (FLOATS_ON_CUDA if fast else FLOATS) // (2 * width * ff)
    rows = side if shape is None else min(max(16, most), 65_536 if fast else 1024)
    # A core's own seconds: what else the machine does must not decide, since a search goes by the answer for good.
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    rounded = torch.backends.cuda.matmul.allow_tf32 if fast else False
    products_as(precision, device)
    tokens = torch.ones(rows, width, dtype=DTYPES[precision], device=device)
    matrix = torch.ones(width, ff, dtype=DTYPES[precision], device=device)
    times: list[float] = []
    while len(times) <= REPEATS and (len(times) < 2 or sum(times) < LONG):  # the first may have to make its kernel
        wait(device)
        started = clock()
        tokens @ matrix
        wait(device)
        times.append(clock() - started)
    products_as("float32" if rounded else "float32-exact", device)
    return min(times[1:])
