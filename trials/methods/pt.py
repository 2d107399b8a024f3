"""PT: prompt tuning, a soft prompt alone (Lester et al. 2021; as run by ATTEMPT and compacter)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from trials.config import Recipe, Value
from trials.methods.base import Method, Surroundings, initial_prompt


class Pt(Method):
    """Input [P ; E]. 100 rows unless the configuration says otherwise, started at vocabulary rows or at random.

    The released ADePT code cannot run this baseline (its start is lost and it unfreezes the embeddings), so the recipe
    decides nothing but the optimizer here: ``prompt_init`` is ``vocabulary`` (ATTEMPT) or ``uniform`` (compacter).

    Hyperparameters: prompt_lr, optionally prompt_length and prompt_init. Parameters: m d.
    """

    GROUPS: ClassVar = {"prompt": "prompt_lr"}

    def __init__(
        self,
        hyperparameters: Mapping[str, Value],
        recipe: Recipe,
        around: Surroundings,
        generator: torch.Generator,
    ) -> None:
        super().__init__(hyperparameters, recipe)
        init = str(hyperparameters.get("prompt_init", "vocabulary"))
        self.prompt = initial_prompt(int(hyperparameters.get("prompt_length", 100)), init, around, generator)

    def offset(
        self, embeddings: Tensor, positions: Tensor | None = None, dropout: torch.Generator | None = None
    ) -> Tensor:
        """No offset: the embeddings as they are."""
        return embeddings

    def group_of(self, parameter: str) -> str:
        """There is nothing but the prompt."""
        return "prompt"
