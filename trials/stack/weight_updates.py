"""Inside the backbone: the weights that one trial changes, and gradients on the way back.

What `trials.stack.embedding_table.EmbeddingTable` is for prompts and tokens, `WeightUpdates` is for weights: they are
made once from the trial's parameters, every pass of an update reads the same tensors and adds its gradients to them,
and one backward pass at the end brings the sums to the parameters. Weights are shared by all rows of a pass, so a pass
holds one such trial: where trials add products of low rank, `trials.stack.low_rank_updates` lets them share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from trials.backbones.loading import Backbone
from trials.methods.base.module import MethodModule


class WeightUpdates:
    """The changed weights of one trial, for one update or one evaluation.

    Args:
        backbone: frozen; its own weights stay as they are.
        method: one that changes weights (`MethodModule.inner`).
        parameters: the method's, by name, as a stack of one trial, each of shape (1, ...).
        gradients: whether `backward` will be called.

    Attributes:
        weights: by names that the backbone knows (`MethodModule.weights`), float32.
    """

    def __init__(
        self, backbone: Backbone, method: MethodModule, parameters: Mapping[str, Tensor], *, gradients: bool = False
    ) -> None:
        self._backbone, self._method = backbone, method
        self._parameters = {name: p.requires_grad_(gradients) for name, p in parameters.items() if p.numel()}
        with torch.set_grad_enabled(gradients):
            self._made = method.weights(backbone, {name: p[0] for name, p in self._parameters.items()})
        self.weights = {name: weight.detach().requires_grad_(gradients) for name, weight in self._made.items()}
        if gradients:  # held before the first pass, so that measuring the memory of passes does not count them
            for weight in self.weights.values():
                weight.grad = torch.zeros_like(weight)

    def applied(self, owner: object = None) -> AbstractContextManager[None]:
        """The backbone computes with the changed weights while this lasts: around each pass, of this trial's rows."""
        return self._method.applied(self._backbone, self.weights)

    def backward(self) -> list[dict[str, Tensor]]:
        """Gradients of the parameters by name, each of shape (1, ...), from what all passes have left: of one group."""
        of_weights = [weight.grad for weight in self.weights.values()]
        found = torch.autograd.grad(list(self._made.values()), list(self._parameters.values()), of_weights)
        return [dict(zip(self._parameters, found, strict=True))]


def weight_updates_of(backbone: Backbone, method: MethodModule) -> WeightUpdates:
    """The weights of a method as it is, for answering."""
    return WeightUpdates(backbone, method, {name: p.detach()[None] for name, p in method.named_parameters()})
