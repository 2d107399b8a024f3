"""How large an adapter's offsets of token embeddings are beside the embeddings themselves (ADePT's Table 2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trials.export.adapters import Adapter

TOKENS = 4_096
"""Tokens that are looked at together."""


@dataclass(frozen=True)
class Moments:
    """Mean and variance of absolute values, over all elements of all tokens."""

    mean: float
    variance: float


@torch.no_grad()
def moments(adapter: Adapter, rows: Iterable[Sequence[int]]) -> tuple[Moments, Moments]:
    """Of the embeddings of all tokens of some rows, and of an adapter's offsets of them.

    Args:
        rows: ids of tokens, without padding.
    """
    embedded, offset = _Sums(), _Sums()
    ids: list[int] = []
    places: list[int] = []
    for row in rows:
        ids.extend(int(token) for token in row)
        places.extend(range(len(row)))
        if len(ids) >= TOKENS:
            _add(adapter, ids, places, embedded, offset)
            ids, places = [], []
    if ids:
        _add(adapter, ids, places, embedded, offset)
    return embedded.moments, offset.moments


def _add(adapter: Adapter, ids: list[int], places: list[int], embedded: _Sums, offset: _Sums) -> None:
    device = adapter.backbone.device
    tokens, positions = torch.tensor([ids], device=device), torch.tensor([places], device=device)
    embeddings = adapter.backbone.embedding[tokens].float()
    embedded.add(embeddings)
    offset.add(adapter.method.offset(embeddings, positions, tokens) - embeddings)


class _Sums:
    """Running sums of absolute values and their squares, in float64."""

    def __init__(self) -> None:
        self.count, self.sum, self.squares = 0, 0.0, 0.0

    def add(self, values: Tensor) -> None:
        sizes = values.abs().double()
        self.count += sizes.numel()
        self.sum += float(sizes.sum())
        self.squares += float(sizes.square().sum())

    @property
    def moments(self) -> Moments:
        mean = self.sum / self.count
        return Moments(mean, max(0.0, self.squares / self.count - mean**2))
