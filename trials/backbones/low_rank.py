"""Low-rank additions of many trials in one pass of a frozen backbone: x W + (x A_k) B_k for the tokens of trial k.

Rows of a trial stand one behind the other, so its tokens are a slice of each product's input, and neighbours that bring
equally many are one batched product. Every token is multiplied with the frozen weights once, whoever it belongs to, and
no gradient of a weight is made: those of the factors are as small as these, and are summed up over passes in place.
(S-LoRA and Punica batch the forward pass so; mLoRA and ALTO train so.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Piece:
    """Neighbouring trials that bring equally many tokens.

    Attributes:
        trial: the first; a place in `Factors`. trials: how many.
        token: the first of all. each: tokens of a trial.
    """

    trial: int
    trials: int
    token: int
    each: int

    @property
    def tokens(self) -> slice:
        """Those of all its trials."""
        return slice(self.token, self.token + self.trials * self.each)

    @property
    def of_trials(self) -> slice:
        """Their places in `Factors`."""
        return slice(self.trial, self.trial + self.trials)


class Factors:
    """A and B of K trials at n projections of one shape, and the sums of their gradients.

    Args:
        down: A, shape (K, n, r, inputs). up: B with its scale, shape (K, n, outputs, r). Both float32.
        dtype: of the products.

    Attributes:
        of_down, of_up: sums of gradients, float32, of their shapes.
        anchor: stands for the factors in a graph, for their gradients go past it.
    """

    def __init__(self, down: Tensor, up: Tensor, dtype: torch.dtype) -> None:
        self.down, self.up = down.detach().to(dtype), up.detach().to(dtype)
        self.of_down = torch.zeros_like(down, dtype=torch.float32)
        self.of_up = torch.zeros_like(up, dtype=torch.float32)
        self.anchor = down.new_empty(0, dtype=torch.float32).requires_grad_()

    @property
    def rank(self) -> int:
        """r."""
        return self.down.shape[2]


@dataclass(frozen=True)
class Cut:
    """The tokens of a product, by trial.

    Attributes:
        rows: what it is cut from.
        pieces: one behind the other.
    """

    rows: LowRank
    pieces: Sequence[Piece]

    @property
    def factors(self) -> Factors:
        """Of all trials."""
        return self.rows.factors


@dataclass(frozen=True)
class LowRank:
    """What the trials of a pass add.

    Attributes:
        runs: whose rows stand where: a place in ``factors``, the first row, and the one behind the last. Rows of none
            have nothing added.
    """

    factors: Factors
    runs: Sequence[tuple[int, int, int]]

    def cut_at(self, starts: Sequence[int]) -> Cut:
        """Of rows of any lengths.

        Args:
            starts: the first token of each row, and behind the last row.
        """
        found: list[Piece] = []
        for trial, first, end in self.runs:
            token, each = starts[first], starts[end] - starts[first]
            last = found[-1] if found else None
            if last and (last.trial + last.trials, last.each, last.tokens.stop) == (trial, each, token):
                found[-1] = Piece(last.trial, last.trials + 1, last.token, each)
            else:
                found.append(Piece(trial, 1, token, each))
        return Cut(self, found)

    def cut(self, length: int) -> Cut:
        """Of rows of that length."""
        return self.cut_at(range(0, (self.runs[-1][2] + 1) * length, length) if self.runs else ())


def linear(x: Tensor, weight: Tensor, cut: Cut | None, first: int, columns: Sequence[int] = (0,)) -> Tensor:
    """A product with frozen weights, to parts of whose outputs each trial adds its own.

    Args:
        x: shape (..., inputs). weight: shape (all outputs, inputs).
        cut: of the tokens; those that belong to none have nothing added. None: nothing is.
        first: the projection of the first part; those of the others are behind it.
        columns: where each part's outputs begin.

    Returns:
        Shape (..., all outputs).
    """
    if cut is None:
        return F.linear(x, weight)
    return LowRankLinear.apply(x, weight, cut.factors.anchor, cut, first, columns)


def added_to_heads(context: Tensor, cut: Cut, place: int) -> Tensor:
    """What trials add to values that are projected behind the attention, each head's from its own context.

    Args:
        context: shape (..., heads, inputs). place: the projection.

    Returns:
        Shape (..., heads, head width).
    """
    return LowRankHeads.apply(context, cut.factors.anchor, cut, place)


class LowRankLinear(torch.autograd.Function):
    """`linear`, without a graph for each trial."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, anchor: Tensor, cut: Cut, first: int, columns: Sequence[int]
    ) -> Tensor:
        """See `linear`."""
        factors = cut.factors
        out = F.linear(x, weight)
        tokens, outputs = x.flatten(0, -2), out.view(-1, out.shape[-1])
        wide, rank, parts = factors.up.shape[2], factors.rank, len(columns)
        hidden = x.new_empty(len(tokens), parts * rank)
        for piece in cut.pieces:
            h, y = _batched(hidden, piece), _batched(outputs, piece)
            down = factors.down[piece.of_trials, first : first + parts].flatten(1, 2)
            torch.bmm(_batched(tokens, piece), down.transpose(1, 2), out=h)
            for part, column in enumerate(columns):
                up = factors.up[piece.of_trials, first + part]
                y[..., column : column + wide].baddbmm_(h[..., part * rank : (part + 1) * rank], up.transpose(1, 2))
        ctx.cut, ctx.first, ctx.columns = cut, first, columns
        ctx.save_for_backward(x, weight, hidden)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Of the inputs; those of the factors are added where they are summed up."""
        x, weight, hidden = ctx.saved_tensors
        factors, first, columns = ctx.cut.factors, ctx.first, ctx.columns
        wide, rank, parts = factors.up.shape[2], factors.rank, len(columns)
        g = gradients[0].flatten(0, -2)
        found = g @ weight if ctx.needs_input_grad[0] else None
        tokens = x.flatten(0, -2)
        for piece in ctx.cut.pieces:
            of_y, h = _batched(g, piece), _batched(hidden, piece)
            of_h = torch.empty_like(h)
            for part, column in enumerate(columns):
                of_part, inside = of_y[..., column : column + wide], slice(part * rank, (part + 1) * rank)
                torch.bmm(of_part, factors.up[piece.of_trials, first + part], out=of_h[..., inside])
                _sum(factors.of_up[piece.of_trials, first + part], of_part.transpose(1, 2), h[..., inside])
            these = piece.of_trials, slice(first, first + parts)
            if found is not None:
                _batched(found, piece).baddbmm_(of_h, factors.down[these].flatten(1, 2))
            _sum(factors.of_down[these].flatten(1, 2), of_h.transpose(1, 2), _batched(tokens, piece))
        return None if found is None else found.view_as(x), None, None, None, None, None


class LowRankHeads(torch.autograd.Function):
    """`added_to_heads`, without a graph for each trial."""

    @staticmethod
    def forward(ctx: Any, context: Tensor, anchor: Tensor, cut: Cut, place: int) -> Tensor:
        """See `added_to_heads`."""
        factors = cut.factors
        heads, wide = context.shape[-2], factors.up.shape[2] // context.shape[-2]
        out = context.new_zeros(*context.shape[:-1], wide)
        tokens, outputs = context.flatten(0, -3), out.view(-1, heads, wide)
        kept = []
        for piece in cut.pieces:
            x = _batched(tokens, piece).flatten(1, 2)
            h = torch.bmm(x, factors.down[piece.of_trials, place].transpose(1, 2))
            kept.append(h.view(piece.trials, piece.each, heads, -1))
            up = factors.up[piece.of_trials, place].unflatten(1, (heads, wide))
            _batched(outputs, piece).copy_(torch.einsum("kthr,khwr->kthw", kept[-1], up))
        ctx.cut, ctx.place = cut, place
        ctx.save_for_backward(context, *kept)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Of the contexts; those of the factors are added where they are summed up."""
        context, *kept = ctx.saved_tensors
        factors, heads = ctx.cut.factors, context.shape[-2]
        tokens, g = context.flatten(0, -3), gradients[0].flatten(0, -3)
        found = torch.zeros_like(tokens)  # some may be of none
        for piece, h in zip(ctx.cut.pieces, kept, strict=True):
            these = piece.of_trials, ctx.place
            of_y = _batched(g, piece)
            up = factors.up[these].unflatten(1, (heads, -1))
            of_h = torch.einsum("kthw,khwr->kthr", of_y, up).flatten(1, 2)
            factors.of_up[these].unflatten(1, (heads, -1)).add_(torch.einsum("kthw,kthr->khwr", of_y, h))
            x = _batched(tokens, piece).flatten(1, 2)
            torch.bmm(of_h, factors.down[these], out=_batched(found, piece).flatten(1, 2))
            _sum(factors.of_down[these], of_h.transpose(1, 2), x)
        return found.view_as(context), None, None, None


def _batched(x: Tensor, piece: Piece) -> Tensor:
    """A view of a piece's tokens, shape (trials, tokens of each, ...)."""
    return x[piece.tokens].unflatten(0, (piece.trials, piece.each))


def _sum(into: Tensor, a: Tensor, b: Tensor) -> None:
    """Add products of K pairs to float32 sums, which are a view."""
    if a.dtype == into.dtype:
        into.baddbmm_(a, b)
    else:
        into.add_(torch.bmm(a, b))
