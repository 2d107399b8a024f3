"""P-tuning: a soft prompt that a small network makes (Liu et al. 2021, "GPT understands, too"), as PEFT has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from trials.config import Recipe
from trials.methods import Sizes, Values, Weights, count, rate, uniform
from trials.methods.base.prompt_file import PromptFile

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trials.backbones.facts import Facts


class PTuning(PromptFile):
    """Input [P ; E], P = ReLU(ReLU(X W1 + b1) W2 + b2) W3 + b3, with X (m, d), W1 (d, h), W2 (h, h), W3 (h, d).

    This is PEFT's ``PromptEncoder`` with its default reparametrisation, ``MLP``, started as it is: X from N(0, 1),
    weights and biases as torch's linear layers. The paper's own network has a bidirectional LSTM before two layers;
    PEFT calls the MLP the recommended one, and the LSTM is not built here. Everything is trained at one rate.

    The adapter holds the rows of P, which is all that PEFT reads, and the network.

    Parameters: m d + 2 d h + h h + 2 h + d. ADePT's text names P-tuning among its baselines, and prints no count.
    """

    name = "p_tuning"
    hyperparameters: ClassVar = {
        "lr": rate("largest learning rate of the prompt's network"),
        "prompt_length": count("rows m of the soft prompt", maximum=5_000, default=20),
        "hidden": count(
            "width h of the prompt's network; left out: that of the embeddings", maximum=100_000, optional=True
        ),
    }
    groups: ClassVar = {"network": "lr"}
    trains_prompt = False
    peft_type = "P_TUNING"

    def tensors(self, values: Values, sizes: Sizes, recipe: Recipe) -> dict[str, Weights]:
        """X, and the weights and biases of three layers."""
        m, d = self.prompt_length(values), sizes.width
        h = int(self.value(values, "hidden") or d)
        of_d, of_h = uniform(d**-0.5), uniform(h**-0.5)
        return {
            "rows": Weights((m, d), "network", normal),
            "input": Weights((d, h), "network", of_d),
            "input_bias": Weights((h,), "network", of_d),
            "hidden": Weights((h, h), "network", of_h),
            "hidden_bias": Weights((h,), "network", of_h),
            "output": Weights((h, d), "network", of_h),
            "output_bias": Weights((d,), "network", of_h),
        }

    def prompt(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """See `Method.prompt`."""
        import torch

        found = parameters["rows"]
        for layer in ("input", "hidden", "output"):
            found = torch.baddbmm(parameters[f"{layer}_bias"][:, None], found, parameters[layer])
            found = found if layer == "output" else torch.relu(found)
        return found

    def peft_config(self, values: Values, facts: Facts) -> dict[str, Any]:
        """See `Method.peft_config`."""
        hidden = int(self.value(values, "hidden") or facts.width)
        network = {"encoder_reparameterization_type": "MLP", "encoder_hidden_size": hidden}
        return {**super().peft_config(values, facts), **network}


def normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """A start drawn from N(0, 1), as that of ``torch.nn.Embedding``."""
    import torch

    return torch.randn(shape, generator=generator)
