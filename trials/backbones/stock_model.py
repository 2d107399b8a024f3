"""A model of `transformers` as it is, called with embeddings instead of token ids."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from trials.backbones.training_mode import TrainingMode
from trials.backbones.unasked import unasked
from trials.batching.dropout import Dropout
from trials.errors import BackboneError

CHUNK = 4096  # tokens embedded at once, where a table is made


class StockModel:
    """Calls of a frozen model, with its dropout by rows, and with other weights where a method has made some.

    What surrounds the layers is the model's own code: what it does to embeddings before its first layer, and whatever
    scale, bias or cap follows the product with its head.

    Attributes:
        model: as it was loaded; nothing in it is replaced.
        numbered: whether it takes the position of each token.
        drops: whether it has dropout; True until that has been looked at.
        before: places that stand before each row without being read.
        replaced: weights to compute with instead of its own, by its names.
    """

    before = 0

    def __init__(self, model: Any) -> None:
        self.model = model
        self.drops = True
        self.replaced: Mapping[str, Tensor] = {}
        self._takes = set(inspect.signature(model.forward).parameters)
        self.numbered = "position_ids" in self._takes
        self._training = TrainingMode(model)
        self._head = model.get_output_embeddings()
        if self._head is None:
            raise BackboneError([f"{type(model).__name__} names no head that scores its vocabulary"])

    def logits(
        self,
        embeddings: Tensor | None,
        mask: Tensor,
        places: Tensor | None = None,
        *,
        dropout: Dropout | None = None,
        cache: Any = None,
        **more: Any,
    ) -> Tensor:
        """Scores of the vocabulary, float32, shape (rows, places, vocabulary).

        Args:
            embeddings: shape (rows, length, d); None where ``more`` has an encoder's outputs.
            mask: 1 for what is there, 0 for padding, shape (rows, length); or what is added to scores of attention,
                shape (rows, 1, length, length).
            places: the places of each row to score, shape (rows, places), so that a vocabulary is not scored where
                nobody looks, the first of them the source's last; None: all, of an encoder-decoder model those of its
                decoder.
            dropout: masks of the rows; None drops nothing.
            cache: of what came before, extended.
            more: by the names of the model's arguments; what it does not take, or is None, is left out.
        """
        given = self._given(embeddings, mask, past_key_values=cache, use_cache=cache is not None, **more)
        training = self._training.dropping(dropout, *_sizes(given)) if self.drops and dropout else nullcontext()
        with training:
            return self._scored(given, places)

    def logits_in_training(
        self, embeddings: Tensor, mask: Tensor, places: Tensor | None = None, **more: Any
    ) -> tuple[Tensor, int]:
        """Logits in training with every dropout held back, and in how many places there is one."""
        given = self._given(embeddings, mask, use_cache=False, **more)
        with self._training.dropping(None, *_sizes(given)) as mode:
            return self._scored(given, places), mode.places

    def encoded(self, embeddings: Tensor, mask: Tensor) -> Any:
        """What an encoder-decoder model's encoder makes of rows, as its decoder takes it (``encoder_outputs``)."""
        encoder = self.model.get_encoder()
        given = {"inputs_embeds": embeddings.to(self.model.dtype, copy=True), "attention_mask": mask}
        weights = {f"model.{name}": weight for name, weight in self.replaced.items()}
        with unasked(embeddings.device):
            if not self.replaced:
                return encoder(**given)
            return functional_call(_Part(self.model, encoder), weights, (), given, tie_weights=False)

    def _given(self, embeddings: Tensor | None, mask: Tensor, **more: Any) -> dict[str, Any]:
        if embeddings is not None:
            more["inputs_embeds"] = embeddings.to(self.model.dtype, copy=True)  # some models multiply them in place
        more["attention_mask"] = mask
        return {name: value for name, value in more.items() if value is not None and name in self._takes}

    def _scored(self, given: dict[str, Any], places: Tensor | None) -> Tensor:
        device = given["attention_mask"].device
        with unasked(device), nullcontext() if places is None else _picking(self._head, places):
            if self.replaced:
                found = functional_call(self.model, dict(self.replaced), (), given, tie_weights=False)
            else:
                found = self.model(**given)
        return found.logits.float()


class _Part(nn.Module):
    """A part of a model, under the whole model's names."""

    def __init__(self, model: nn.Module, part: Callable[..., Any]) -> None:
        super().__init__()
        self.model = model
        self._part = (part,)  # in a tuple, or its weights would have two names

    def forward(self, **given: Any) -> Any:
        """Of the part."""
        return self._part[0](**given)


@contextmanager
def _picking(head: nn.Module, places: Tensor) -> Iterator[None]:
    """Let the head score some places of each row alone."""

    def picked(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden, *others = inputs
        if hidden.dim() != 3:
            raise BackboneError([f"its head takes hidden states of shape {tuple(hidden.shape)}, not row by row"])
        return hidden.gather(1, places[:, :, None].expand(-1, -1, hidden.shape[2])), *others

    hook = head.register_forward_pre_hook(picked)
    try:
        yield
    finally:
        hook.remove()


def _sizes(given: Mapping[str, Any]) -> tuple[int, set[int]]:
    """Rows of a call, and the lengths that they have in it."""
    rows, length, _ = given["inputs_embeds"].shape
    answers = given.get("decoder_input_ids")
    return rows, {length} if answers is None else {length, answers.shape[1]}


@torch.no_grad()
def embedding_table(module: Any) -> Tensor:
    """What an embedding module makes of each token, shape (vocabulary, d): its weights, unless it does more.

    Gemma, XGLM and BART, for instance, scale inside the module what they look up.
    """
    weight = module.weight
    if type(module) is nn.Embedding and module.max_norm is None:
        return weight
    ids = torch.arange(weight.shape[0], device=weight.device)
    table = torch.cat([module(part) for part in ids.split(CHUNK)])
    return weight if torch.equal(table, weight) else table
