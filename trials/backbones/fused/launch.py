"""Launches of the kernels: how many programs, of what size. Imported where one is launched, for it wants Triton.

What is computed here takes the processor's time before each launch: no more than a dozen microseconds, so it is kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from trials.backbones.fused import kernels
from trials.batching.dropout import INTEGERS, PLACE, _bits

TILE = 2048  # numbers that a program holds at once, unless one token or line has more
PART = 1024  # numbers of a token that a program masks
WARP = 256  # numbers for each warp of a program


def add_norm(
    x: Tensor | None, added: Tensor, keys: Tensor | None, site: int, p: float, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """See `operators.SCHEMAS`."""
    tokens, width = added.shape
    total = torch.empty_like(added, dtype=torch.float32)
    y = torch.empty_like(added, dtype=dtype)
    inverse = torch.empty(tokens, dtype=torch.float32, device=added.device)
    each, programs, block = _tiles(tokens, width)
    _launch(
        added, kernels.add_norm, (programs,),
        x, added, total, y, inverse, *_masks(keys, site, p, added.dtype), tokens, _length(tokens, keys), width, eps,
        ADDS=x is not None, DROPS=keys is not None, TOKENS=each, BLOCK=block, num_warps=_warps(each * block),
    )  # fmt: skip
    return total, y, inverse


def add_norm_backward(
    along: Tensor | None,
    g: Tensor,
    y: Tensor,
    inverse: Tensor,
    keys: Tensor | None,
    site: int,
    p: float,
    dtype: torch.dtype,
    stream: bool,
    added: bool,
) -> tuple[Tensor, Tensor]:
    """See `operators.SCHEMAS`."""
    tokens, width = y.shape
    of_stream = torch.empty_like(y, dtype=torch.float32) if stream else y.new_empty(0, dtype=torch.float32)
    of_added = torch.empty_like(y, dtype=dtype) if added else y.new_empty(0, dtype=dtype)
    each, programs, block = _tiles(tokens, width)
    _launch(
        y, kernels.add_norm_backward, (programs,),
        along, g, y, inverse, of_stream, of_added, *_masks(keys, site, p, dtype), tokens, _length(tokens, keys),
        width, ALONG=along is not None, STREAM=stream, ADDED=added, DROPS=keys is not None, TOKENS=each,
        BLOCK=block, num_warps=_warps(each * block),
    )  # fmt: skip
    return of_stream, of_added


def softmax_dropout(
    scores: Tensor, bias: Tensor | None, blocked: Tensor | None, keys: Tensor | None, site: int, p: float
) -> tuple[Tensor, Tensor]:
    """See `operators.SCHEMAS`."""
    rows, firsts, seconds, width = scores.shape
    weights = torch.empty_like(scores)
    masked = scores.new_empty(0) if keys is None else torch.empty_like(scores)
    of_bias = (0, 0, 0) if bias is None else bias.expand(scores.shape).stride()[:3]
    lines, programs, block = _tiles(rows * firsts * seconds, width)
    _launch(
        scores, kernels.softmax_dropout, (programs,),
        scores, bias, blocked, weights, masked, *_masks(keys, site, p, scores.dtype),
        rows * firsts * seconds, firsts, seconds, width, *of_bias, 0 if blocked is None else blocked.stride(0),
        BIAS=bias is not None, BLOCKED=blocked is not None, DROPS=keys is not None, LINES=lines, BLOCK=block,
        num_warps=_warps(lines * block),
    )  # fmt: skip
    return weights, masked


def softmax_dropout_backward(
    g: Tensor, weights: Tensor, keys: Tensor | None, site: int, p: float
) -> tuple[Tensor, Tensor]:
    """See `operators.SCHEMAS`."""
    rows, firsts, seconds, width = weights.shape
    of_scores = torch.empty_like(weights)
    masked = weights.new_empty(0) if keys is None else torch.empty_like(weights)
    lines, programs, block = _tiles(rows * firsts * seconds, width)
    _launch(
        weights, kernels.softmax_dropout_backward, (programs,),
        g, weights, of_scores, masked, *_masks(keys, site, p, weights.dtype),
        rows * firsts * seconds, firsts, seconds, width,
        DROPS=keys is not None, LINES=lines, BLOCK=block, num_warps=_warps(lines * block),
    )  # fmt: skip
    return of_scores, masked


def dropped(x: Tensor, keys: Tensor | None, site: int, p: float, relu: bool) -> Tensor:
    """See `operators.SCHEMAS`."""
    tokens, width = x.shape
    out = torch.empty_like(x)
    each, programs, block = _tiles(tokens, min(width, PART))
    _launch(
        x, kernels.dropped, (programs, -(-width // block)),
        x, out, *_masks(keys, site, p, x.dtype), tokens, _length(tokens, keys), width,
        RELU=relu, DROPS=keys is not None, TOKENS=each, BLOCK=block, num_warps=_warps(each * block),
    )  # fmt: skip
    return out


def relu_backward(g: Tensor, y: Tensor, scale: float) -> Tensor:
    """See `operators.SCHEMAS`."""
    out = torch.empty_like(y)
    _launch(
        y, kernels.relu_backward, (-(-y.numel() // PART),),
        g, y, out, scale, y.numel(), BLOCK=PART, num_warps=_warps(PART)
    )  # fmt: skip
    return out


def _masks(keys: Tensor | None, site: int, p: float, dtype: torch.dtype) -> tuple[Any, ...]:
    """Keys, word, drops and scale, as the kernels take them."""
    return (None, 0, 0, 1.0) if keys is None else (keys, *_numbers(site, p, dtype))


@lru_cache(maxsize=4096)
def _numbers(site: int, p: float, dtype: torch.dtype) -> tuple[int, int, float]:
    """Word, drops, and what masks of this type hold where they keep."""
    word = (site * PLACE + (1 << 31)) % (1 << 32) - (1 << 31)
    scale = torch.tensor(_bits(1 / (1 - p), dtype), dtype=INTEGERS[dtype.itemsize]).view(dtype)
    return word, round(p * 65536), float(scale)


def _length(tokens: int, keys: Tensor | None) -> int:
    return tokens if keys is None else tokens // len(keys)


@lru_cache(maxsize=4096)
def _tiles(count: int, width: int) -> tuple[int, int, int]:
    """Tokens or lines that a program takes, programs, and numbers of each, as powers of two."""
    block = 1 << (width - 1).bit_length()
    each = max(1, min(TILE // block, 1 << (count - 1).bit_length()))
    return each, -(-count // each), block


def _warps(numbers: int) -> int:
    return min(8, max(1, numbers // WARP))


def _launch(on: Tensor, kernel: Any, grid: tuple[int, ...], *args: Any, **constants: Any) -> None:
    """A kernel goes to torch's current device: let that be the tensors' own."""
    if on.device.type != "cuda" or on.device.index == torch.cuda.current_device():
        kernel[grid](*args, **constants)
    else:
        with torch.cuda.device(on.device):
            kernel[grid](*args, **constants)
