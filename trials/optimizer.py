"""AdamW over stacked parameters: one update of K trials, each with its own rates, clipping norm and step count.

torch's AdamW takes one learning rate for a tensor, and a stack has one tensor for the same parameter of all its trials.
A trial's update is that of ``torch.optim.AdamW`` after ``clip_grad_norm_`` (a test compares them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trials.config import Recipe

Moments = tuple[Tensor, Tensor]


def clip(gradients: Mapping[str, Tensor], max_norm: float) -> None:
    """Scale each trial's gradients, of shape (K, ...), so that their norm over all parameters is ``max_norm`` at most.

    As ``torch.nn.utils.clip_grad_norm_`` does for one trial. A norm that is not finite stays with its trial.
    """
    squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients.values()]).sum(0)
    factor = (max_norm / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    for g in gradients.values():
        g.mul_(_aligned(factor, g))


@torch.no_grad()
def adamw(
    parameters: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    moments: Mapping[str, Moments],
    rates: Mapping[str, Tensor],
    updates: Sequence[int],
    recipe: Recipe,
) -> None:
    """One update in place (Loshchilov and Hutter 2019, with bias correction).

    Args:
        parameters, gradients, moments: by parameter's name, each of shape (K, ...).
        rates: learning rates by parameter's name, shape (K,).
        updates: each trial's updates so far, this one included.
    """
    first, second = recipe.betas
    device = next(iter(rates.values())).device  # 1 - beta**n is small at first: float32 would lose half its digits
    of_mean, of_square = (
        torch.tensor([1 - beta**n for n in updates]).to(device, non_blocking=True) for beta in (first, second)
    )
    for name, parameter in parameters.items():
        mean, square = moments[name]
        g = gradients[name]
        mean.lerp_(g, 1 - first)
        square.mul_(second).addcmul_(g, g, value=1 - second)
        rate = _aligned(rates[name], g)
        if recipe.weight_decay:
            parameter.mul_(1 - rate * recipe.weight_decay)
        spread = square.sqrt().div_(_aligned(of_square.sqrt(), g)).add_(recipe.eps)
        parameter.sub_(mean / spread * (rate / _aligned(of_mean, g)))


def _aligned(values: Tensor, like: Tensor) -> Tensor:
    """Shape (K,) made (K, 1, ...) to stand beside ``like``."""
    return values.view(-1, *[1] * (like.dim() - 1))
