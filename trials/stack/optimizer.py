"""AdamW over stacked parameters: one update of K trials, each with its own rates, clipping norm and step count.

Optimizers take one learning rate for a tensor, and a stack has one tensor for the same parameter of all its trials. A
trial's update is that of its recipe's AdamW, torch's or the one that transformers had up to 4.x, after
``clip_grad_norm_`` (tests compare them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trials.batching.transfers import sent
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

    With m and v the means of gradients and their squares, c1 and c2 what corrects their bias, and lr the rate:

    - ``torch`` (``torch.optim.AdamW``): p -= lr wd p, then p -= lr (m / c1) / (sqrt(v / c2) + eps);
    - ``transformers`` (``transformers.AdamW``, `optimization.py` up to 4.x, ``correct_bias=True``):
      p -= (lr sqrt(c2) / c1) m / (sqrt(v) + eps), then p -= lr wd p. Set beside torch's its eps counts as
      eps / sqrt(c2): 32 times as much at the first update where the second beta is 0.999.

    Args:
        parameters, gradients, moments: by parameter's name, each of shape (K, ...).
        rates: learning rates by parameter's name, shape (K,).
        updates: each trial's updates so far, this one included.
    """
    first, second = recipe.betas
    device = next(iter(rates.values())).device  # 1 - beta**n is small at first: float32 would lose half its digits
    of_mean, of_square = (sent(torch.tensor([1 - beta**n for n in updates]), device) for beta in (first, second))
    for name, parameter in parameters.items():
        mean, square = moments[name]
        g = gradients[name]
        mean.lerp_(g, 1 - first)
        square.mul_(second).addcmul_(g, g, value=1 - second)
        rate, corrected, root = _aligned(rates[name], g), _aligned(of_mean, g), _aligned(of_square.sqrt(), g)
        kept = 1 - rate * recipe.weight_decay
        if recipe.adamw == "torch":
            parameter.mul_(kept).sub_(mean / square.sqrt().div_(root).add_(recipe.eps) * (rate / corrected))
        else:
            parameter.sub_(mean / square.sqrt().add_(recipe.eps) * (rate * root / corrected)).mul_(kept)


def _aligned(values: Tensor, like: Tensor) -> Tensor:
    """Shape (K,) made (K, 1, ...) to stand beside ``like``."""
    return values.view(-1, *[1] * (like.dim() - 1))
