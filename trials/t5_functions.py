"""What surrounds the matrix products of `trials.t5`, with backward passes that read and write less than autograd's.

Between products a pass is bound by memory, not by arithmetic: these keep one tensor each for their backward pass, write
where a result is needed next, and leave no sum of gradients for autograd to make.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class AddNorm(torch.autograd.Function):
    """Adds an output to the residual stream, and normalises the sum by T5's layer norm without its scale.

    With s = x + added: s, and s / sqrt(mean(s**2) + eps) in the precision of the products after it. The stream has one
    reader, the next `AddNorm`, so its memory and that of its gradient are used again, from the first to the last.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, added: Tensor | None, eps: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Both of the shape of ``x``, the first float32.

        Args:
            x: float32; overwritten by the sum unless ``added`` is None.
            added: of any precision; None at the start of the stream.
        """
        ctx.set_materialize_grads(False)
        ctx.added = None if added is None else added.dtype
        if added is None:
            x = x.clone()  # the caller's own
        else:
            x.add_(added)
            ctx.mark_dirty(x)
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = size.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        y = (x * inverse).to(dtype)
        ctx.save_for_backward(y, inverse)
        return x, y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, Tensor | None, None, None]:
        """d/ds = g_s + (g - y mean(g y)) / sqrt(mean(s**2) + eps), for ``x`` and ``added`` alike.

        Where g_s is given it was made by the next `AddNorm` for this one alone, and all that was computed from it came
        before g: it may be overwritten.
        """
        along, g = gradients
        if g is not None:
            y, inverse = ctx.saved_tensors
            share = torch.linalg.vecdot(g, y).float().unsqueeze(-1).div_(-y.shape[-1])
            across = torch.addcmul(g.float(), y.float(), share)
            along = across.mul_(inverse) if along is None else along.addcmul_(across, inverse)
        return along, None if along is None or ctx.added is None else along.to(ctx.added), None, None


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
