"""The side network of Ladder Side Tuning: a narrow T5 beside a frozen one, which reads it and is not read by it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

TEMPERATURE = 0.1
"""A gate is sigmoid(parameter / this) (``gate_T`` of the source); parameters start at 0 (``gate_alpha``)."""


class Ladder(nn.Module):
    """What stands beside one stack of T5, its encoder or its decoder, made of blocks of the stack's own class.

    It follows the stack by hooks: before the stack it takes the embeddings, behind each block that block's output and
    the masks that it was called with, and behind the stack it leaves what it has come to. The encoder's is appended to
    the features of the encoder's output, since that is all that reaches the decoder, and taken off again there; the
    decoder's takes the place of its output.

    Args:
        stack: a T5Stack; it gets the hooks.
        width, features, hidden: of the side network's stream, of one of its heads, of its feed-forward layers.
        layers: numbers of the blocks that have one beside them.
        weights: of its blocks and of its last norm, by their names in a stack of that width.
    """

    def __init__(
        self,
        stack: Any,
        width: int,
        features: int,
        hidden: int,
        layers: Sequence[int],
        weights: Mapping[str, Tensor],
    ) -> None:
        super().__init__()
        config = copy.deepcopy(stack.config)
        self.wide = int(config.d_model)
        config.d_model, config.d_kv, config.d_ff = width, features, hidden
        block = type(stack.block[0])
        self.first = nn.Linear(self.wide, width)
        self.down = nn.ModuleDict({str(number): nn.Linear(self.wide, width) for number in layers})
        self.gates = nn.ParameterDict({str(number): nn.Parameter(torch.zeros(1)) for number in layers})
        self.block = nn.ModuleDict(
            {
                str(number): block(config, has_relative_attention_bias=number == layers[0], layer_idx=number)
                for number in layers
            }
        )
        self.final_layer_norm = type(stack.final_layer_norm)(width, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.up = nn.Linear(width, self.wide) if stack.is_decoder else None
        given = dict(weights)
        (bias,) = (n for n, _ in self.named_parameters() if "relative_attention_bias" in n)
        given[bias] = stack.block[0].layer[0].SelfAttention.relative_attention_bias.weight.detach()
        for name, parameter in self.named_parameters():
            if name in given:
                parameter.data.copy_(given[name])
        weight = stack.block[0].layer[0].layer_norm.weight
        self.to(weight.device, weight.dtype)
        self._state: tuple[Any, Any, Any] = (None, None, None)  # the stream, biases of positions of both attentions
        self._encoded: Tensor | None = None
        stack.register_forward_pre_hook(self._begin, with_kwargs=True)
        for number in layers:
            stack.block[number].register_forward_hook(_Rung(self, str(number)), with_kwargs=True)
        stack.register_forward_hook(self._end)

    def climb(self, number: str, output: Tensor, args: Sequence[Any], given: Mapping[str, Any]) -> None:
        """One rung: the gated mean of the side's stream and the block's output, through the block beside it."""
        side, bias, cross_bias = self._state
        gate = torch.sigmoid(self.gates[number] / TEMPERATURE)
        side = gate * side + (1 - gate) * self.down[number](output)
        _, mask, _, _, cross_mask, *_ = args
        self._state = self.block[number](side, mask, bias, self._encoded, cross_mask, cross_bias)

    def _begin(self, stack: Any, args: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Before the stack: its embeddings in, with a dropout of their own as in the source."""
        embeddings = given.get("inputs_embeds")
        if embeddings is None:
            embeddings = stack.embed_tokens(given["input_ids"])
        if (encoded := given.get("encoder_hidden_states")) is not None:
            # Detached: the frozen decoder reads the frozen encoder, and no gradient goes through either.
            given = {**given, "encoder_hidden_states": encoded[..., : self.wide].detach()}
            self._encoded = encoded[..., self.wide :]
        self._state = (self.first(self.dropout(embeddings)), None, None)
        return args, given

    def _end(self, stack: Any, args: Any, output: Any) -> Any:
        side = self.dropout(self.final_layer_norm(self._state[0]))
        self._state, self._encoded = (None, None, None), None
        hidden = output.last_hidden_state
        left = torch.cat([hidden, side], -1) if self.up is None else self.up(side)
        return type(output)(**{**output, "last_hidden_state": left})


class _Rung:
    """The hook behind one block."""

    def __init__(self, ladder: Ladder, number: str) -> None:
        self.ladder, self.number = ladder, number

    def __call__(self, block: Any, args: Any, given: Mapping[str, Any], output: Any) -> None:
        self.ladder.climb(self.number, output[0], args, given)
