"""The precisions of a backbone's arithmetic. What is trained (prompts, offsets, optimizer) is float32 in each."""

from __future__ import annotations

import torch

from trials.config import Precision

__all__ = ["DTYPES", "Precision", "in_halves", "products_as"]

DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "float32-exact": torch.float32,
    "bfloat16": torch.bfloat16,
}


def in_halves(precision: Precision) -> bool:
    """Whether a backbone's weights take two bytes."""
    return DTYPES[precision].itemsize == 2


def products_as(precision: Precision, device: torch.device) -> None:
    """Let this process multiply float32 numbers on a device as a precision wants it, from now on.

    On CUDA ``float32`` multiplies in TF32: numbers keep float32's range and are rounded to 10 bits on their way into a
    product, whose sums are float32; an A100 is eight times faster so (NVIDIA's A100 whitepaper). ``float32-exact``
    rounds nothing, and neither is any different anywhere else.
    """
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = precision == "float32"
