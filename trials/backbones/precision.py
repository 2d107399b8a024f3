"""The precisions of a backbone's arithmetic. What is trained (prompts, offsets, optimizer) is float32 in each."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]

DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
