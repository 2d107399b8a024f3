"""A T5 block's weights as the forward pass wants them: norms' scales multiplied in, projections together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu}
"""T5's own, beside what transformers has: importing that takes longer than importing torch."""


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """A feed-forward layer's activation, by its name in a config."""
    if name in ACTIVATIONS:
        return ACTIVATIONS[name]
    from transformers.activations import ACT2FN

    return ACT2FN[name]


@dataclass
class Layer:
    """One block's weights, norms folded in; projections map features to outputs as (outputs, features).

    Attributes:
        qkv: queries, keys and values, shape (3 inner, d). out: shape (d, inner).
        bias: relative position bias, shape (buckets, heads); None where the first layer's serves all.
        cross: queries (inner, d), keys and values (heads, head width, d), out (d, inner); empty in an encoder.
        up: shape (d_ff, d), or (2 d_ff, d) where gated. down: shape (d, d_ff).
        scales: folded into ``qkv``; in a decoder also into the queries and into the keys and values of ``cross``.
    """

    qkv: Tensor
    out: Tensor
    bias: Tensor | None
    cross: tuple[Tensor, ...]
    up: Tensor
    down: Tensor
    scales: tuple[Tensor, ...]

    @classmethod
    def of(cls, block: Any, config: Any, dtype: torch.dtype, encoder_scale: Tensor) -> Layer:
        """The layer of one block of transformers' model.

        Args:
            encoder_scale: of the encoder's last norm, shape (d,), whose states cross-attention reads.
        """
        sub = list(block.layer)
        attention, dense = sub[0].SelfAttention, sub[-1].DenseReluDense
        cross: tuple[Tensor, ...] = ()
        scales: tuple[Tensor, ...] = (sub[0].layer_norm.weight,)
        if len(sub) == 3:
            a = sub[1].EncDecAttention
            heads = [(w.weight * encoder_scale).view(config.num_heads, config.d_kv, -1).to(dtype) for w in (a.k, a.v)]
            cross = ((a.q.weight * sub[1].layer_norm.weight).to(dtype), *heads, a.o.weight.to(dtype))
            scales = (*scales, sub[1].layer_norm.weight, encoder_scale)
        projections = torch.cat([attention.q.weight, attention.k.weight, attention.v.weight])
        up = torch.cat([dense.wi_0.weight, dense.wi_1.weight]) if config.is_gated_act else dense.wi.weight
        return cls(
            qkv=(projections * sub[0].layer_norm.weight).to(dtype),
            out=attention.o.weight.to(dtype),
            bias=attention.relative_attention_bias.weight if attention.has_relative_attention_bias else None,
            cross=cross,
            up=(up * sub[-1].layer_norm.weight).to(dtype),
            down=dense.wo.weight.to(dtype),
            scales=scales,
        )

    def to(self, dtype: torch.dtype) -> Layer:
        """With its matrices in another precision."""
        qkv, out, up, down = (weight.to(dtype) for weight in (self.qkv, self.out, self.up, self.down))
        return replace(self, qkv=qkv, out=out, up=up, down=down, cross=tuple(w.to(dtype) for w in self.cross))
