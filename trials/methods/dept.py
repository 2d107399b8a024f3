"""DePT: a short soft prompt and a low-rank offset for each position of the source (ShiZhengyan/DePT)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from trials.config import Recipe
from trials.methods import (
    PROMPT_INIT,
    PROMPT_LENGTH,
    PROMPT_LR,
    Drop,
    Sizes,
    Values,
    Weights,
    count,
    rate,
    uniform,
)
from trials.methods.base.transfer import FromOwnAdapter

if TYPE_CHECKING:
    from torch import Tensor

ALPHA = 8
"""The original's ``lora_alpha``; the offset is scaled by ALPHA / sqrt(r)."""


class Dept(FromOwnAdapter):
    """E'[t] = E[t] + (8 / sqrt(r)) A[t] B for the t-th token of the source, input [P ; E'].

    A has a row for each of ``max_source_length`` positions. The original pads every batch to that length, because it
    adds the whole of A B. Sources are padded on the right and padding is masked, so the rows beyond a batch's longest
    source neither change an output nor get a gradient: the first rows of A B are added instead (a test compares both).
    In a decoder-only model the answer's tokens take the positions after the source, or the last one beyond the end.

    The offsets of all places are a matrix of max_source_length rows and d columns: a higher rank than the smaller of
    both adds nothing, and is refused.

    Parameters: m d + r (max_source_length + d). A budget of 100 rows leaves ranks of 60, 45, 30 and 15 beside 20, 40,
    60 and 80 rows of prompt on T5-base at 256 tokens, as in DePT's published configurations.
    """

    name = "dept"
    hyperparameters: ClassVar = {
        "prompt_lr": PROMPT_LR,
        "lowrank_lr": rate("largest learning rate of the low-rank offsets (alpha 2)"),
        "prompt_length": PROMPT_LENGTH,
        "rank": count("rank r of the offsets, one offset a position"),
        "prompt_init": PROMPT_INIT,
    }
    groups: ClassVar = {"prompt": "prompt_lr", "lowrank": "lowrank_lr"}
    sized = "rank"
    positional = True
    offset_ends = ("shared",)
    offset_places = "positions"

    def tensors(self, values: Values, sizes: Sizes, recipe: Recipe) -> dict[str, Weights]:
        """A (``positions``) and B (``shared``)."""
        d, r = sizes.width, int(values["rank"])
        return {
            "positions": Weights((sizes.max_source_length, r), "lowrank", uniform(max(r, 1) ** -0.5)),
            "shared": Weights((r, d), "lowrank"),
        }

    def refuses(self, values: Values, sizes: Sizes) -> str:
        """A matrix has no higher rank than rows or columns."""
        r, most = int(values["rank"]), highest_rank(sizes)
        if r > most:
            offsets = f"offsets for {sizes.max_source_length} places of width {sizes.width}"
            return f"rank {r} is more than {most}, that of {offsets}; give at most {most}"
        return super().refuses(values, sizes)

    def largest_size(self, values: Values, sizes: Sizes, parameters: int) -> int:
        """See `Method.largest_size`; no more than the rank that the offsets can have."""
        return min(super().largest_size(values, sizes, parameters), highest_rank(sizes))

    def shift(self, parameters: Mapping[str, Tensor], embeddings: Tensor, positions: Tensor, drop: Drop) -> Tensor:
        """See `Method.shift`; token t of the source gets row t of A B."""
        table, shared = parameters["positions"], parameters["shared"]
        places = positions.clamp(max=table.shape[1] - 1)[:, :, None].expand(-1, -1, table.shape[2])
        scale = ALPHA / table.shape[2] ** 0.5
        return embeddings + scale * (table.gather(1, places) @ shared)


def highest_rank(sizes: Sizes) -> int:
    """Of the offsets of all places of a source, a matrix of shape (max_source_length, d)."""
    return min(sizes.max_source_length, sizes.width)
