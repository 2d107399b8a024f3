"""DePT: a short soft prompt and a low-rank offset for each position of the source (ShiZhengyan/DePT)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from trials.methods.base import Drop, Method, Surroundings, uniform

ALPHA = 8
"""The original's ``lora_alpha``; the offset is scaled by ALPHA / sqrt(r)."""


class Dept(Method):
    """E'[t] = E[t] + (8 / sqrt(r)) A[t] B for the t-th token of the source, input [P ; E'].

    A has a row for each of ``max_source_length`` positions. The original pads every batch to that length, because it
    adds the whole of A B. Sources are padded on the right and padding is masked, so the rows beyond a batch's longest
    source neither change an output nor get a gradient: the first rows of A B are added instead (a test compares both).
    In a decoder-only model the answer's tokens take the positions after the source, or the last one beyond the end.

    Hyperparameters: prompt_lr, lowrank_lr, prompt_length m, rank r, optionally prompt_init.
    Parameters: m d + r (max_source_length + d).
    """

    GROUPS: ClassVar = {"prompt": "prompt_lr", "lowrank": "lowrank_lr"}
    POSITIONAL: ClassVar = True

    def build(self, around: Surroundings, generator: torch.Generator) -> None:
        """See `Method.build`."""
        d, r = around.width, int(self.hyperparameters["rank"])
        self.positions = uniform((around.max_source_length, r), r**-0.5, generator)  # A: (max_source_length, r)
        self.shared = nn.Parameter(torch.zeros(r, d))  # B: (r, d)

    @staticmethod
    def shift(parameters: Mapping[str, Tensor], embeddings: Tensor, positions: Tensor, drop: Drop) -> Tensor:
        """See `Method.shift`; token t of the source gets row t of A B."""
        table, shared = parameters["positions"], parameters["shared"]
        places = positions.clamp(max=table.shape[1] - 1)[:, :, None].expand(-1, -1, table.shape[2])
        scale = ALPHA / table.shape[2] ** 0.5
        return embeddings + scale * (table.gather(1, places) @ shared)

    def group_of(self, parameter: str) -> str:
        """The prompt has its own learning rate, the two factors another."""
        return "prompt" if parameter == "prompt" else "lowrank"
