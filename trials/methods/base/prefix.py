"""Keys and values that stand before each row, and one trial of a method that trains them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from trials.backbones.stock_model import StockModel
from trials.methods.base.kept_states import KeptStates, fresh_cache, own_layers
from trials.methods.base.network import NetworkModule
from trials.methods.base.prompt_file import ROWS


class Prefix(nn.Module):
    """Keys and values of m places before each row, in each layer of a model that it is put into.

    Args:
        network: the model; each of its passes begins with them from now on.
        kept: what it keeps of a token.
        rows: m.
        hidden: width of a network that makes them; 0: they are trained themselves.

    Attributes:
        rows: shape (m, layers x 2 x heads x width), as PEFT's ``PrefixEncoder`` has them; where they are made, what
            they are made of, shape (m, heads x width). From N(0, 1).
        transform: a linear layer, tanh and another, that make them; None where they are trained themselves.
        last: the place of each row's last source token, shape (rows,); None where the decoder reads no source.
    """

    def __init__(self, network: Any, kept: KeptStates, rows: int, hidden: int = 0) -> None:
        super().__init__()
        weight = network.get_input_embeddings().weight
        token = kept.heads * kept.width
        self.kept = kept
        self.last: Tensor | None = None
        self.rows = nn.Parameter(torch.randn(rows, token if hidden else kept.layers * 2 * token))
        self.transform: nn.Sequential | None = None
        if hidden:
            outputs = kept.layers * 2 * token
            self.transform = nn.Sequential(nn.Linear(token, hidden), nn.Tanh(), nn.Linear(hidden, outputs))
        self.to(weight.device, network.dtype)
        network.add_module("prefix", self)
        network.register_forward_pre_hook(self._before, with_kwargs=True)

    def forward(self) -> Tensor:
        """Keys and values as PEFT writes them, shape (m, layers x 2 x heads x width)."""
        return self.rows if self.transform is None else self.transform(self.rows)

    def states(self) -> Tensor:
        """The same, shape (layers, 2, heads, m, width); keys first."""
        kept = self.kept
        return self().view(-1, kept.layers, 2, kept.heads, kept.width).permute(1, 2, 3, 0, 4)

    @staticmethod
    def _before(network: Any, args: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The model's arguments with a cache that holds the prefix, and whatever counts places moved by m.

        It asks the model for its prefix, since a copy of a model has a copy of it.
        """
        prefix: Prefix = network.prefix
        cache, m = given.get("past_key_values"), len(prefix.rows)
        if cache is None:
            cache = fresh_cache(network)
        if network.config.is_encoder_decoder:
            rows = len(given["decoder_input_ids"])
        else:
            rows, mask = len(given["inputs_embeds"]), given["attention_mask"]
            given["attention_mask"] = pad(mask, (m, 0), value=0.0 if mask.is_floating_point() else 1)
            if given.get("position_ids") is not None:
                given["position_ids"] = given["position_ids"] + m
        prefix.begins(cache, rows)
        return args, {**given, "past_key_values": cache}

    def begins(self, cache: Any, rows: int) -> bool:
        """Put the prefix into a cache in which nothing stands yet; whether that was so."""
        layers = own_layers(cache)
        if layers[0].get_seq_length() > 0:
            return False
        for layer, (keys, values) in zip(layers, self.states(), strict=False):
            layer.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1))
        return True


class PrefixedModel(StockModel):
    """A model with a `Prefix`, which learns where each row's source ends."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.before = len(model.prefix.rows)

    def _scored(self, given: dict[str, Any], places: Tensor | None) -> Tensor:
        self.model.prefix.last = None if places is None else places[:, 0]
        return super()._scored(given, places)


class PrefixModule(NetworkModule):
    """One trial of a method with a `Prefix`; see `NetworkModule`."""

    def stock_model(self) -> StockModel:
        """See `NetworkModule.stock_model`."""
        return PrefixedModel(self.network)


class PeftPrefixModule(PrefixModule):
    """The same, with adapter files of PEFT's ``PREFIX_TUNING``: one tensor, and the network that makes it if any.

    Of an encoder-decoder model PEFT (`PeftModel.get_prompt`) writes all layers twice one after another and hands each
    layer four entries, of which two are used: layer i has those of place 2 i, so that of n layers the first and the one
    n / 2 further have the same. In files for it the n layers have 2 n places, every second of them zero, and so each
    its own.
    """

    def to_file(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `MethodModule.to_file`."""
        prefix = self.network.prefix
        given = {n.removeprefix("prefix/").replace("/", "."): t for n, t in state.items() if n != "prompt"}
        with torch.no_grad():
            flat = torch.func.functional_call(prefix, given)
        if self.network.config.is_encoder_decoder:
            by_layer = flat.view(len(flat), prefix.kept.layers, 1, -1)
            flat = torch.cat([by_layer, torch.zeros_like(by_layer)], dim=2).flatten(1)
        return {ROWS: flat.clone(), **(super().to_file(state) if prefix.transform is not None else {})}

    def from_file(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `MethodModule.from_file`."""
        prefix, flat = self.network.prefix, tensors[ROWS]
        if prefix.transform is None:
            if self.network.config.is_encoder_decoder:
                flat = flat.view(len(flat), prefix.kept.layers, 2, -1)[:, :, 0].flatten(1)
            return {"prompt": self.prompt.detach().clone(), "prefix/rows": flat}
        return super().from_file({name: tensor for name, tensor in tensors.items() if name != ROWS})
