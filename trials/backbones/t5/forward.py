"""T5's forward pass, written for frozen weights and short answers.

The numbers are those of transformers' T5, mT5 and UMT5 (tests compare both); what differs is the work:

- Weights that follow a layer norm are multiplied by its scale once, when they are loaded; queries, keys and values come
  from one product, and so do both halves of a gated feed-forward layer.
- An answer has a handful of tokens. Its cross-attention multiplies the projections of keys and values into the queries
  and contexts instead of projecting every source token in every decoder layer (the same product in another order).
- Nothing is computed for the gradients of weights, and what surrounds the products has backward passes of its own
  (`trials.backbones.t5.functions`).
- Dropout takes its masks from the rows' keys (`trials.batching.dropout`).

The residual stream is float32; matrix products, attention and activations are in the precision asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trials.backbones.low_rank import Cut, LowRank, added_to_heads, linear
from trials.backbones.t5 import places
from trials.backbones.t5.functions import AddNorm, BatchedAttention, Heads, ReluDropout, SelfAttention
from trials.backbones.t5.layers import Layer, activation
from trials.backbones.t5.positions import bucket
from trials.batching.dropout import Dropout, keep
from trials.batching.packing import Packing
from trials.batching.passes import ANY, COARSE, Grain

BLOCKED = -1e9  # added to the score of a key that must not be seen; exp() makes it exactly 0


@dataclass
class Encoded:
    """An encoder's result.

    Attributes:
        states: after the last norm without its scale, shape (rows, length, d).
        blocked: `BLOCKED` at padding, else 0, shape (rows, 1, 1, length).
    """

    states: Tensor
    blocked: Tensor

    def rows(self, numbers: Tensor) -> Encoded:
        """Some of the rows."""
        return Encoded(self.states[numbers], self.blocked[numbers])


@dataclass
class Past:
    """Keys and values of the answer so far by layer, each of shape (rows, heads, tokens, head width)."""

    layers: list[tuple[Tensor, Tensor]] = field(default_factory=list)


class T5:
    """Encoder and decoder over a loaded model's weights.

    Args:
        model: T5, mT5 or UMT5 for conditional generation; not needed afterwards.
        dtype: of products and activations.
    """

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        config = self.config = model.config
        self.dtype, self.heads, self.width = dtype, config.num_heads, config.d_kv
        self.eps, self.p = config.layer_norm_epsilon, config.dropout_rate
        self.folded = self.width  # answer tokens up to which cross-attention multiplies its projections into queries
        self.activation = activation(config.dense_act_fn)
        self.encoder_scale = model.encoder.final_layer_norm.weight
        self.encoder, self.decoder = (
            [Layer.of(block, config, dtype, self.encoder_scale) for block in side.block]
            for side in (model.encoder, model.decoder)
        )
        self.tokens = model.decoder.embed_tokens.weight
        scaled = getattr(config, "scale_decoder_outputs", config.model_type == "umt5")
        scale = model.decoder.final_layer_norm.weight * (config.d_model**-0.5 if scaled else 1.0)
        self.scored = model.lm_head.weight * scale
        self.vocabulary = self.scored.to(dtype)
        self.low_rank: LowRank | None = None  # what the trials of a pass add (`trials.backbones.t5.weight_updates`)
        self.columns = 0, 2 * self.heads * self.width  # where queries and values begin in ``qkv``, which they add to

    def encode(self, x: Tensor, lengths: Tensor, dropout: Dropout | None = None) -> Encoded:
        """Embedded rows through the encoder.

        Args:
            x: prompt, tokens, padding; float32, shape (rows, length, d).
            lengths: prompt and tokens in each row, shape (rows,).
            dropout: masks of the rows; None in evaluation.
        """
        line = torch.arange(x.shape[1], device=x.device)
        blocked = (line >= lengths[:, None]).float().mul_(BLOCKED).to(self.dtype)[:, None, None]
        packing = Packing(lengths, x.shape[1], self.grain)
        drop, hidden = packing.dropout(dropout), packing.of_blocks(blocked)
        if drop is not None and self.gathers:
            drop.prepare(places.encoder(self.config, x.shape[1]), self.p, self.dtype)
        x, y = self._normed(self._dropped(packing.packed(x), drop, 0))
        cut = self.low_rank.cut_at(packing.starts) if self.low_rank else None
        added: list[Tensor] = []
        for number, layer in enumerate(self.encoder):
            if layer.bias is not None:
                bias = self._bias(layer.bias, line - line[:, None], both_ways=True)
                parts = (bias[:, :, : block.length, : block.length] for block in packing.blocks)
                added = [part if b is None else part + b for part, b in zip(parts, hidden, strict=True)]
            site = 8 * number
            masks, qkv = self._masks(packing, drop, site + 1), linear(y, layer.qkv, cut, 2 * number, self.columns)
            if self.gathers:
                sizes, mask = (packing.rows, packing.longest, self.heads), masks[0] if masks else None
                values = BatchedAttention.apply(qkv, sizes, added[0], mask)
            else:
                values = SelfAttention.apply(qkv, packing, added, masks, self.heads)
            x, y = self._normed(x, F.linear(values, layer.out), drop, site + 2)
            x, y = self._normed(x, self._fed_forward(y, layer, drop, site), drop, site + 4)
        return Encoded(packing.unpacked(self._dropped(y, drop, 7)), blocked)

    @property
    def grain(self) -> Grain:
        """See `Backbone.grain`. On a CPU rows are packed."""
        if self.tokens.device.type != "cpu":
            return ANY
        return Grain(length=COARSE.length if self.dtype == torch.bfloat16 else 1, packed=True)

    @property
    def gathers(self) -> bool:
        """Whether work is gathered into few launches, where each has its price; a processor's caches want pieces."""
        return self.tokens.device.type != "cpu"

    def _masks(self, packing: Packing, dropout: Dropout | None, site: int) -> list[Tensor] | None:
        """Of the attention weights of each block, shape (rows, heads, length, length)."""
        if dropout is None or self.p == 0:
            return None
        if (made := dropout.made(site)) is not None:
            return [made]
        words = dropout.words(site)
        shapes = ((words[b.row : b.row + b.rows], (self.heads, b.length, b.length)) for b in packing.blocks)
        return [keep(of_rows, shape, self.p, self.dtype) for of_rows, shape in shapes]

    def decode(
        self,
        encoded: Encoded,
        tokens: Tensor,
        depths: Tensor,
        visible: Tensor,
        dropout: Dropout | None = None,
        past: Past | None = None,
    ) -> Tensor:
        """Decoder states of answer tokens.

        Args:
            tokens: ids, the start token first, shape (rows, n).
            depths: each token's position in its answer, those in ``past`` before them, shape (past + n,).
            visible: which tokens each one sees, shape (n, past + n); the lower triangle for an ordinary answer.
            past: extended by these tokens if given.

        Returns:
            After the last norm without its scale, for `logits`, shape (rows, n, d).
        """
        n, length = tokens.shape[1], encoded.states.shape[1]
        if dropout is not None and self.gathers:
            dropout.prepare(places.decoder(self.config, n, len(depths), length), self.p, self.dtype)
        x, y = self._normed(self._dropped(F.embedding(tokens, self.tokens).float(), dropout, 1000))
        bias, cut = x.new_empty(0), self.low_rank.cut(n) if self.low_rank else None
        for number, layer in enumerate(self.decoder):
            if layer.bias is not None:
                bias = self._bias(layer.bias, depths - depths[-n:, None], both_ways=False)
                bias = bias.masked_fill(~visible, BLOCKED)
            site = 1000 + 16 * number
            first = 2 * len(self.encoder) + 4 * number
            q, k, v = Heads.apply(linear(y, layer.qkv, cut, first, self.columns), self.heads)
            if past is not None:
                if len(past.layers) > number:
                    k, v = (torch.cat(pair, dim=2) for pair in zip(past.layers[number], (k, v), strict=True))
                past.layers[number:] = [(k, v), *past.layers[number + 1 :]]
            values = self._attention(q, k, v, bias, dropout, site + 1).transpose(1, 2).flatten(2)
            x, y = self._normed(x, F.linear(values, layer.out), dropout, site + 2)
            crossed = self._cross_attended(y, encoded, layer, dropout, site + 8, cut, first + 2)
            x, y = self._normed(x, crossed, dropout, site + 10)
            x, y = self._normed(x, self._fed_forward(y, layer, dropout, site), dropout, site + 4)
        return self._dropped(y, dropout, 999)

    def logits(self, states: Tensor) -> Tensor:
        """Scores of the vocabulary, float32, shape (..., vocabulary)."""
        return F.linear(states, self.vocabulary).float()

    def exact_logits(self, states: Tensor) -> Tensor:
        """`logits` to choose answers by: not rounded to bfloat16, where answers come out equal and the first is taken.

        On debsec that costs half a point of accuracy.
        """
        return F.linear(states.float(), self.scored)

    def _bias(self, table: Tensor, distance: Tensor, *, both_ways: bool) -> Tensor:
        """Shape (1, heads, queries, keys)."""
        c = self.config
        places = bucket(
            distance, c.relative_attention_num_buckets, c.relative_attention_max_distance, both_ways=both_ways
        )
        return F.embedding(places, table).to(self.dtype).permute(2, 0, 1).contiguous()[None]

    def _normed(
        self, x: Tensor, added: Tensor | None = None, dropout: Dropout | None = None, site: int = 0
    ) -> tuple[Tensor, Tensor]:
        """The residual stream with an output added to it, of which some is dropped, and its norm."""
        mask = None
        if added is not None and dropout is not None and self.gathers and self.p > 0:
            mask = dropout.mask(added, self.p, site)
        elif added is not None:
            added = self._dropped(added, dropout, site)
        return AddNorm.apply(x, added, mask, self._epsilon if self.gathers else self.eps, self.dtype)

    @cached_property
    def _epsilon(self) -> Tensor:
        return torch.full((1,), self.eps, device=self.tokens.device)

    def _attention(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, dropout: Dropout | None, site: int) -> Tensor:
        """Attended values, shape (rows, heads, queries, head width); T5 does not scale the scores."""
        rows, heads, queries, _ = q.shape
        added = bias.expand(rows, heads, queries, -1).flatten(0, 1)
        weights = torch.baddbmm(added, q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2)).softmax(-1)
        weights = self._dropped(weights.view(rows, heads, queries, -1), dropout, site)
        return (weights.flatten(0, 1) @ v.flatten(0, 1)).view_as(q)

    def _cross_attended(
        self, y: Tensor, to: Encoded, layer: Layer, dropout: Dropout | None, site: int, cut: Cut | None, first: int
    ) -> Tensor:
        query, key, value, out = layer.cross
        rows, n, d = y.shape
        q = linear(y, query, cut, first).view(rows, n, self.heads, self.width)
        states = to.states
        if n <= self.folded:  # fewer multiplications than projecting the whole source, and the same product
            q = torch.einsum("rnhw,hwd->rnhd", q, key).reshape(rows, n * self.heads, d)
            scores = (q @ states.transpose(1, 2)).view(rows, n, self.heads, -1)
            weights = self._dropped((scores + to.blocked).softmax(-1), dropout, site + 1)
            context = (weights.flatten(1, 2) @ states).view(rows, n, self.heads, d)
            values = torch.einsum("rnhd,hwd->rnhw", context, value)
            values = values if cut is None else values + added_to_heads(context, cut, first + 1)
        else:
            k = F.linear(states, key.flatten(0, 1))
            v = linear(states, value.flatten(0, 1), cut and cut.rows.cut(states.shape[1]), first + 1)
            k, v = (x.view(rows, -1, self.heads, self.width) for x in (k, v))
            scores = torch.einsum("rnhw,rlhw->rnhl", q, k)
            weights = self._dropped((scores + to.blocked).softmax(-1), dropout, site + 1)
            values = torch.einsum("rnhl,rlhw->rnhw", weights, v)
        return F.linear(values.flatten(2), out)

    def _fed_forward(self, y: Tensor, layer: Layer, dropout: Dropout | None, site: int) -> Tensor:
        h = F.linear(y, layer.up)
        if self.config.is_gated_act:
            gate, h = h.chunk(2, dim=-1)
            h = self._dropped(self.activation(gate) * h, dropout, site + 3)
        elif self.config.dense_act_fn == "relu":
            mask = None if dropout is None or self.p == 0 else dropout.mask(h, self.p, site + 3)
            h = ReluDropout.apply(h, mask, self.p)
        else:
            h = self._dropped(self.activation(h), dropout, site + 3)
        return F.linear(h, layer.down)

    def _dropped(self, x: Tensor, dropout: Dropout | None, site: int) -> Tensor:
        return x if dropout is None else dropout(x, self.p, site)
