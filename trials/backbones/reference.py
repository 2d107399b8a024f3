"""The model's own forward pass on token ids, one row at a time: what a backbone is compared with."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class Reference:
    """A loaded model of `transformers` as anyone would call it: no padding, no cache, no embeddings from outside.

    Args:
        embeds_answers: whether answers stand behind their sources; else they are a decoder's.
        start: the token that such a decoder begins with.
        scale: what the encoder multiplies looked-up embeddings with (`trials.backbones.stock.embed_scale`).
    """

    def __init__(self, model: Any, *, embeds_answers: bool, start: int = 0, scale: float = 1.0) -> None:
        self.model, self.embeds_answers, self.start, self.scale = model, embeds_answers, start, scale
        inner = model if embeds_answers else model.get_encoder()
        self._embedding = inner.get_input_embeddings()
        takes = inspect.signature(model.forward).parameters
        self._more: dict[str, Any] = {"use_cache": False} if "use_cache" in takes else {}
        self._known: dict[tuple[tuple[int, ...], tuple[int, ...]], Tensor] = {}

    def logits(self, source: Sequence[int], answer: Sequence[int]) -> Tensor:
        """After the source and each token of its answer, float32, without gradients, shape (1 + answer, vocabulary)."""
        row = tuple(source), tuple(answer)
        if row not in self._known:
            with torch.no_grad():
                self._known[row] = self._logits(source, answer)
        return self._known[row]

    def _logits(self, source: Sequence[int], answer: Sequence[int]) -> Tensor:
        device = self.model.device
        ids = torch.tensor([[*source, *answer] if self.embeds_answers else list(source)], device=device)
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **self._more}
        if not self.embeds_answers:
            given["decoder_input_ids"] = torch.tensor([[self.start, *answer]], device=device)
        logits = self.model(**given).logits[0].float()
        return logits[len(source) - 1 :] if self.embeds_answers else logits

    def training(self, source: Sequence[int], answer: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Losses of the answer's tokens in nats, shape (answer,), and the gradient of their sum.

        Returns:
            The gradient is that of what the model embeds the row as, with its scale, shape (tokens, d).
        """
        seen: list[Tensor] = []

        def keep(module: Any, inputs: Any, output: Tensor) -> Tensor | None:
            if seen:
                return None
            seen.append(output.detach().requires_grad_())
            return seen[0].clone()  # some models multiply it in place

        hook = self._embedding.register_forward_hook(keep)
        try:
            logits = self._logits(source, answer if self.embeds_answers else answer[:-1])[: len(answer)]
        finally:
            hook.remove()
        losses = F.cross_entropy(logits, torch.tensor(list(answer), device=logits.device), reduction="none")
        losses.sum().backward()
        gradient = seen[0].grad
        assert gradient is not None
        return losses.detach(), gradient[0] / self.scale


def special_tokens(config: Any) -> set[int]:
    """Token ids that a config gives a meaning to, those inside it included: no made-up text has them."""

    def found(part: Mapping[str, Any]) -> set[int]:
        ids: set[int] = set()
        for name, value in part.items():
            if isinstance(value, Mapping):
                ids |= found(value)
            elif "token_i" in str(name):  # ..._token_id, ..._token_ids, ..._token_index
                ids |= {v for v in (value if isinstance(value, list) else [value]) if isinstance(v, int)}
        return ids

    return found(config.to_dict())
