"""Fused kernels have the numbers of the plain way: on a card, or else in Triton's interpreter (tests/conftest.py).

The interpreter cuts bfloat16 off where a card rounds it, so that its error is twice a card's.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration

from trials.backbones.t5.forward import T5
from trials.batching.dropout import Dropout, keep, row_keys
from trials.batching.passes import ANY

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None,
    reason="Triton is not installed (pip install triton==3.9.0; its wheel of 286 MB is not among the test extras)",
)
ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 2**-6}
TYPES = pytest.mark.parametrize("dtype", list(ROUNDING), ids=["float32", "bfloat16"])
ROWS, LENGTH, P, SITE = 3, 7, 0.3, 1017


def keys() -> Tensor:
    return torch.from_numpy(row_keys(1, 2, ROWS)).to(DEVICE)


def made(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


def alike(ours: Tensor, theirs: Tensor, most: float) -> bool:
    return ours.dtype == theirs.dtype and float((ours - theirs).float().norm()) <= most * float(theirs.float().norm())


@TYPES
@pytest.mark.parametrize("width", [1, 37, 64])
def test_masks_of_tokens_have_the_bits_of_the_rows(dtype: torch.dtype, width: int) -> None:
    from trials.backbones.fused.functions import Dropped, Masks

    ones = torch.ones(ROWS * LENGTH, width, dtype=dtype, device=DEVICE)
    mask = keep(Dropout(keys()).words(SITE), (LENGTH, width), P, dtype).flatten(0, 1)
    assert torch.equal(Dropped.apply(ones, Masks(keys(), P), SITE), mask)
    assert bool((mask == 0).any())


@TYPES
@pytest.mark.parametrize(("first", "second", "width"), [(2, 5, 9), (40, 1, 33)])
def test_attention_weights_are_softmaxed_and_masked_as_their_rows_have_it(
    dtype: torch.dtype, first: int, second: int, width: int
) -> None:
    from trials.backbones.fused.functions import Masks, SoftmaxDropped
    from trials.backbones.fused.operators import of

    shape = (ROWS, first, second, width)
    scores = made(*shape, dtype=dtype).requires_grad_()
    bias, g = made(1, *shape[1:], dtype=dtype, seed=1), made(*shape, dtype=dtype, seed=2)
    blocked = torch.zeros(ROWS, width, dtype=dtype, device=DEVICE)
    blocked[1, width // 2 :] = -1e9
    mask = keep(Dropout(keys()).words(SITE), shape[1:], P, torch.float32)
    weights = (scores.float() + bias.float() + blocked.float()[:, None, None]).softmax(-1)
    (weights * mask).backward(g.float())
    theirs, scores.grad = scores.grad, None
    found = SoftmaxDropped.apply(scores, bias, blocked, Masks(keys(), P), SITE)
    found.backward(g)
    assert theirs is not None and scores.grad is not None
    assert torch.equal(found == 0, weights * mask == 0)
    assert alike(found.detach(), (weights * mask).detach().to(dtype), ROUNDING[dtype])
    assert alike(scores.grad, theirs, 2 * ROUNDING[dtype])
    again = of(g).softmax_dropout_backward(g, weights.detach().to(dtype), keys(), SITE, P)[1]
    assert torch.equal(again == 0, found == 0)


@TYPES
@pytest.mark.parametrize("width", [24, 45])
@pytest.mark.parametrize("begins", [False, True])
def test_a_residual_norm_and_its_gradient_are_those_of_the_plain_one(
    dtype: torch.dtype, width: int, begins: bool
) -> None:
    from trials.backbones.fused.functions import AddNorm, Masks
    from trials.backbones.t5 import functions as plain

    tokens = ROWS * LENGTH
    x, added = made(tokens, width), made(tokens, width, dtype=torch.float32 if begins else dtype, seed=1)
    along, g = made(tokens, width, seed=2), made(tokens, width, dtype=dtype, seed=3)
    mask = keep(Dropout(keys()).words(SITE), (LENGTH, width), P, added.dtype).flatten(0, 1)
    found: list[list[Tensor | None]] = []
    for fused in (False, True):
        given, more = x.clone().requires_grad_(not begins), added.clone().requires_grad_()
        if fused:
            ours = AddNorm.apply(None if begins else given, more, Masks(keys(), P), SITE, 1e-6, dtype)
        elif begins:
            ours = plain.AddNorm.apply(more * mask, None, None, 1e-6, dtype)
        else:
            ours = plain.AddNorm.apply(given * 1, more, mask, 1e-6, dtype)
        torch.autograd.backward(list(ours), [along.clone(), g])
        found.append([*(value.detach() for value in ours), given.grad, more.grad])
    for theirs, mine in zip(*found, strict=True):
        assert (theirs is None) == (mine is None)
        assert theirs is None or mine is None or alike(mine, theirs, ROUNDING[dtype])


def test_what_is_followed_without_numbers_has_the_shapes_and_types_of_what_is_computed() -> None:
    from trials.backbones.fused import operators  # noqa: F401  (defines them)

    x, half = made(ROWS * LENGTH, 6), made(ROWS * LENGTH, 6, dtype=torch.bfloat16)
    scores, inverse, masks = made(ROWS, 2, 5, 9, dtype=torch.bfloat16), made(ROWS * LENGTH), (keys(), SITE, P)
    called: list[tuple[str, tuple[Any, ...]]] = [
        ("add_norm", (x, half, *masks, 1e-6, torch.bfloat16)),
        ("add_norm_backward", (x, half, half, inverse, *masks, torch.bfloat16, True, True)),
        ("add_norm_backward", (None, half, half, inverse, None, 0, 0.0, torch.float32, True, False)),
        ("softmax_dropout", (scores, scores[:1], scores[:, 0, 0], *masks)),
        ("softmax_dropout_backward", (scores, scores, None, 0, 0.0)),
        ("dropped", (half, *masks, True)),
        ("relu_backward", (half, half, 1.5)),
    ]
    for name, given in called:
        operator = getattr(torch.ops.adept, name).default
        torch.library.opcheck(operator, given, test_utils=("test_schema", "test_faketensor"))


@pytest.fixture
def padded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(T5, "grain", ANY)
    yield


def small(kind: str, dtype: torch.dtype) -> T5:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=64, d_model=20, d_kv=6, d_ff=35, num_layers=1, num_decoder_layers=1, num_heads=3, dropout_rate=0.1,
        feed_forward_proj=kind, decoder_start_token_id=0,
    )  # fmt: skip
    model: Any = T5ForConditionalGeneration(config)
    return T5(model.to(DEVICE).eval().requires_grad_(False), dtype)


def passed(t5: T5, leaf: bool) -> list[Tensor]:
    """States, logits and gradients of a pass, those of changed cross-attention weights among them where asked for."""
    lengths = torch.tensor([9, 4, 7])
    x, depths = made(ROWS, 9, 20).requires_grad_(), torch.arange(2, device=DEVICE)
    value = t5.decoder[0].cross[2].detach().clone().requires_grad_(leaf)
    t5.decoder[0].cross = (*t5.decoder[0].cross[:2], value, t5.decoder[0].cross[3])
    encoded = t5.encode(x, lengths.to(DEVICE), Dropout(keys()))
    tokens = torch.tensor([[0, 5]] * ROWS, device=DEVICE)
    logits = t5.logits(t5.decode(encoded, tokens, depths, depths <= depths[:, None], Dropout(keys())))
    logits.square().sum().backward()
    real = (torch.arange(9) < lengths[:, None])[..., None].to(DEVICE)
    found = [encoded.states * real, logits, x.grad, *([value.grad] if leaf else [])]
    return [value.detach().float() for value in found if value is not None]


@pytest.mark.parametrize(
    ("kind", "dtype", "leaf"),
    [("relu", torch.float32, False), ("gated-gelu", torch.float32, True), ("relu", torch.bfloat16, False)],
)
def test_a_pass_has_the_numbers_of_the_processors_way(kind: str, dtype: torch.dtype, leaf: bool) -> None:
    from trials.backbones.t5.fused import FusedT5

    plain = small(kind, dtype)
    for theirs, ours in zip(passed(plain, leaf), passed(FusedT5(plain), leaf), strict=True):
        assert alike(ours, theirs, 1e-5 if dtype == torch.float32 else 0.1)


@pytest.mark.usefixtures("padded")
def test_answers_token_by_token_have_the_plain_logits() -> None:
    from trials.backbones.t5.forward import Past
    from trials.backbones.t5.fused import FusedT5

    plain = small("relu", torch.float32)
    x, lengths = made(ROWS, 5, 20), torch.tensor([5, 2, 3], device=DEVICE)
    found: list[list[Any]] = []
    for t5 in (plain, FusedT5(plain)):
        past, scored = Past(), []
        encoded = t5.encode(x, lengths).rows(torch.tensor([2, 0], device=DEVICE))
        for n in range(2):
            tokens, depths = torch.tensor([[3 + n], [7]], device=DEVICE), torch.arange(n + 1, device=DEVICE)
            scored.append(t5.logits(t5.decode(encoded, tokens, depths, depths[None] >= 0, past=past)))
        found.append(scored)
    for theirs, ours in zip(*found, strict=True):
        assert alike(ours, theirs, 1e-5)
