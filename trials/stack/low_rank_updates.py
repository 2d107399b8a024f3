"""Inside the backbone: the low-rank additions of many trials, and gradients on the way back.

As `trials.stack.weight_updates` for one trial, without the changed weights: those of a dozen trials would fill the
memory that passes need, and each would have passes of its own. Factors of all trials are one tensor each, of lower
ranks filled up with zeros, whose gradients are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from trials.backbones.loading import Backbone
from trials.backbones.low_rank import Factors, LowRank
from trials.backbones.precision import DTYPES
from trials.methods.base.module import MethodModule
from trials.stack.embedding_table import Group


class LowRankUpdates:
    """What the trials of a stack add inside the backbone, for one update.

    Args:
        backbone: frozen.
        groups: of the trials; some may add nothing there.
        methods: of the trials, in their order.
    """

    def __init__(self, backbone: Backbone, groups: Sequence[Group], methods: Sequence[MethodModule]) -> None:
        self._backbone, self._groups = backbone, [group for group in groups if group.method.adds_factors]
        self._made: list[tuple[Tensor, Tensor]] = []
        for group in self._groups:
            for parameter in group.parameters.values():
                parameter.requires_grad_()
            values = [methods[k].hyperparameters for k in group.members]
            found = group.method.factors(group.parameters, values, methods[group.members[0]].sizes)
            self._made.append(backbone.stacked_factors(found))
        rank = max(down.shape[2] for down, _ in self._made)
        downs = [pad(down.detach(), (0, 0, 0, rank - down.shape[2])) for down, _ in self._made]
        ups = [pad(up.detach(), (0, rank - up.shape[3])) for _, up in self._made]
        self._factors = Factors(torch.cat(downs), torch.cat(ups), DTYPES[backbone.precision])
        members = [k for group in self._groups for k in group.members]
        self._places = np.full(len(methods), len(members))
        self._places[members] = np.arange(len(members))

    def places(self, owner: np.ndarray) -> np.ndarray:
        """Where the trials of rows stand among the factors; behind all, those that add nothing."""
        return self._places[owner]

    def applied(self, owner: np.ndarray) -> AbstractContextManager[None]:
        """The backbone adds what the rows' trials add while this lasts: around each pass.

        Args:
            owner: of the pass's rows, shape (rows,), in the order of `places`.
        """
        places, first, counts = np.unique(self.places(owner), return_index=True, return_counts=True)
        runs = [
            (int(place), int(start), int(start + count))
            for place, start, count in zip(places, first, counts, strict=True)
            if place < len(self._factors.down)
        ]
        return self._backbone.with_low_rank(LowRank(self._factors, runs))

    def backward(self) -> list[dict[str, Tensor]]:
        """Gradients of the parameters of each of the groups that add something, from what all passes have left."""
        found, start = [], 0
        for group, (down, up) in zip(self._groups, self._made, strict=True):
            these = slice(start, start + len(down))
            start = these.stop
            of_made = [self._factors.of_down[these, :, : down.shape[2]], self._factors.of_up[these, ..., : up.shape[3]]]
            names = [name for name, p in group.parameters.items() if p.numel()]
            gradients = torch.autograd.grad([down, up], [group.parameters[name] for name in names], of_made)
            found.append(dict(zip(names, gradients, strict=True)))
        return found
