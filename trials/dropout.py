"""Dropout inside a frozen backbone whose masks belong to trials, not to the batch.

The published runs leave the backbone's dropout on while they train. In a stack, masks drawn for the whole batch would
make a trial depend on its neighbours (on how many rows and how much padding they bring), so each trial's rows get
masks of their own size from their own generator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

Side = Literal["source", "target"]

ATTENTION = "per_trial_dropout"
"""The name under which `attention` is known to transformers."""


@dataclass
class TrialRows:
    """One trial's part of a batch.

    Attributes:
        rows: which rows of the batch are its own.
        lengths: its own padded length on each side, prompt included, without the padding that neighbours cause.
        generator: this step's source of masks; None draws none (evaluation).
    """

    rows: slice
    lengths: dict[Side, int]
    generator: torch.Generator | None


class Masks:
    """The trials that the forward pass now running belongs to."""

    def __init__(self) -> None:
        self.layout: Sequence[TrialRows] = ()

    @contextmanager
    def drawn_for(self, layout: Sequence[TrialRows]) -> Iterator[None]:
        """Give the rows of a batch to their trials while the context lasts."""
        self.layout = layout
        try:
            yield
        finally:
            self.layout = ()

    def active(self, p: float) -> bool:
        """Whether anything is dropped now."""
        return p > 0 and any(part.generator is not None for part in self.layout)

    def drop(self, x: Tensor, p: float, sides: Sequence[Side]) -> Tensor:
        """Inverted dropout of ``x``, each trial's rows with its own mask.

        Args:
            x: shape (rows, length, features) with one side, or (rows, heads, query length, key length) with two.
            p: the probability of a zero.
            sides: which side the length dimensions of ``x`` are on.
        """
        keep = x.new_zeros(x.shape)
        for part in self.layout:
            own = x[part.rows].shape
            lengths = [min(part.lengths[side], x.shape[1 + (x.dim() == 4) + i]) for i, side in enumerate(sides)]
            shape = (own[0], lengths[0], own[2]) if x.dim() == 3 else (own[0], own[1], *lengths)
            mask = x.new_ones(shape)
            if part.generator is not None:
                mask.bernoulli_(1 - p, generator=part.generator).div_(1 - p)
            if x.dim() == 3:
                keep[part.rows, : shape[1]] = mask
            else:
                keep[part.rows, :, : shape[2], : shape[3]] = mask
        return x * keep


class PerTrialDropout(nn.Module):
    """Takes the place of an ``nn.Dropout`` of the backbone."""

    def __init__(self, p: float, masks: Masks, side: Side) -> None:
        super().__init__()
        self.p, self.masks, self.side = p, masks, side

    def forward(self, x: Tensor) -> Tensor:
        """Shape (rows, length, features), or attention weights (rows, heads, query length, key length)."""
        if not self.masks.active(self.p):
            return x
        return self.masks.drop(x, self.p, [self.side] * (x.dim() - 2))


def install(model: nn.Module) -> Masks:
    """Replace every dropout of ``model`` by a per-trial one; returns the handle that says whose rows are whose.

    The ``decoder`` of an encoder-decoder model works on target tokens, all else on the source.
    """
    masks = Masks()
    for name, module in list(model.named_modules()):
        side: Side = "target" if f"{name}.".startswith("decoder.") else "source"
        for child, layer in list(module.named_children()):
            if isinstance(layer, nn.Dropout):
                setattr(module, child, PerTrialDropout(layer.p, masks, side))
        if type(module).__name__ == "T5Attention":
            keys: Side = "source" if name.endswith("EncDecAttention") else side
            module.masks, module.sides = masks, (side, keys)
    return masks


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    position_bias: Tensor | None = None,
    **_: object,
) -> tuple[Tensor, Tensor | None]:
    """T5's attention with per-trial dropout on the weights, in the form that transformers calls.

    Args:
        module: the T5Attention, on which `install` has left ``masks`` and ``sides`` (of queries, of keys).
        query, key, value: shape (rows, heads, length, head width).
        attention_mask: additive, broadcast to (rows, heads, query length, key length).
        scaling: factor on the scores; T5 uses 1.
        dropout: the model's probability, used while masks are drawn.
        position_bias: T5's relative bias, shape (1, heads, query length, key length).

    Returns:
        The attended values, shape (rows, query length, heads, head width), and None for the weights.
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    bias = position_bias if attention_mask is None else attention_mask
    if position_bias is not None and attention_mask is not None:
        bias = position_bias + attention_mask
    masks: Masks = module.masks  # type: ignore[assignment]
    probability: float = module.dropout  # type: ignore[assignment]
    if masks.active(probability):
        scores = query @ key.transpose(2, 3) * scaling
        weights = torch.softmax(scores if bias is None else scores + bias, dim=-1)
        out = masks.drop(weights, probability, module.sides) @ value  # type: ignore[arg-type]
    else:
        out = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scaling)
    return out.transpose(1, 2).contiguous(), None


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, eager_mask)
