"""ADePT: a short soft prompt and a network that shifts every token embedding (ICLR 2025, equations 3 and 4)."""

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


class Adept(FromOwnAdapter):
    """E' = E + ReLU(E W_down + b1) W_up + b2, input [P ; E'], where E are the backbone's own embedding rows.

    W_up, b1 and b2 start at zero, so the offset is exactly zero before the first update. The recipe decides whether
    the pre-activation is dropped with probability 0.1 in training (the released code, not the paper's equation).

    Parameters: m d + 2 r d + r + d. With them a budget of 100 rows leaves r = floor((100 d - m d - d) / (2 d + 1))
    beside m rows of prompt (section 4.1): 39, 29, 19 and 9 for m = 20, 40, 60 and 80 on T5-base.
    """

    name = "adept"
    standard = True
    hyperparameters: ClassVar = {
        "prompt_lr": PROMPT_LR,
        "mlp_lr": rate("largest learning rate of the offset network (alpha 2)"),
        "prompt_length": PROMPT_LENGTH,
        "bottleneck": count("width r of the offset network"),
        "prompt_init": PROMPT_INIT,
    }
    groups: ClassVar = {"prompt": "prompt_lr", "mlp": "mlp_lr"}
    sized = "bottleneck"
    offset_ends = ("up", "up_bias")

    def tensors(self, values: Values, sizes: Sizes, recipe: Recipe) -> dict[str, Weights]:
        """W_down, b1, W_up and b2 of the paper."""
        d, r = sizes.width, int(values["bottleneck"])
        fan = r if recipe.down_init == "fan_out" else d
        return {
            "down": Weights((d, r), "mlp", uniform(max(fan, 1) ** -0.5)),
            "down_bias": Weights((r,), "mlp"),
            "up": Weights((r, d), "mlp"),
            "up_bias": Weights((d,), "mlp"),
        }

    def shift(self, parameters: Mapping[str, Tensor], embeddings: Tensor, positions: Tensor, drop: Drop) -> Tensor:
        """See `Method.shift`. The same network serves every token, so positions do not matter."""
        import torch

        down, down_bias, up, up_bias = (parameters[name] for name in ("down", "down_bias", "up", "up_bias"))
        hidden = drop(torch.baddbmm(down_bias[:, None], embeddings, down))
        return embeddings + torch.baddbmm(up_bias[:, None], torch.relu(hidden), up)
