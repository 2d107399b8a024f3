"""Precisions that this device has units for: without them a measurement takes fifty times as long."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from trials.backbones.precision import Precision
from trials.stack.devices import why_slow


def with_units(precisions: Sequence[Precision], device: str = "cpu") -> list[Precision]:
    """Those of them that the device has units for; the others are named on stderr, and left out.

    Raises:
        SystemExit: with 2, where none is left.
    """
    slow = {precision: why for precision in precisions if (why := why_slow(precision, torch.device(device)))}
    for precision, why in slow.items():
        print(f"without {precision}: {why}", file=sys.stderr)
    left = [precision for precision in precisions if precision not in slow]
    if not left:
        print("error: there is nothing to measure; --precision float32 can be on any machine", file=sys.stderr)
        raise SystemExit(2)
    return left
