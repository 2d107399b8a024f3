"""What a model keeps of a token it has read: the keys and values of each layer's attention, and their shapes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache, EncoderDecoderCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from trials.errors import UserError
from trials.methods.base.registry import stackable_methods


@dataclass(frozen=True)
class KeptStates:
    """Of each of ``layers`` layers keys and values of ``heads`` heads of ``width`` numbers each, for every token.

    In an encoder-decoder model they are those of the decoder's self-attention.
    """

    layers: int
    heads: int
    width: int


def fresh_cache(network: Any) -> Any:
    """An empty cache of a model, as its own code makes one."""
    cache = DynamicCache(config=network.config)
    return EncoderDecoderCache(cache, DynamicCache(config=network.config)) if _both(network) else cache


def own_layers(cache: Any) -> list[Any]:
    """The layers of a cache that hold what was read, not what an encoder gave."""
    found: list[Any] = (cache.self_attention_cache if isinstance(cache, EncoderDecoderCache) else cache).layers
    return found


def kept_states(network: Any, method: str) -> KeptStates:
    """What a model keeps of a token, found by letting it read one; from its config where there are only shapes to read.

    Raises:
        UserError: not every layer keeps keys and values of the same shape; `method` is named.
    """
    if "past_key_values" not in inspect.signature(network.forward).parameters:
        raise UserError([refusal(network, method, "its layers keep no keys and values")])
    try:
        cache = _read(network)
    except Exception as error:  # of somebody's model: whatever it raises
        if network.device.type != "meta":  # without weights some models cannot look at their own mask
            what = f"it cannot begin with kept ones ({type(error).__name__})"
            raise UserError([refusal(network, method, what)]) from error
        return _of_config(network, method)
    shapes: set[tuple[Any, ...]] = set()
    layers = [layer for layer in own_layers(cache) if _counts(network, method, layer)]
    for layer in layers:
        shapes |= {tuple(layer.keys.shape), tuple(layer.values.shape)}
    if len(shapes) != 1 or not layers:
        raise UserError([refusal(network, method, "its layers keep keys and values of different shapes")])
    ((_, heads, _, width),) = shapes
    return KeptStates(len(layers), heads, width)


def _counts(network: Any, method: str, layer: Any) -> bool:
    """Whether a layer of a cache has read something; a prophet's decoder has more of them than layers."""
    if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer):
        raise UserError([refusal(network, method, "some of its layers keep something else than keys and values")])
    return layer.keys is not None


@torch.no_grad()
def _read(network: Any) -> Any:
    """A model's cache after one token."""
    cache = fresh_cache(network)
    embedding = network.get_input_embeddings().weight
    token = torch.zeros(1, 1, embedding.shape[1], dtype=network.dtype, device=embedding.device)
    given: dict[str, Any] = {"inputs_embeds": token, "past_key_values": cache, "use_cache": False}
    if _both(network):
        given["decoder_input_ids"] = torch.zeros(1, 1, dtype=torch.long, device=embedding.device)
    with torch.device(embedding.device):
        network.eval()(**given)
    return cache


def _of_config(network: Any, method: str) -> KeptStates:
    layers = own_layers(fresh_cache(network))
    for layer in layers:
        _counts(network, method, layer)
    config = network.config.get_text_config(decoder=True)
    heads = int(config.num_attention_heads)
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return KeptStates(len(layers), int(getattr(config, "num_key_value_heads", None) or heads), int(width))


def decoder_layers(network: Any, kept: KeptStates, method: str) -> list[nn.Module]:
    """The layers whose attention keeps them, in order.

    Raises:
        UserError: they are in no list of their own.
    """
    lists = (module for module in network.get_decoder().modules() if isinstance(module, nn.ModuleList))
    found = next((layers for layers in lists if len(layers) == kept.layers), None)
    if found is None:
        raise UserError([refusal(network, method, "its layers stand in no list of their own")])
    return list(found)


def _both(network: Any) -> bool:
    return bool(network.config.is_encoder_decoder)


def refusal(network: Any, method: str, what: str) -> str:
    """Why a method cannot keep anything before a model's rows, and which methods can."""
    rows = f"the rows of model type {network.config.model_type!r}"
    return f"{method}: keys and values cannot stand before {rows}: {what}; {stackable_methods()}"
