"""ATTEMPT: for each row a mixture of source prompts and a target prompt, by attention (Asai et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from trials.config import Recipe
from trials.methods import PROMPT_LR, Hyperparameter, Sizes, Values, Weights, count, rate, uniform
from trials.methods.base.transfer import SOURCE_LENGTH, Transfer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trials.methods.base.module import Surroundings

TEMPERATURE = 2087 / 768
"""The published temperature for each coordinate of an embedding: e, where the code's learned one starts."""


class Attempt(Transfer):
    """Input [P(X) ; E], P(X) = P + sum_j a_j(X) P_j over the source prompts P_1, ..., P_S and the target prompt P.

    a(X) = softmax_j(max(P_j) . LayerNorm(SiLU(max(X) W_down) W_up) / temperature), max over rows of a prompt, and over
    the tokens of a source as the backbone embeds them. The target prompt starts at the first source; P, W_down, W_up
    and the layer norm are trained, the sources are not. Attention "sub" of AkariAsai/ATTEMPT
    (third_party/models/t5/modeling_t5.py), whose configs/attempt have 6 sources of 100 rows, W_down of 100 columns,
    rate 0.3, rate 0.1 of the attention, temperature 2087.

    Where its code and its paper or its counts differ: it takes the maximum over a row's padding as well, which makes
    answers depend on how rows are padded, and is left out here. Its test of parameters' names never holds, so its
    attention was trained at the prompt's rate; here ``attention_lr`` is a rate of its own. It freezes the layer norm;
    the 232K of ADePT's Table 3 count it as trained, as here.

    Parameters: m d + 2 h d + 2 d; 231,936 for 100 rows and h = 100 on T5-base.
    """

    name = "attempt"
    hyperparameters: ClassVar = {
        "prompt_lr": PROMPT_LR,
        "attention_lr": rate("largest learning rate of the attention"),
        "prompt_length": SOURCE_LENGTH,
        "bottleneck": count("width h between the attention's two projections", default=100),
        "temperature": Hyperparameter(
            meaning="what attention scores are divided by; left out: 2087 on T5-base, by width elsewhere",
            type="float",
            above=0,
            optional=True,
        ),
    }
    groups: ClassVar = {"prompt": "prompt_lr", "attention": "attention_lr"}
    prompts_by_row = True

    def tensors(self, values: Values, sizes: Sizes, recipe: Recipe) -> dict[str, Weights]:
        """W_down (``down``), W_up (``up``), and the layer norm's weight (``scale``) and bias (``bias``)."""
        d, h = sizes.width, int(self.value(values, "bottleneck") or 1)
        return {
            "down": Weights((d, h), "attention", uniform(d**-0.5)),  # as nn.Linear starts
            "up": Weights((h, d), "attention", uniform(h**-0.5)),
            "scale": Weights((d,), "attention", _ones),
            "bias": Weights((d,), "attention"),
        }

    def starts(self, values: Values, around: Surroundings, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Method.starts`: the target prompt is the first source."""
        return {"prompt": self.source_prompts(around)[0]}

    def constants(self, values: Values, around: Surroundings) -> dict[str, Tensor]:
        """See `Method.constants`: the source prompts, shape (S, m, d), and the temperature, shape (1,)."""
        import torch

        temperature = self.value(values, "temperature") or TEMPERATURE * around.embedding.shape[1]
        return {"source_prompts": self.source_prompts(around), "temperature": torch.tensor([float(temperature)])}

    def row_prompts(self, parameters: Mapping[str, Tensor], summaries: Tensor) -> Tensor:
        """See `Method.row_prompts`."""
        import torch

        target = parameters["prompt"][:, None]  # (K, 1, m, d)
        prompts = torch.cat([parameters["source_prompts"], target], dim=1)  # (K, S + 1, m, d)
        weights = torch.softmax(self.scores(parameters, prompts, summaries), dim=-1)
        return torch.einsum("krs,ksmd->krmd", weights, prompts) + target

    def scores(self, parameters: Mapping[str, Tensor], prompts: Tensor, summaries: Tensor) -> Tensor:
        """How well each prompt goes with each row, shape (K, rows, S + 1).

        Args:
            prompts: shape (K, S + 1, m, d).
        """
        import torch

        hidden = torch.nn.functional.silu(summaries @ parameters["down"]) @ parameters["up"]
        normal = torch.nn.functional.layer_norm(hidden, hidden.shape[-1:])
        query = normal * parameters["scale"][:, None] + parameters["bias"][:, None]
        return query @ prompts.amax(2).transpose(1, 2) / parameters["temperature"][:, None]


def _ones(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    import torch

    return torch.ones(shape)
