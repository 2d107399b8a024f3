"""A model of `transformers` as it is in training, but that its dropout takes the rows' masks (`batching.dropout`).

Dropout stands in a model as a module, as a call of a function, or inside an attention kernel, and is on where
``training`` is. All three come down to two functions of torch, which are answered here while a pass lasts; which call
of a pass it is, the first, the second, the third, names the place of its mask.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from trials.batching.dropout import Dropout, keep
from trials.errors import BackboneError

OTHERS = {F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout, torch.alpha_dropout}


class RowDropout(TorchFunctionMode):
    """Answers torch's dropout with masks of each row while it is entered.

    Args:
        dropout: of the pass; None drops nothing, whatever is asked for.
        lengths: positions in each row, of an encoder and of its decoder: they tell what a model has flattened to (rows
            times length, features).

    Attributes:
        places: of the network where something is dropped, as far as they were met.
    """

    def __init__(self, dropout: Dropout | None, rows: int, lengths: Collection[int]) -> None:
        super().__init__()
        self.dropout, self.rows, self.lengths = dropout, rows, lengths
        self.places = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """See `TorchFunctionMode`."""
        kwargs = kwargs or {}
        if func is F.dropout or func is torch.dropout:
            return self._dropped(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            return self._attended(func, *args, **kwargs)
        if func in OTHERS and _asked(*args, **kwargs):
            raise BackboneError([f"{func.__name__} is no dropout that rows can have masks of their own for"])
        return func(*args, **kwargs)

    def _dropped(
        self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, **more: Any
    ) -> Tensor:
        if not more.get("train", training) or p == 0:
            return input
        site, self.places = self.places, self.places + 1
        if self.dropout is None:
            return input
        mask = keep(self.dropout.words(site), self._inside(input.shape), p, input.dtype)
        return input * mask.view(input.shape)

    def _inside(self, shape: Sequence[int]) -> Sequence[int]:
        """The shape of a row's part, as one to three axes."""
        if shape[0] == self.rows and 2 <= len(shape) <= 4:
            return shape[1:]
        if shape[0] == self.rows and len(shape) == 5:  # blocks of a row beside heads
            return shape[1] * shape[2], *shape[3:]
        if len(shape) == 2 and shape[0] % self.rows == 0 and shape[0] // self.rows in self.lengths:
            return shape[0] // self.rows, shape[1]
        if shape[0] % self.rows == 0 and len(shape) == 3:  # heads beside rows
            return shape[0] // self.rows, *shape[1:]
        raise BackboneError([f"its dropout of shape {tuple(shape)} is of no row of {self.rows}"])

    def _attended(
        self,
        func: Callable[..., Tensor],
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        more: dict[str, Any] = {"attn_mask": attn_mask, "is_causal": is_causal, "scale": scale}
        more["enable_gqa"] = enable_gqa
        if dropout_p == 0:
            return func(query, key, value, **more)
        if self.dropout is None:
            self.places += 1
            return func(query, key, value, **more)
        if enable_gqa:
            key, value = (x.repeat_interleave(query.shape[1] // key.shape[1], dim=1) for x in (key, value))
        scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
        elif attn_mask is not None:
            scores = scores + attn_mask
        return self._dropped(scores.softmax(-1), dropout_p) @ value


def _asked(input: Tensor, p: float = 0.5, training: bool = True, *more: Any, **others: Any) -> bool:
    return bool(training) and p > 0


class TrainingMode:
    """Puts a model's modules in training for the length of a pass, and out of it again.

    Layers are never left out (LayerDrop): that is decided for all rows of a pass at once, and no trial could have its
    own.
    """

    def __init__(self, model: nn.Module) -> None:
        self._modules = list(model.modules())
        for module in self._modules:
            if hasattr(module, "layerdrop"):
                module.__dict__["layerdrop"] = 0.0

    @contextmanager
    def dropping(self, dropout: Dropout | None, rows: int, lengths: Collection[int]) -> Iterator[RowDropout]:
        """See `RowDropout`."""
        self._set(True)
        try:
            with RowDropout(dropout, rows, lengths) as mode:
                yield mode
        finally:
            self._set(False)

    def _set(self, training: bool) -> None:
        for module in self._modules:  # beside nn.Module's own way, which takes a millisecond for a few hundred of them
            module.__dict__["training"] = training
