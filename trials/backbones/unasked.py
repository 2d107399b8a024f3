"""Keeps transformers from reading a mask on an accelerator, which would have to finish all its work first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

LOOKS = ("_ignore_causal_mask_sdpa", "_ignore_bidirectional_mask_sdpa")
"""Private functions of transformers (read in 5.x) that look whether a mask of padding hides anything at all, in every
pass: where it does not, attention runs without a mask. Answered with no, it runs with the whole mask, which says the
same. A version without them looks as it likes; tests on the device ``meta`` would fail then."""


@contextmanager
def unasked(device: torch.device) -> Iterator[None]:
    """While this lasts no mask is looked at, unless the device is the processor itself."""
    if device.type == "cpu":
        yield
        return
    from transformers import masking_utils  # it is there with the model; an import of its own takes a second

    own: dict[str, Any] = {name: getattr(masking_utils, name, None) for name in LOOKS}
    if None in own.values():
        yield
        return
    for name in own:
        setattr(masking_utils, name, _no)
    try:
        yield
    finally:
        for name, function in own.items():
            setattr(masking_utils, name, function)


def _no(*_: Any, **__: Any) -> bool:
    return False
