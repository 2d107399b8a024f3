"""What surrounds the matrix products of T5, with backward passes that read and write less than autograd's.

Between products a pass is bound by memory, not by arithmetic: these keep one tensor each for their backward pass, write
where a result is needed next, and leave no sum of gradients for autograd to make.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trials.batching.packing import Block, Packing


class AddNorm(torch.autograd.Function):
    """Adds an output to the residual stream, and normalises the sum by T5's layer norm without its scale.

    With s = x + added: s, and s / sqrt(mean(s**2) + eps) in the precision of the products after it. The stream has one
    reader, the next `AddNorm`, so its memory and that of its gradient are used again, from the first to the last.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, added: Tensor | None, mask: Tensor | None, eps: float | Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """Both of the shape of ``x``, the first float32.

        Args:
            x: float32; overwritten by the sum unless ``added`` is None.
            added: of any precision; None at the start of the stream.
            mask: of dropout for ``added``, of its shape and precision; None: it is added as it is.
            eps: where it is a tensor, of one number, launches are saved at the price of other rounding.
        """
        ctx.set_materialize_grads(False)
        ctx.added = None if added is None else added.dtype
        if added is None:
            x = x.clone()  # the caller's own
        else:
            if mask is None:
                x.add_(added)
            else:
                x.addcmul_(added, mask)
            ctx.mark_dirty(x)
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        if isinstance(eps, Tensor):
            inverse = torch.addcmul(eps, size, size, value=1 / x.shape[-1]).rsqrt_()
        else:
            inverse = size.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.saves_launches = isinstance(eps, Tensor)
        y = torch.mul(x, inverse, out=torch.empty_like(x, dtype=dtype))
        ctx.save_for_backward(y, inverse, mask)
        return x, y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        """d/ds = g_s + (g - y mean(g y)) / sqrt(mean(s**2) + eps), for ``x`` and ``added`` alike.

        Where g_s is given it was made by the next `AddNorm` for this one alone, and all that was computed from it came
        before g: it may be overwritten.
        """
        along, g = gradients
        if g is not None:
            y, inverse, _ = ctx.saved_tensors
            share = torch.linalg.vecdot(g, y).float().unsqueeze(-1)
            if ctx.saves_launches:
                across = torch.addcmul(g, y, share, value=-1 / y.shape[-1])
            else:
                across = torch.addcmul(g, y, share.div_(-y.shape[-1]))  # float32, whatever g and y are
            along = across.mul_(inverse) if along is None else along.addcmul_(across, inverse)
        if along is None or ctx.added is None:
            return along, None, None, None, None
        mask = ctx.saved_tensors[2]
        if mask is None:
            return along, along.to(ctx.added), None, None, None
        return along, torch.mul(along, mask, out=torch.empty_like(mask)), None, None, None


class Heads(torch.autograd.Function):
    """Cuts one product into queries, keys and values, heads first; their gradients meet in one tensor."""

    @staticmethod
    def forward(ctx: Any, parts: Tensor, heads: int) -> tuple[Tensor, ...]:
        """Three of shape (rows, heads, length, head width) of one of shape (rows, length, 3 heads head width)."""
        rows, length, _ = parts.shape
        return parts.view(rows, length, 3, heads, -1).permute(2, 0, 3, 1, 4).contiguous().unbind(0)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        """Shape (rows, length, 3 heads head width)."""
        rows, heads, length, width = gradients[0].shape
        joined = gradients[0].new_empty(rows, length, 3, heads, width)
        for place, gradient in enumerate(gradients):
            joined[:, :, place] = gradient.transpose(1, 2)
        return joined.view(rows, length, -1), None


class SelfAttention(torch.autograd.Function):
    """Attention within the rows of a pass, block by block, without a graph for each.

    A block of one row needs no copies: its heads are views of the projections. Scores and their softmax are float32 in
    any precision: T5 does not scale its scores, so that they are large, and rounded to bfloat16 they would make half of
    the error of the gradients.
    """

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, packing: Packing, added: Sequence[Tensor], masks: Sequence[Tensor] | None, heads: int
    ) -> Tensor:
        """Attended values, shape (tokens, inner).

        Args:
            qkv: queries, keys and values of packed tokens, shape (tokens, 3 inner).
            added: to each block's scores, shape (heads, length, length) or (rows, heads, length, length).
            masks: of dropout for each block's weights, shape (rows, heads, length, length).
        """
        tokens, inner = qkv.shape[0], qkv.shape[1] // 3
        out = (qkv.new_zeros if packing.spare else qkv.new_empty)(tokens, heads, inner // heads)
        kept = []
        for number, (block, bias) in enumerate(zip(packing.blocks, added, strict=True)):
            q, k, v = _heads(qkv, block, 3, heads)
            bias = bias.float().expand(block.rows, heads, block.length, block.length).flatten(0, 1)
            weights = torch.baddbmm(bias, q.float(), k.float().transpose(1, 2)).softmax(-1).to(qkv.dtype)
            kept.append(weights)
            if masks is not None:
                weights = weights * masks[number].view_as(weights)
            _write(out[block.tokens], block, torch.bmm(weights, v))
        ctx.packing, ctx.heads, ctx.dropped = packing, heads, masks is not None
        ctx.save_for_backward(qkv, *kept, *(masks or ()))
        return out.view(tokens, inner)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Of the projections, all in one tensor."""
        qkv, *kept = ctx.saved_tensors
        blocks, heads = ctx.packing.blocks, ctx.heads
        masks, along = kept[len(blocks) :], gradients[0].contiguous()
        found = (torch.zeros_like if ctx.packing.spare else torch.empty_like)(qkv)
        parts = found.view(len(qkv), 3, heads, -1)
        for number, (block, weights) in enumerate(zip(blocks, kept[: len(blocks)], strict=True)):
            q, k, v = _heads(qkv, block, 3, heads)
            (g,) = _heads(along, block, 1, heads)
            of_weights = torch.bmm(g, v.transpose(1, 2))
            dropped = weights
            if ctx.dropped:
                mask = masks[number].view_as(weights)
                of_weights, dropped = of_weights.mul_(mask), weights * mask
            of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
            into = parts[block.tokens]
            _write(into[:, 0], block, torch.bmm(of_scores, k))
            _write(into[:, 1], block, torch.bmm(of_scores.transpose(1, 2), q))
            _write(into[:, 2], block, torch.bmm(dropped.transpose(1, 2), g))
        return found, None, None, None, None


def _heads(x: Tensor, block: Block, parts: int, heads: int) -> list[Tensor]:
    """Parts of a block's tokens, each of shape (rows heads, length, width), of shape (tokens, parts heads width)."""
    rows = x[block.tokens].view(block.rows, block.length, parts, heads, -1)
    return [rows[:, :, part].transpose(1, 2).flatten(0, 1) for part in range(parts)]


def _write(into: Tensor, block: Block, of_heads: Tensor) -> None:
    """Heads of a block, shape (rows heads, length, width), to its tokens, shape (rows length, heads, width)."""
    heads, width = into.shape[1:]
    rows = into.view(block.rows, block.length, heads, width)
    rows.copy_(of_heads.view(block.rows, heads, block.length, width).transpose(1, 2))


class BatchedAttention(torch.autograd.Function):
    """`SelfAttention` of rows that are all padded to one length, in few launches: heads are brought together once."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, sizes: tuple[int, int, int], added: Tensor, mask: Tensor | None) -> Tensor:
        """Attended values, shape (tokens, inner).

        Args:
            qkv: shape (tokens, 3 inner), row by row.
            sizes: rows, their length, and heads.
            added: to the scores, shape (rows, heads, length, length).
            mask: of dropout for the weights, of that shape.
        """
        rows, length, heads = sizes
        parts = qkv.view(rows, length, 3, heads, -1).permute(2, 0, 3, 1, 4).reshape(3, rows * heads, length, -1)
        q, k, v = parts.unbind()
        weights = torch.baddbmm(added.flatten(0, 1), q, k.transpose(1, 2)).softmax(-1)
        mask = None if mask is None else mask.view_as(weights)
        attended = torch.bmm(weights if mask is None else weights * mask, v)
        ctx.sizes = sizes
        ctx.save_for_backward(parts, weights, mask)
        return attended.view(rows, heads, length, -1).transpose(1, 2).reshape(rows * length, -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None, None]:
        """Of the projections, all in one tensor."""
        parts, weights, mask = ctx.saved_tensors
        rows, length, heads = ctx.sizes
        q, k, v = parts.unbind()
        g = gradients[0].view(rows, length, heads, -1).transpose(1, 2).reshape(rows * heads, length, -1)
        of_weights, dropped = torch.bmm(g, v.transpose(1, 2)), weights
        if mask is not None:
            of_weights, dropped = of_weights.mul_(mask), weights * mask
        of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
        found = torch.empty_like(parts)
        torch.bmm(of_scores, k, out=found[0])
        torch.bmm(of_scores.transpose(1, 2), q, out=found[1])
        torch.bmm(dropped.transpose(1, 2), g, out=found[2])
        whole = found.view(3, rows, heads, length, -1).permute(1, 3, 0, 2, 4)
        return whole.reshape(rows * length, -1), None, None, None


class ReluDropout(torch.autograd.Function):
    """ReLU and dropout in one: where the result is positive the derivative is the mask's scale, elsewhere 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor | None, p: float) -> Tensor:
        """Overwrites ``x``, which nothing else may need."""
        y = torch.relu_(x)
        if mask is not None:
            y.mul_(mask)
        ctx.scale = 1.0 if mask is None else 1 / (1 - p)
        ctx.mark_dirty(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        """Only the result is kept: neither the input nor the mask."""
        (y,) = ctx.saved_tensors
        g = torch.ops.aten.threshold_backward(gradients[0], y, 0)
        return (g if ctx.scale == 1 else g.mul_(ctx.scale)), None, None
