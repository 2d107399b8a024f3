"""Every random number of a trial is a function of (seed, purpose, step).

No generator lives from one step to the next. A trial therefore draws the same numbers alone, beside any neighbours,
and after a restart at any step, with no generator state to save.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import torch


def number(seed: int, purpose: str, step: int = 0) -> int:
    """63 bits for one purpose of a trial at one step."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, purpose: str, step: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for one purpose (``order``, ``initialisation``) of a trial at one step."""
    generator = torch.Generator(device=device)
    generator.manual_seed(number(seed, purpose, step))
    return generator


@lru_cache(maxsize=8)
def epoch_order(seed: int, epoch: int, size: int) -> torch.Tensor:
    """The order of the training rows in one pass, shape (size,); not to be written to.

    Kept for the next steps of the pass: the trials of a search share a seed and are in one pass or two, and drawing 360
    thousand rows anew for every trial at every step would take longer than a small step itself. 8 bytes a row.
    """
    return torch.randperm(size, generator=stream(seed, "order", epoch))


def batch_rows(seed: int, step: int, size: int, batch_size: int) -> list[int]:
    """Row numbers of the batch of update ``step`` (from 0).

    Each pass over the data has its own order; its last batch holds what is left, as the Hugging Face Trainer does.
    """
    per_epoch = -(-size // batch_size)
    epoch, place = divmod(step, per_epoch)
    order = epoch_order(seed, epoch, size)
    return order[place * batch_size : (place + 1) * batch_size].tolist()
