"""MPT: a soft prompt that is a shared prompt times a low-rank matrix of the task (Wang et al. 2023; as PEFT has it)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from trials.backbones.facts import Facts
from trials.config import Recipe
from trials.methods import PROMPT_LR, Method, Sizes, Values, Weights, choice, count, rate

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LENGTH = count("rows m of the soft prompt", maximum=5_000, default=100)
RANK = count("rank r of the task's matrix", default=1)
TASK_LR = rate("largest learning rate of the task's matrix")


class Mpt(Method):
    """Input [S * (U V) ; E], with S (m, d) shared, U (m, r) and V (r, d) of the task, * elementwise; all are trained.

    This is the second half of MPT, trained on one task from its start: PEFT's MULTITASK_PROMPT_TUNING with one task, in
    whose layout its adapters are, U and V from N(0, 0.02) as there. What ADePT's tables call MPT begins with S, U and V
    from other tasks: that is ``mpt_t``.

    Parameters: m d + r (m + d); 77,668 for 100 rows and rank 1 on T5-base (Table 3 prints 77.6K).
    """

    name = "mpt"
    hyperparameters: ClassVar = {
        "prompt_lr": PROMPT_LR,
        "task_lr": TASK_LR,
        "prompt_length": LENGTH,
        "rank": RANK,
        "prompt_init": choice(
            "where the shared prompt starts: sampled vocabulary rows, or uniform(-0.5, 0.5)",
            "vocabulary",
            "uniform",
            default="vocabulary",
        ),
    }
    groups: ClassVar = {"prompt": "prompt_lr", "task": "task_lr"}
    peft_type = "MULTITASK_PROMPT_TUNING"

    def tensors(self, values: Values, sizes: Sizes, recipe: Recipe) -> dict[str, Weights]:
        """U (``columns``) and V (``rows``)."""
        m, r = self.prompt_length(values), self.rank(values)
        return {"columns": Weights((m, r), "task", _normal), "rows": Weights((r, sizes.width), "task", _normal)}

    def prompt(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """See `Method.prompt`."""
        return parameters["prompt"] * (parameters["columns"] @ parameters["rows"])

    def rank(self, values: Values) -> int:
        """Of the task's matrix."""
        return int(self.value(values, "rank") or 1)

    def refuses(self, values: Values, sizes: Sizes) -> str:
        """A matrix has no higher rank than rows or columns."""
        most = min(self.prompt_length(values), sizes.width)
        r = self.rank(values)
        if r > most:
            return f"rank {r} is more than the {most} that a prompt of {most} rows or columns has"
        return super().refuses(values, sizes)

    def to_file(self, state: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
        """See `Method.to_file`: PEFT's names, of the first of its tasks."""
        return {
            "prompt_embeddings": state["prompt"],
            "prefix_task_cols": state["columns"][None],
            "prefix_task_rows": state["rows"][None],
        }

    def from_file(self, tensors: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
        """See `Method.from_file`."""
        return {
            "prompt": tensors["prompt_embeddings"],
            "columns": tensors["prefix_task_cols"][0],
            "rows": tensors["prefix_task_rows"][0],
        }

    def peft_config(self, values: Values, facts: Facts) -> dict[str, Any]:
        """See `Method.peft_config`: PEFT's forward pass takes ``task_ids``, zeros here."""
        return {
            "num_virtual_tokens": self.prompt_length(values),
            "num_ranks": self.rank(values),
            "num_tasks": 1,
            "num_transformer_submodules": 1,  # a prompt of the encoder alone, or of the one stack there is
            "token_dim": facts.width,
            "inference_mode": True,
        }


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    import torch

    return torch.randn(shape, generator=generator) * 0.02
