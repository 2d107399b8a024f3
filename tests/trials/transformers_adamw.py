"""The AdamW that transformers had up to 4.x, which the released code was run with; the class itself is gone.

Written down from what `transformers/optimization.py` (4.26) computed with ``correct_bias=True``: it adds eps to the
root of the uncorrected second moment, corrects the step's size instead, and decays weights after the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch


class TransformersAdamW(torch.optim.Optimizer):
    """One tensor after the other, with the defaults of old."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p] or {"updates": 0, "m": torch.zeros_like(p), "v": torch.zeros_like(p)}
                self.state[p] = state
                state["updates"] += 1
                state["m"] = first * state["m"] + (1.0 - first) * p.grad
                state["v"] = second * state["v"] + (1.0 - second) * p.grad**2
                size = group["lr"] * math.sqrt(1.0 - second ** state["updates"]) / (1.0 - first ** state["updates"])
                p -= size * state["m"] / (state["v"].sqrt() + group["eps"])
                p -= group["lr"] * group["weight_decay"] * p


def optimizer_of(recipe: Any, parameters: Any) -> torch.optim.Optimizer:
    """What a recipe's updates must be those of."""
    kind = {"released_code": TransformersAdamW, "paper": torch.optim.AdamW}[recipe.name]
    return kind(parameters, lr=0.0, betas=recipe.betas, eps=recipe.eps, weight_decay=recipe.weight_decay)
