"""ADePT: a short soft prompt and a network that shifts every token embedding (ICLR 2025, equations 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from trials.methods.base import Drop, Method, Surroundings, uniform


class Adept(Method):
    """E' = E + ReLU(E W_down + b1) W_up + b2, input [P ; E'], where E are the backbone's own embedding rows.

    W_up, b1 and b2 start at zero, so the offset is exactly zero before the first update. The recipe decides whether
    the pre-activation is dropped with probability 0.1 in training (the released code, not the paper's equation).

    Hyperparameters: prompt_lr, mlp_lr, prompt_length m, bottleneck r, optionally prompt_init.
    Parameters: m d + 2 r d + r + d.
    """

    GROUPS: ClassVar = {"prompt": "prompt_lr", "mlp": "mlp_lr"}

    def build(self, around: Surroundings, generator: torch.Generator) -> None:
        """See `Method.build`."""
        d, r = around.width, int(self.hyperparameters["bottleneck"])
        fan = r if self.recipe.down_init == "fan_out" else d
        self.down = uniform((d, r), fan**-0.5, generator)  # W_down: (d, r)
        self.down_bias = nn.Parameter(torch.zeros(r))  # b1: (r,)
        self.up = nn.Parameter(torch.zeros(r, d))  # W_up: (r, d)
        self.up_bias = nn.Parameter(torch.zeros(d))  # b2: (d,)

    @staticmethod
    def shift(parameters: Mapping[str, Tensor], embeddings: Tensor, positions: Tensor, drop: Drop) -> Tensor:
        """See `Method.shift`. The same network serves every token, so positions do not matter."""
        down, down_bias, up, up_bias = (parameters[name] for name in ("down", "down_bias", "up", "up_bias"))
        hidden = drop(torch.baddbmm(down_bias[:, None], embeddings, down))
        return embeddings + torch.baddbmm(up_bias[:, None], torch.relu(hidden), up)

    def group_of(self, parameter: str) -> str:
        """The prompt has its own learning rate, the network another."""
        return "prompt" if parameter == "prompt" else "mlp"
