"""Keys and values before each row that every layer weighs by its own input (`trials.methods.apt`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trials.methods.base.kept_states import KeptStates, own_layers
from trials.methods.base.prefix import Prefix


class GatedPrefix(Prefix):
    """A `Prefix` of which layer i takes each place times lambda_i sigmoid(h W_i).

    Args:
        layers: of the model, in order; their first argument are hidden states, shape (rows, length, d).

    Attributes:
        gate: W, shape (layers, d, m), from zero.
        scale: lambda, shape (layers,), from one.
    """

    def __init__(self, network: Any, kept: KeptStates, rows: int, hidden: int, layers: Sequence[nn.Module]) -> None:
        super().__init__(network, kept, rows, hidden)
        width = int(network.config.get_text_config(decoder=True).hidden_size)
        like = self.rows.detach()
        self.gate = nn.Parameter(like.new_zeros(len(layers), width, rows))
        self.scale = nn.Parameter(like.new_ones(len(layers)))
        self._begun: list[Any] = []
        for number, layer in enumerate(layers):
            layer.register_forward_pre_hook(partial(self._weigh, number), with_kwargs=True)

    def begins(self, cache: Any, rows: int) -> bool:
        """See `Prefix.begins`."""
        begun = super().begins(cache, rows)
        self._begun = own_layers(cache) if begun else []
        return begun

    def _weigh(self, number: int, _: nn.Module, args: Sequence[Any], given: dict[str, Any]) -> None:
        """Before a layer looks: weigh its keys and values, which are the prefix alone in the first pass of a row."""
        if not self._begun:
            return
        hidden: Tensor = args[0] if args else given["hidden_states"]
        if self.last is None:
            state = hidden[:, 0]
        else:
            state = hidden.gather(1, self.last[:, None, None].expand(-1, 1, hidden.shape[2]))[:, 0]
        weights = self.scale[number] * torch.sigmoid(state @ self.gate[number])
        kept = self._begun[number]
        kept.keys = kept.keys * weights[:, None, :, None]
        kept.values = kept.values * weights[:, None, :, None]
        if number + 1 == len(self.gate):
            self._begun = []
