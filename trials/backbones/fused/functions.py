"""The fused kernels with their gradients, and the attention of rows that are all padded to one length.

Numbers are those of `trials.backbones.t5.functions`, but that a mask is never kept: a backward pass makes it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trials.backbones.fused.operators import of


@dataclass(frozen=True)
class Masks:
    """Dropout of a pass.

    Attributes:
        keys: one int32 word for each row (`trials.batching.dropout.row_keys`); None: nothing is dropped.
        p: the probability.
    """

    keys: Tensor | None = None
    p: float = 0.0

    def at(self, site: int) -> tuple[Tensor | None, int, float]:
        """A place of the network, as the operators take it."""
        return self.keys, site, self.p


NONE = Masks()


class AddNorm(torch.autograd.Function):
    """Adds an output, masked, to the residual stream, and normalises the sum by T5's layer norm without its scale."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor | None, added: Tensor, masks: Masks, site: int, eps: float, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """The sum, float32, and its norm in ``dtype``, both of the shape of ``added``.

        Args:
            x: float32, shape (tokens, d); None at the start of the stream.
            added: of any precision, that shape, row by row.
            masks, site: of dropout for ``added``.
        """
        ctx.set_materialize_grads(False)
        total, y, inverse = of(added).add_norm(x, added.contiguous(), *masks.at(site), eps, dtype)
        ctx.save_for_backward(y, inverse)
        ctx.masks, ctx.site, ctx.dtype = masks, site, added.dtype
        return total, y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Of ``x`` and of ``added``."""
        along, g = gradients
        y, inverse = ctx.saved_tensors
        stream, added = ctx.needs_input_grad[:2]
        if g is None:
            g = torch.zeros_like(y)
        own = added and (not stream or ctx.masks.keys is not None or ctx.dtype != torch.float32)
        of_x, of_added = of(y).add_norm_backward(
            along, g.contiguous(), y, inverse, *ctx.masks.at(ctx.site), ctx.dtype, stream, own
        )
        return of_x if stream else None, of_added if own else of_x if added else None, None, None, None, None


class Dropped(torch.autograd.Function):
    """Dropout of tokens, shape (tokens, features)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, masks: Masks, site: int) -> Tensor:
        """``x`` itself where nothing is dropped."""
        ctx.masks, ctx.site = masks, site
        return of(x).dropped(x.contiguous(), *masks.at(site), False)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        """The same mask."""
        return of(gradients[0]).dropped(gradients[0].contiguous(), *ctx.masks.at(ctx.site), False), None, None


class ReluDropped(torch.autograd.Function):
    """ReLU and dropout in one; where the result is positive the derivative is the mask's scale, elsewhere 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, masks: Masks, site: int) -> Tensor:
        """Shape (tokens, features)."""
        y = of(x).dropped(x.contiguous(), *masks.at(site), True)
        ctx.scale = 1 / (1 - masks.p) if masks.keys is not None else 1.0
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        """Only the result is kept: neither the input nor the mask."""
        return of(gradients[0]).relu_backward(gradients[0].contiguous(), *ctx.saved_tensors, ctx.scale), None, None


class SoftmaxDropped(torch.autograd.Function):
    """Attention's weights of its scores, for products that autograd follows."""

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, bias: Tensor | None, blocked: Tensor | None, masks: Masks, site: int
    ) -> Tensor:
        """See `operators.SCHEMAS`."""
        weights, masked = _softmax(scores.contiguous(), bias, blocked, masks, site)
        ctx.masks, ctx.site = masks, site
        ctx.save_for_backward(weights)
        return masked

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None, None, None]:
        """Of the scores."""
        (weights,) = ctx.saved_tensors
        found, _ = of(weights).softmax_dropout_backward(gradients[0].contiguous(), weights, *ctx.masks.at(ctx.site))
        return found, None, None, None, None


class SelfAttention(torch.autograd.Function):
    """Attention within rows; heads are brought together once, each way."""

    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        sizes: tuple[int, int, int],
        bias: Tensor | None,
        blocked: Tensor | None,
        masks: Masks,
        site: int,
    ) -> Tensor:
        """Attended values, shape (tokens, inner); T5 does not scale the scores.

        Args:
            qkv: shape (tokens, 3 inner), row by row.
            sizes: rows, their length, and heads.
            bias, blocked: added to the scores, shapes (1, heads, length, length) and (rows, length).
            masks, site: of dropout for the weights, shape (heads, length, length) of a row.
        """
        rows, length, heads = sizes
        parts = qkv.view(rows, length, 3, heads, -1).permute(2, 0, 3, 1, 4).reshape(3, rows * heads, length, -1)
        q, k, v = parts.unbind()
        scores = torch.bmm(q, k.transpose(1, 2)).view(rows, heads, length, length)
        weights, masked = _softmax(scores, bias, blocked, masks, site)
        attended = torch.bmm(masked.flatten(0, 1), v)
        ctx.sizes, ctx.masks, ctx.site = sizes, masks, site
        ctx.save_for_backward(parts, weights)
        return attended.view(rows, heads, length, -1).transpose(1, 2).reshape(rows * length, -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Of the projections, all in one tensor."""
        parts, weights = ctx.saved_tensors
        rows, length, heads = ctx.sizes
        q, k, v = parts.unbind()
        g = gradients[0].view(rows, length, heads, -1).transpose(1, 2).reshape(rows * heads, length, -1)
        of_weights = torch.bmm(g, v.transpose(1, 2)).view_as(weights)
        of_scores, masked = _softmax_backward(of_weights, weights, ctx.masks, ctx.site)
        found = torch.empty_like(parts)
        torch.bmm(of_scores, k, out=found[0])
        torch.bmm(of_scores.transpose(1, 2), q, out=found[1])
        torch.bmm(masked.transpose(1, 2), g, out=found[2])
        whole = found.view(3, rows, heads, length, -1).permute(1, 3, 0, 2, 4)
        return whole.reshape(rows * length, -1), None, None, None, None, None


class CrossAttention(torch.autograd.Function):
    """Attention of few tokens to a source: the projections of keys and values go into queries and contexts.

    Products write where the next one reads, so nothing is copied between them.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, states: Tensor, key: Tensor, value: Tensor, blocked: Tensor, masks: Masks, site: int
    ) -> Tensor:
        """Attended values, shape of the queries.

        Args:
            q: shape (tokens, heads width), row by row.
            states: of the source, shape (rows, length, d).
            key, value: frozen projections, shape (heads, width, d).
            blocked: added to the scores, shape (rows, length).
            masks, site: of dropout for the weights, shape (n, heads, length) of a row.
        """
        rows, length, d = states.shape
        heads, width, _ = key.shape
        tokens = len(q)
        folded = q.new_empty(tokens, heads, d)
        torch.bmm(q.view(tokens, heads, width).transpose(0, 1), key, out=folded.transpose(0, 1))
        scores = torch.bmm(folded.view(rows, -1, d), states.transpose(1, 2))
        weights, masked = _softmax(scores.view(rows, -1, heads, length), None, blocked, masks, site)
        context = torch.bmm(masked.view(rows, -1, length), states).view(tokens, heads, d)
        values = torch.empty_like(q)
        of_heads = values.view(tokens, heads, width).transpose(0, 1)
        torch.bmm(context.transpose(0, 1), value.transpose(1, 2), out=of_heads)
        ctx.masks, ctx.site = masks, site
        ctx.save_for_backward(folded, states, weights, key, value)
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Of the queries and of the source's states."""
        folded, states, weights, key, value = ctx.saved_tensors
        rows, length, d = states.shape
        tokens, heads, _ = folded.shape
        g = gradients[0].view(tokens, heads, -1).transpose(0, 1)
        of_context = torch.empty_like(folded)
        torch.bmm(g, value, out=of_context.transpose(0, 1))
        by_row = of_context.view(rows, -1, d)
        of_weights = torch.bmm(by_row, states.transpose(1, 2)).view_as(weights)
        of_scores, masked = _softmax_backward(of_weights, weights, ctx.masks, ctx.site)
        of_scores, masked = of_scores.view(rows, -1, length), masked.view(rows, -1, length)
        of_states = None
        if ctx.needs_input_grad[1]:
            of_states = torch.bmm(masked.transpose(1, 2), by_row)
            of_states.baddbmm_(of_scores.transpose(1, 2), folded.view(rows, -1, d))
        of_q = None
        if ctx.needs_input_grad[0]:
            of_folded = torch.bmm(of_scores, states).view(tokens, heads, d)
            of_q = states.new_empty(tokens, heads, key.shape[1])
            torch.bmm(of_folded.transpose(0, 1), key.transpose(1, 2), out=of_q.transpose(0, 1))
            of_q = of_q.flatten(1)
        return of_q, of_states, None, None, None, None, None


def _softmax(
    scores: Tensor, bias: Tensor | None, blocked: Tensor | None, masks: Masks, site: int
) -> tuple[Tensor, Tensor]:
    """Weights, and what of them is kept."""
    weights, masked = of(scores).softmax_dropout(scores, bias, blocked, *masks.at(site))
    return weights, weights if masks.keys is None else masked


def _softmax_backward(g: Tensor, weights: Tensor, masks: Masks, site: int) -> tuple[Tensor, Tensor]:
    """Of the scores, and the weights that were kept, both of shape (rows times the first axis, second axis, keys)."""
    of_scores, masked = of(weights).softmax_dropout_backward(g, weights, *masks.at(site))
    return of_scores.flatten(0, 1), (weights if masks.keys is None else masked).flatten(0, 1)
