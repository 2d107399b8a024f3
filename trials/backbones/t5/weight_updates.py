"""T5's forward pass with other query and value projections than the model's, everything else shared.

`trials.backbones.t5.forward` keeps weights as its products want them: queries, keys and values in one matrix, norms'
scales multiplied in. What is added to a projection goes the same way, so the few tensors that differ are made from
those at hand and the model itself is not needed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from trials.backbones.low_rank import LowRank
from trials.backbones.t5.forward import T5
from trials.backbones.t5.layers import Layer


def projections(t5: T5) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of the query and value projections of every attention, by transformers' names."""
    shape = (t5.heads * t5.width, t5.config.d_model)
    return {f"{name}.{part}": shape for name, _ in _attentions(t5) for part in ("q", "v")}


def updated_weights(t5: T5, additions: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `Layer` that come out different, float32; gradients flow back to the additions.

    Args:
        additions: to each of the `projections`, of its shape (outputs, inputs).
    """
    made: dict[str, Tensor] = {}
    for name, layer in _attentions(t5):
        q, v = additions[f"{name}.q"], additions[f"{name}.v"]
        if name.endswith("SelfAttention"):
            queries, keys, values = layer.qkv.float().chunk(3)
            scale = layer.scales[0]
            made[f"{name}.qkv"] = torch.cat([queries + q * scale, keys, values + v * scale])
        else:
            queries, _, values, _ = layer.cross
            made[f"{name}.q"] = queries.float() + q * layer.scales[1]
            made[f"{name}.v"] = values.float() + (v * layer.scales[2]).view_as(values)
    return made


def stacked_factors(t5: T5, factors: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Factors of trials at all projections, as the forward pass numbers them, and for inputs without norms' scales.

    Args:
        factors: A and B by the names of the `projections`, of shapes (K, r, inputs) and (K, outputs, r).

    Returns:
        Of shapes (K, n, r, inputs) and (K, n, outputs, r).
    """
    scales = []
    for name, layer in _attentions(t5):
        norms = layer.scales
        scales += [norms[0], norms[0]] if name.endswith("SelfAttention") else [norms[1], norms[2]]
    pairs = [factors[name] for name in projections(t5)]
    down, up = (torch.stack(parts, 1) for parts in zip(*pairs, strict=True))
    return down * torch.stack(scales)[:, None].float(), up


@contextmanager
def with_low_rank(t5: T5, low_rank: LowRank) -> Iterator[None]:
    """Add what the trials of a pass add while the context lasts."""
    t5.low_rank = low_rank
    try:
        yield
    finally:
        t5.low_rank = None


@contextmanager
def with_weights(t5: T5, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Compute with what `updated_weights` has made while the context lasts, in the precision of the products."""
    own = t5.encoder, t5.decoder
    try:
        t5.encoder, t5.decoder = (
            [_with(layer, f"{side}.block.{number}", weights, t5.dtype) for number, layer in enumerate(layers)]
            for side, layers in zip(("encoder", "decoder"), own, strict=True)
        )
        yield
    finally:
        t5.encoder, t5.decoder = own


def _with(layer: Layer, block: str, weights: Mapping[str, Tensor], dtype: torch.dtype) -> Layer:
    qkv = weights[f"{block}.layer.0.SelfAttention.qkv"].to(dtype)
    if not layer.cross:
        return replace(layer, qkv=qkv)
    _, keys, _, out = layer.cross
    q, v = (weights[f"{block}.layer.1.EncDecAttention.{part}"].to(dtype) for part in "qv")
    return replace(layer, qkv=qkv, cross=(q, keys, v, out))


def _attentions(t5: T5) -> Iterator[tuple[str, Layer]]:
    """Every attention's name in transformers' model, and the layer that it is in."""
    for side, layers in (("encoder", t5.encoder), ("decoder", t5.decoder)):
        for number, layer in enumerate(layers):
            yield f"{side}.block.{number}.layer.0.SelfAttention", layer
            if layer.cross:
                yield f"{side}.block.{number}.layer.1.EncDecAttention", layer
