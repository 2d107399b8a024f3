"""To a device and back without waiting for it: it has work queued meanwhile, and a wait would leave it idle after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Values of the processor's memory on a device.

    A copy to an accelerator is queued like a kernel only from page-locked memory: from any other the driver may first
    let the queue run empty (CUDA's API synchronisation behavior).
    """
    if device.type == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


class Reading:
    """Values on their way from a device to the processor's memory: asked for now, looked at later.

    Looking waits for what was queued before this was made, and not for what came after.
    """

    def __init__(self, values: Tensor) -> None:
        self._values, self._arrived = values, None
        if values.device.type == "cuda":
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record(torch.cuda.current_stream(values.device))

    def look(self) -> Any:
        """The values as a number, or as lists of them."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._values.tolist()


def one_behind(items: Iterable[T]) -> Iterator[T]:
    """Each item after the next one has been made, so that a device has work while the results of one are looked at."""
    before: list[T] = []
    for item in items:
        yield from before
        before = [item]
    yield from before
