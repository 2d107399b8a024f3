"""T5's forward pass in fused kernels: a third of the launches, and masks that are never kept. For accelerators.

The products are those of `trials.backbones.t5.forward`; what stands between them is one kernel each way
(`trials.backbones.fused`). Rows are padded to one length. Passes to which trials add products of low rank are computed
operation by operation, as there.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from trials.backbones.fused.functions import (
    NONE,
    AddNorm,
    CrossAttention,
    Dropped,
    Masks,
    ReluDropped,
    SelfAttention,
    SoftmaxDropped,
)
from trials.backbones.t5.forward import BLOCKED, T5, Encoded, Past
from trials.backbones.t5.functions import Heads
from trials.backbones.t5.layers import Layer
from trials.batching.dropout import Dropout


class FusedT5(T5):
    """Shares a `T5`'s weights.

    Args:
        plain: the same model, computed operation by operation.
    """

    def __init__(self, plain: T5) -> None:
        self.__dict__.update(plain.__dict__)

    def encode(self, x: Tensor, lengths: Tensor, dropout: Dropout | None = None) -> Encoded:
        """See `T5.encode`."""
        if self.low_rank is not None:
            return super().encode(x, lengths, dropout)
        rows, length, _ = x.shape
        masks, sizes = self._masks_of(dropout), (rows, length, self.heads)
        line = torch.arange(length, device=x.device)
        blocked = (line >= lengths[:, None]).to(self.dtype).mul_(BLOCKED)
        x, y = self._added(None, x.flatten(0, 1), masks, 0)
        bias = None
        for number, layer in enumerate(self.encoder):
            if layer.bias is not None:
                bias = self._bias(layer.bias, line - line[:, None], both_ways=True)
            site = 8 * number
            values = SelfAttention.apply(F.linear(y, layer.qkv), sizes, bias, blocked, masks, site + 1)
            x, y = self._added(x, F.linear(values, layer.out), masks, site + 2)
            x, y = self._added(x, self._fed(y, layer, masks, site + 3), masks, site + 4)
        return Encoded(self._kept(y, masks, 7).view(rows, length, -1), blocked[:, None, None])

    def decode(
        self,
        encoded: Encoded,
        tokens: Tensor,
        depths: Tensor,
        visible: Tensor,
        dropout: Dropout | None = None,
        past: Past | None = None,
    ) -> Tensor:
        """See `T5.decode`."""
        if self.low_rank is not None:
            return super().decode(encoded, tokens, depths, visible, dropout, past)
        rows, n = tokens.shape
        masks, sizes = self._masks_of(dropout), (rows, n, self.heads)
        x, y = self._added(None, F.embedding(tokens, self.tokens).float().flatten(0, 1), masks, 1000)
        bias = x.new_empty(0)
        for number, layer in enumerate(self.decoder):
            if layer.bias is not None:
                bias = self._bias(layer.bias, depths - depths[-n:, None], both_ways=False)
                bias = bias.masked_fill(~visible, BLOCKED)
            site = 1000 + 16 * number
            if past is None:
                values = SelfAttention.apply(F.linear(y, layer.qkv), sizes, bias, None, masks, site + 1)
            else:
                values = self._attended_with_past(y.view(rows, n, -1), layer, bias, past, number)
            x, y = self._added(x, F.linear(values, layer.out), masks, site + 2)
            x, y = self._added(x, self._crossed(y, encoded, layer, masks, site + 8), masks, site + 10)
            x, y = self._added(x, self._fed(y, layer, masks, site + 3), masks, site + 4)
        return self._kept(y, masks, 999).view(rows, n, -1)

    def _masks_of(self, dropout: Dropout | None) -> Masks:
        return NONE if dropout is None or self.p == 0 else Masks(dropout.keys, self.p)

    def _added(self, x: Tensor | None, added: Tensor, masks: Masks, site: int) -> tuple[Tensor, Tensor]:
        """The residual stream with an output added to it, of which some is dropped, and its norm."""
        return AddNorm.apply(x, added, masks, site, self.eps, self.dtype)

    def _kept(self, x: Tensor, masks: Masks, site: int) -> Tensor:
        return x if masks.keys is None else Dropped.apply(x, masks, site)

    def _fed(self, y: Tensor, layer: Layer, masks: Masks, site: int) -> Tensor:
        """The feed-forward layer, of tokens of shape (tokens, d)."""
        h = F.linear(y, layer.up)
        if self.config.is_gated_act:
            gate, h = h.chunk(2, dim=-1)
            h = self._kept(self.activation(gate) * h, masks, site)
        elif self.config.dense_act_fn == "relu":
            h = ReluDropped.apply(h, masks, site)
        else:
            h = self._kept(self.activation(h), masks, site)
        return F.linear(h, layer.down)

    def _attended_with_past(self, y: Tensor, layer: Layer, bias: Tensor, past: Past, number: int) -> Tensor:
        """Of tokens that come one by one, shape (tokens, inner)."""
        q, k, v = Heads.apply(F.linear(y, layer.qkv), self.heads)
        if len(past.layers) > number:
            k, v = (torch.cat(pair, dim=2) for pair in zip(past.layers[number], (k, v), strict=True))
        past.layers[number:] = [(k, v), *past.layers[number + 1 :]]
        weights = SoftmaxDropped.apply(q @ k.transpose(2, 3), bias, None, NONE, 0)
        return (weights @ v).transpose(1, 2).flatten(2).flatten(0, 1)

    def _crossed(self, y: Tensor, encoded: Encoded, layer: Layer, masks: Masks, site: int) -> Tensor:
        """Cross-attention of tokens of shape (tokens, d)."""
        query, key, value, out = layer.cross
        blocked, states = encoded.blocked.flatten(1), encoded.states
        q = F.linear(y, query)
        if len(y) <= self.folded * len(states) and not (key.requires_grad or value.requires_grad):
            values = CrossAttention.apply(q, states.contiguous(), key, value, blocked, masks, site + 1)
            return F.linear(values, out)
        q = q.view(len(states), -1, self.heads, self.width)
        k, v = (F.linear(states, w.flatten(0, 1)).view(len(states), -1, *w.shape[:2]) for w in (key, value))
        scores = torch.einsum("rnhw,rlhw->rnhl", q, k)
        weights = SoftmaxDropped.apply(scores, None, blocked, masks, site + 1)
        return F.linear(torch.einsum("rnhl,rlhw->rnhw", weights, v).flatten(2).flatten(0, 1), out)
