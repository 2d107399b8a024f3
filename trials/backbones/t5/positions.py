"""T5's relative positions: the bucket of each distance between two tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def bucket(distance: Tensor, buckets: int, farthest: int, *, both_ways: bool) -> Tensor:
    """Raffel et al.'s relative position buckets: exact for small distances, logarithmic for larger ones.

    Args:
        distance: key's position minus query's, int64, any shape.
        buckets: how many there are. farthest: from here on all share the last.
        both_ways: whether later keys have buckets of their own (encoder) or are never seen (decoder).
    """
    if both_ways:
        buckets //= 2
        base = (distance > 0) * buckets
        distance = distance.abs()
    else:
        base = torch.zeros_like(distance)
        distance = (-distance).clamp(min=0)
    exact = buckets // 2
    log = (distance.clamp(min=1).float() / exact).log() / math.log(farthest / exact) * (buckets - exact)
    return base + torch.where(distance < exact, distance, (exact + log.long()).clamp(max=buckets - 1))
