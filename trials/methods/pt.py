"""PT: prompt tuning, a soft prompt alone (Lester et al. 2021; as run by ATTEMPT and compacter)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from trials.config import PROMPT_LENGTHS
from trials.methods.base import Drop, Method


class Pt(Method):
    """Input [P ; E]. 100 rows unless the configuration says otherwise, started at vocabulary rows or at random.

    The released ADePT code cannot run this baseline (its start is lost and it unfreezes the embeddings), so the recipe
    decides nothing but the optimizer here: ``prompt_init`` is ``vocabulary`` (ATTEMPT) or ``uniform`` (compacter).

    Hyperparameters: prompt_lr, optionally prompt_length and prompt_init. Parameters: m d.
    """

    GROUPS: ClassVar = {"prompt": "prompt_lr"}
    PROMPT_LENGTH = PROMPT_LENGTHS["pt"]
    PROMPT_INIT = "vocabulary"

    @staticmethod
    def shift(parameters: Mapping[str, Tensor], embeddings: Tensor, positions: Tensor, drop: Drop) -> Tensor:
        """No offset: the embeddings as they are."""
        return embeddings

    def group_of(self, parameter: str) -> str:
        """There is nothing but the prompt."""
        return "prompt"
