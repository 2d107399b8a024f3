"""A causal model of `transformers`, called with embeddings instead of token ids; its head sees few places."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from trials.backbones.training_mode import TrainingMode
from trials.batching.dropout import Dropout
from trials.errors import BackboneError

CHUNK = 4096  # tokens embedded at once, where a table is made


class CausalModel:
    """Logits of a frozen model where they are needed.

    What surrounds the layers is the model's own code: what it does to embeddings before its first layer, and whatever
    scale or cap follows the product with its head. In front of that product a hook picks the places that are asked for,
    so that a vocabulary is not scored where nobody looks.

    Attributes:
        model: as it was loaded; nothing in it is replaced.
        numbered: whether it can be told the position of each token.
        drops: whether it has dropout; True until somebody has looked.
        replaced: weights to compute with instead of its own, by its names.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.drops = True
        self.replaced: Mapping[str, Tensor] = {}
        self._takes = set(inspect.signature(model.forward).parameters)
        self.numbered = "position_ids" in self._takes
        self._training = TrainingMode(model)
        self._places: Tensor | None = None
        head = model.get_output_embeddings()
        if head is None:
            raise BackboneError([f"{type(model).__name__} names no head that scores its vocabulary"])
        head.register_forward_pre_hook(self._picked)

    def logits(
        self,
        embeddings: Tensor,
        mask: Tensor,
        places: Tensor,
        *,
        positions: Tensor | None = None,
        cache: Any = None,
        dropout: Dropout | None = None,
    ) -> Tensor:
        """Scores of the vocabulary at some places of each row, float32, shape (rows, places, vocabulary).

        Args:
            embeddings: shape (rows, length, d).
            mask: 1 for what is there, 0 for padding, shape (rows, length); or what is added to scores of attention,
                shape (rows, 1, length, length).
            places: shape (rows, places), below ``length``.
            positions: of each token, shape (rows, length); None: the model counts them itself.
            cache: of what came before, extended.
            dropout: masks of the rows; None drops nothing.
        """
        asked = {
            "inputs_embeds": embeddings.to(self.model.dtype, copy=True),  # some models multiply them in place
            "attention_mask": mask,
            "position_ids": positions,
            "past_key_values": cache,
            "use_cache": cache is not None,
        }
        given = {name: value for name, value in asked.items() if value is not None and name in self._takes}
        drops = self.drops and dropout is not None
        training = self._training.dropping(dropout, *embeddings.shape[:2]) if drops else nullcontext()
        self._places = places
        try:
            with training:
                return self._called(given).logits.float()
        finally:
            self._places = None

    def met(self, embeddings: Tensor, mask: Tensor, places: Tensor) -> tuple[Tensor, int]:
        """Logits in training with every dropout held back, and in how many places there is one."""
        self._places = places
        given = {"inputs_embeds": embeddings.to(self.model.dtype, copy=True), "attention_mask": mask}
        try:
            with self._training.dropping(None, *embeddings.shape[:2]) as mode:
                return self._called(given).logits.float(), mode.places
        finally:
            self._places = None

    def _called(self, given: dict[str, Any]) -> Any:
        if self.replaced:
            return functional_call(self.model, dict(self.replaced), (), given, tie_weights=False)
        return self.model(**given)

    def _picked(self, head: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self._places is None:
            return None
        hidden, *others = inputs
        if hidden.dim() != 3:
            raise BackboneError([f"its head takes hidden states of shape {tuple(hidden.shape)}, not row by row"])
        return hidden.gather(1, self._places[:, :, None].expand(-1, -1, hidden.shape[2])), *others


@torch.no_grad()
def embedding_table(module: Any) -> Tensor:
    """What an embedding module makes of each token, shape (vocabulary, d): its weights, unless it does more.

    Gemma, XGLM and BioGPT, for instance, scale inside the module what they look up.
    """
    weight = module.weight
    if type(module) is nn.Embedding and module.max_norm is None:
        return weight
    ids = torch.arange(weight.shape[0], device=weight.device)
    table = torch.cat([module(part) for part in ids.split(CHUNK)])
    return weight if torch.equal(table, weight) else table
