"""Imports without Python's cycle collector, which would look through every module's objects again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no cycles meanwhile: importing torch, Ray Tune or MLflow takes an eighth to a sixth less.

    Not for training: a cycle that holds a tensor would keep its memory.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
