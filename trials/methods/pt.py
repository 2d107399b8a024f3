"""PT: prompt tuning, a soft prompt alone (Lester et al. 2021; as run by ATTEMPT and compacter)."""

from __future__ import annotations

from typing import ClassVar

from trials.methods import PROMPT_LR, choice, count
from trials.methods.base.prompt_file import PromptFile
from trials.methods.base.transfer import FromOwnAdapter


class Pt(FromOwnAdapter, PromptFile):
    """Input [P ; E]. 100 rows unless the configuration says otherwise, started at vocabulary rows or at random.

    The released ADePT code cannot run this baseline (its start is lost and it unfreezes the embeddings), so the recipe
    decides nothing but the optimizer here: ``prompt_init`` is ``vocabulary`` (ATTEMPT) or ``uniform`` (compacter).
    Stock PEFT reads its adapters.

    Parameters: m d.
    """

    name = "pt"
    hyperparameters: ClassVar = {
        "prompt_lr": PROMPT_LR,
        "prompt_length": count("rows m of the soft prompt", maximum=5_000, default=100),
        "prompt_init": choice(
            "where the prompt starts: rows sampled from the vocabulary's first 5,000 (ATTEMPT), or uniform(-0.5, 0.5) "
            "(compacter)",
            "vocabulary",
            "uniform",
            default="vocabulary",
        ),
    }
    groups: ClassVar = {"prompt": "prompt_lr"}
    peft_type = "PROMPT_TUNING"
