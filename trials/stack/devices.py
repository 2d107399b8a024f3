"""What a device is good at: the precisions that it has units for."""

from __future__ import annotations

import time
from functools import cache

import torch

from trials.backbones.precision import DTYPES, Precision
from trials.errors import UserError

SIDE, SIDE_ON_CUDA = 256, 4096  # of the square matrices that are multiplied to see how fast a device is
REPEATS = 3  # of which the fastest counts
SLOW, FAST = 0.5, 1.5  # times float32's pace: below the one a precision is refused, above the other it is worth a word


@cache
def pace(precision: Precision, device: torch.device) -> float:
    """How many times as fast as in float32 a device multiplies matrices: a tenth of a second to find out, once.

    Measured, for what a processor without units for a precision does depends on the libraries, too: in bfloat16 it may
    be as fast as in float32, or fifty times slower.
    """
    return _seconds("float32", device) / _seconds(precision, device)


def has_units(precision: Precision, device: torch.device) -> bool:
    """Whether a device has units for a precision: without them it multiplies so slowly that nobody can want it."""
    return precision == "float32" or pace(precision, device) >= SLOW


def refuse_slow(precision: Precision, device: torch.device) -> None:
    """Refuse a precision that a device has no units for.

    Raises:
        UserError: see `has_units`.
    """
    if not has_units(precision, device):
        times = 1 / pace(precision, device)
        problem = (
            f"--precision {precision}: this {device.type.upper()} has no units for it and multiplies {times:.0f} "
            "times slower than in float32; leave --precision out"
        )
        raise UserError([problem])


def hint(precision: Precision, device: torch.device) -> str:
    """What a user may want to know of a device that could be faster; empty where there is nothing."""
    if precision == "float32" and (found := pace("bfloat16", device)) > FAST:
        return f"--precision bfloat16 would multiply {found:.1f} times faster here"
    return ""


def wait(device: torch.device) -> None:
    """Until the device has done all that is queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _seconds(precision: Precision, device: torch.device) -> float:
    side = SIDE_ON_CUDA if device.type == "cuda" else SIDE
    matrix = torch.ones(side, side, dtype=DTYPES[precision], device=device)
    times = []
    for _ in range(REPEATS + 1):  # the first may have to make its kernel
        wait(device)
        started = time.perf_counter()
        matrix @ matrix
        wait(device)
        times.append(time.perf_counter() - started)
    return min(times[1:])
