"""Rows of unequal length as one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trials.batching.transfers import sent


def padded(
    rows: Sequence[Any], value: int, device: torch.device, dtype: Any = np.int64, length: int | None = None
) -> Tensor:
    """Rows of whole numbers below each other, filled up on the right, shape (rows, longest or ``length``)."""
    out = np.full((len(rows), length or max(map(len, rows))), value, dtype=dtype)
    for line, row in zip(out, rows, strict=True):
        line[: len(row)] = row
    return sent(torch.from_numpy(out), device)
