"""Whether an accelerator computes T5 in fused kernels: compared there, on it, with the plain way, before it is chosen.

Numbers first: two layers of encoder and decoder, forward and backward with dropout, in float32 without rounding of
products; in bfloat16, where the two ways round differently, how far each is from float32. Then pace: training passes of
the whole model. Where fused kernels are wrong, slower, or cannot be made at all, the plain way stays, and one sentence
says why.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from trials.backbones.base import Backbone
from trials.backbones.precision import DTYPES, in_halves, products_as
from trials.backbones.t5.backbone import T5Backbone
from trials.backbones.t5.forward import T5
from trials.batching.dropout import Dropout, row_keys
from trials.stack.devices import wait

EXACT = 1e-4  # difference in float32 of states and logits, to their norm, up to which it is rounding
GRADIENTS = 1e-3  # of gradients: a ReLU whose input is 0 but for rounding may open in one way and not in the other
ROUNDED = 2.0  # times the plain way's error in bfloat16 that fused kernels may have
LAYERS = 2  # of each side whose numbers are compared
ROWS, LENGTH, ANSWER = 128, 64, 2  # of the passes that are timed: 8,192 tokens
PASSES = 5  # of which the fastest counts
PLAIN = "T5 is computed operation by operation"


@dataclass(frozen=True)
class Compared:
    """What was found on a device.

    Attributes:
        exact: the largest difference in float32, a gradient's as a share of what is allowed to it.
        rounded: in bfloat16, the largest error against float32, in errors of the plain way; 1 in float32.
        plain, fused: seconds of a training pass.
        rows: of that pass, each of `LENGTH` tokens.
    """

    exact: float
    rounded: float
    plain: float
    fused: float
    rows: int


def choose(on: Backbone, deterministic: bool = False) -> str:
    """Let a backbone compute in fused kernels where that is right and faster.

    Args:
        deterministic: take the plain way without a look: a pace that is measured may choose another one tomorrow, with
            other rounding.

    Returns:
        Why it does not, in one sentence; empty where it does, or where nobody would expect it to.
    """
    if not isinstance(on, T5Backbone) or on.device.type != "cuda":
        return ""
    if deterministic:
        on.use_fused(False)
        return ""
    if on.not_fused is None:  # a process keeps its backbone for the next search
        on.not_fused = why_plain(on)
    on.use_fused(not on.not_fused)
    return on.not_fused


def why_plain(on: T5Backbone) -> str:
    """The sentence, empty where fused kernels are right and faster; the backbone computes the plain way afterwards."""
    try:
        found = compared(on)
    except ModuleNotFoundError as error:
        if error.name != "triton":
            raise
        return f"{PLAIN}: fused kernels want Triton, which is not installed here"
    except Exception as error:  # whatever a compiler, a driver or a card that nobody has tried may raise
        words = (str(error).strip() or "no words").splitlines()[0][:160]
        return f"{PLAIN}: fused kernels fail here ({type(error).__name__}: {words})"
    finally:
        on.use_fused(False)
    if not found.exact <= EXACT:  # not a number, too
        what = f"they differ by {found.exact:.1g} of their norm, rounding by {EXACT:g} at most"
        return f"{PLAIN}: fused kernels give other numbers here ({what})"
    if not found.rounded <= ROUNDED:
        what = f"{found.rounded:.1f} times as far from float32 in {on.precision}"
        return f"{PLAIN}: fused kernels give other numbers here ({what})"
    if found.fused > found.plain:
        pace = f"{1e3 * found.fused:.1f} ms for a pass of {found.rows * LENGTH:,} tokens instead of "
        return f"{PLAIN}: fused kernels are slower here ({pace}{1e3 * found.plain:.1f})"
    return ""


def compared(on: T5Backbone) -> Compared:
    """Numbers and pace of the two ways on the backbone's device."""
    exact, rounded = differences(on)
    rows = ROWS
    while True:
        try:
            seconds = [[_seconds(on, fused, rows) for fused in (False, True)] for _ in range(PASSES)]
            break
        except torch.OutOfMemoryError:
            if rows == 1:
                raise
            rows = max(1, rows // 4)
    if on.device.type == "cuda":
        torch.cuda.empty_cache()
    plain, fused = (min(of_way) for of_way in zip(*seconds, strict=True))
    return Compared(exact, rounded, plain, fused, rows)


def differences(on: T5Backbone) -> tuple[float, float]:
    """See `Compared`; of the encoder's states, logits and gradients at the input, of the first layers."""
    from trials.backbones.t5.fused import FusedT5

    lengths = [1 + 7 * n % 61 for n in range(8)]
    with _unrounded(on):
        plain, half = shallow(on.plain, torch.float32), shallow(on.plain, DTYPES[on.precision])
        right = numbers(plain, lengths)
        states, logits, gradients = _apart(numbers(FusedT5(plain), lengths), right)
        exact = _most([states, logits, gradients * EXACT / GRADIENTS])
        if not in_halves(on.precision):
            return exact, 1.0
        ours, theirs = (_apart(numbers(t5, lengths), right) for t5 in (FusedT5(half), half))
    return exact, _most([a / b for a, b in zip(ours, theirs, strict=True)])


def _most(values: list[float]) -> float:
    """The largest, and not a number where one is none, which Python's own would pass over."""
    return float(torch.tensor(values).max())


def _apart(these: list[Tensor], those: list[Tensor]) -> list[float]:
    return [float((a - b).norm() / b.norm()) for a, b in zip(these, those, strict=True)]


def shallow(t5: T5, dtype: torch.dtype) -> T5:
    """The first layers of each side, in a precision of their own; with dropout, whatever the model's own is."""
    made = copy(t5)
    made.p = t5.p or 0.1
    made.dtype, made.vocabulary = dtype, t5.vocabulary[:1024].to(dtype)
    made.encoder, made.decoder = ([layer.to(dtype) for layer in side[:LAYERS]] for side in (t5.encoder, t5.decoder))
    return made


def numbers(t5: T5, lengths: list[int]) -> list[Tensor]:
    """States of real tokens, logits, gradients of real tokens."""
    x, real, sizes, tokens, dropout = _made(t5, lengths)
    encoded = t5.encode(x, sizes, dropout)
    depths = torch.arange(ANSWER, device=x.device)
    logits = t5.logits(t5.decode(encoded, tokens, depths, depths <= depths[:, None], dropout))
    (logits.square().sum() / logits.numel()).backward()
    assert x.grad is not None
    return [value.detach().double() for value in (encoded.states * real, logits, x.grad * real)]


def _seconds(on: T5Backbone, fused: bool, rows: int) -> float:
    """A training pass of the whole model, rows of one length; the first of a kind makes its kernels."""
    on.use_fused(fused)
    wait(on.device)
    started = time.perf_counter()
    numbers(on.t5, [LENGTH] * rows)
    wait(on.device)
    return time.perf_counter() - started


def _made(t5: T5, lengths: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor, Dropout]:
    """Made-up embeddings, which of them are real, their lengths, tokens of answers, and masks."""
    device = t5.tokens.device
    generator = torch.Generator().manual_seed(0)
    sizes = torch.tensor(lengths)
    x = torch.randn(len(lengths), max(lengths), t5.config.d_model, generator=generator)
    real = (torch.arange(max(lengths)) < sizes[:, None])[..., None]
    tokens = torch.randint(t5.tokens.shape[0], (len(lengths), ANSWER), generator=generator)
    keys = torch.from_numpy(row_keys(0, 0, len(lengths)))
    x, real, sizes, tokens, keys = (value.to(device) for value in (x, real, sizes, tokens, keys))
    return x.requires_grad_(), real, sizes, tokens, Dropout(keys)


@contextmanager
def _unrounded(on: T5Backbone) -> Iterator[None]:
    """Products of float32 numbers as they are while this lasts: their rounding would hide a difference."""
    products_as("float32-exact", on.device)
    try:
        yield
    finally:
        products_as(on.precision, on.device)
