"""The kernels as operators of torch, ``torch.ops.adept``: schemas, and what comes out on a device without numbers.

On CUDA kernels are launched without them (`of`): for torch's dispatcher, to call Python takes some 20 us.
Triton is imported when the first of them is launched. On torch's device ``meta`` none is, so that shapes can be
followed and launches counted anywhere; on a processor they run in Triton's interpreter (TRITON_INTERPRET=1), for tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

MASKS = "Tensor? keys, int site, float p"
"""Dropout: the rows' keys (None: nothing is dropped), the place of the network, the probability."""

SCHEMAS = {
    "add_norm": f"(Tensor? x, Tensor added, {MASKS}, float eps, ScalarType dtype) -> (Tensor, Tensor, Tensor)",
    "add_norm_backward": (
        f"(Tensor? along, Tensor g, Tensor y, Tensor inverse, {MASKS}, ScalarType dtype, bool stream, bool added)"
        " -> (Tensor, Tensor)"
    ),
    "softmax_dropout": f"(Tensor scores, Tensor? bias, Tensor? blocked, {MASKS}) -> (Tensor, Tensor)",
    "softmax_dropout_backward": f"(Tensor g, Tensor weights, {MASKS}) -> (Tensor, Tensor)",
    "dropped": f"(Tensor x, {MASKS}, bool relu) -> Tensor",
    "relu_backward": "(Tensor g, Tensor y, float scale) -> Tensor",
}
"""Tensors are contiguous. Of these shapes:

- add_norm: x float32, None at the start of a stream, and added (tokens, d), row by row -> their sum, its norm (both of
  that shape), and what the norm multiplied each token by (tokens,). Its backward: of the stream and of what was added,
  each empty where it is not asked for.
- softmax_dropout: scores (rows, a, b, keys), of one mask (a, b, keys); bias of a shape that expands to that, its keys
  side by side; blocked (rows, keys) -> weights, and the masked ones (empty without keys). Its backward: of the scores,
  and the masked weights again.
- dropped: x (tokens, features), row by row, of which only what is positive where ``relu`` is set.
"""

LIBRARY = torch.library.Library("adept", "FRAGMENT")


def _launched(name: str) -> Callable[..., Any]:
    def launch(*args: Any) -> Any:
        from trials.backbones.fused import launch as launches

        return getattr(launches, name)(*args)

    return launch


def _add_norm(x: Tensor | None, added: Tensor, keys: Any, site: Any, p: Any, eps: Any, dtype: torch.dtype) -> Any:
    total = torch.empty_like(added, dtype=torch.float32)
    return total, torch.empty_like(added, dtype=dtype), total.new_empty(len(added))


def _add_norm_backward(
    along: Any, g: Any, y: Tensor, inverse: Any, keys: Any, site: Any, p: Any, dtype: Any, stream: bool, added: bool
) -> Any:
    none = y.new_empty(0)
    return tuple(
        torch.empty_like(y, dtype=its) if asked else none.to(its, copy=True)
        for its, asked in ((torch.float32, stream), (dtype, added))
    )


def _masked(weights: Tensor, keys: Tensor | None) -> Any:
    return torch.empty_like(weights), weights.new_empty(0) if keys is None else torch.empty_like(weights)


FAKES: dict[str, Callable[..., Any]] = {
    "add_norm": _add_norm,
    "add_norm_backward": _add_norm_backward,
    "softmax_dropout": lambda scores, bias, blocked, keys, site, p: _masked(scores, keys),
    "softmax_dropout_backward": lambda g, weights, keys, site, p: _masked(weights, keys),
    "dropped": lambda x, keys, site, p, relu: torch.empty_like(x),
    "relu_backward": lambda g, y, scale: torch.empty_like(y),
}

for _name, _schema in SCHEMAS.items():
    LIBRARY.define(_name + _schema)
    for _device in ("CPU", "CUDA"):
        LIBRARY.impl(_name, _launched(_name), _device)
    torch.library.register_fake(f"adept::{_name}", FAKES[_name], lib=LIBRARY)


def of(tensor: Tensor) -> Any:
    """What computes on a tensor's device, by the names of `SCHEMAS`."""
    if not tensor.is_cuda:
        return torch.ops.adept
    from trials.backbones.fused import launch

    return launch
