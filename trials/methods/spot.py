"""SPoT: a soft prompt that starts where one was trained on another task (Vu et al. 2022; as run by ATTEMPT)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from trials.methods import PROMPT_LR, Values
from trials.methods.base.transfer import SOURCE_LENGTH, Transfer
from trials.methods.pt import Pt

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trials.methods.base.module import Surroundings


class Spot(Transfer, Pt):
    """Input [P ; E], as prompt tuning; P starts at the one source prompt.

    ATTEMPT's runs, whose numbers ADePT quotes, start from a prompt of MNLI (configs/baselines/spot.json: 100 rows, rate
    0.3). SPoT's own paper chooses the source for each target by a search over many.

    Parameters: m d; 76.8K (Table 3) for 100 rows on T5-base.
    """

    name = "spot"
    hyperparameters: ClassVar = {"prompt_lr": PROMPT_LR, "prompt_length": SOURCE_LENGTH}
    sources: ClassVar = (1, 1)

    def starts(self, values: Values, around: Surroundings, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Method.starts`: the source prompt."""
        return {"prompt": self.source_prompts(around)[0]}
