"""T5's unsupervised objective, span corruption, and the arrays that a training step needs.

Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
section 3.1.4 (objective) and 3.3.4 (corruption rate 15 %, mean span length 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch

PAD, EOS = 0, 1
TOP_SENTINEL = 8099  # <extra_id_0>; <extra_id_i> is TOP_SENTINEL - i
IGNORED_LABEL = -100

Tokens = np.ndarray  # one-dimensional, int64
Pair = tuple[Tokens, Tokens]
T = TypeVar("T")


def random_segments(total: int, parts: int, rng: np.random.Generator) -> np.ndarray:
    """``parts`` positive lengths that add up to ``total``, every such list equally likely."""
    cuts = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))


def corrupt(tokens: Tokens, rng: np.random.Generator, rate: float = 0.15, mean_span: float = 3.0) -> Pair:
    """Replace random spans by sentinels; the target lists the sentinels, each with what it replaced.

    Args:
        tokens: ids of one text without ``</s>``, two at least.
        rate: share of the tokens to drop.
        mean_span: mean length of a dropped span, in tokens.

    Returns:
        Source and target ids, both closed by ``</s>``. The text starts with a kept segment.
    """
    n = len(tokens)
    dropped = min(max(round(n * rate), 1), n - 1)
    spans = min(max(round(dropped / mean_span), 1), dropped, n - dropped)
    source: list[Tokens] = []
    target: list[Tokens] = []
    at = 0
    lengths = zip(random_segments(n - dropped, spans, rng), random_segments(dropped, spans, rng), strict=True)
    for i, (keep, drop) in enumerate(lengths):
        sentinel = np.array([TOP_SENTINEL - i])
        source += [tokens[at : at + keep], sentinel]
        target += [sentinel, tokens[at + keep : at + keep + drop]]
        at += keep + drop
    end = np.array([EOS])
    return np.concatenate([*source, end]), np.concatenate([*target, end])


def rounded_up(n: int, multiple: int) -> int:
    """The least multiple of ``multiple`` that is not below ``n``."""
    return -(-n // multiple) * multiple


def shape_of(source: Tokens, target: Tokens) -> tuple[int, int]:
    """Padded lengths. Few distinct shapes: each new one costs the CPU library a freshly compiled kernel per product.

    Short answers (a digit and ``</s>``) are not padded: the output layer is the dearest part of such a step.
    """
    return rounded_up(len(source), 16), len(target) if len(target) <= 2 else rounded_up(len(target), 16)


def padded(rows: Sequence[Tokens], value: int, width: int) -> torch.Tensor:
    """Rows of different lengths as one int64 tensor (rows, width), filled up with ``value``."""
    out = np.full((len(rows), width), value, dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return torch.from_numpy(out)


def collate(pairs: Sequence[Pair]) -> dict[str, torch.Tensor]:
    """A batch: ``input_ids`` and ``attention_mask`` (rows, source length), ``labels`` (rows, target length)."""
    shapes = [shape_of(*pair) for pair in pairs]
    source = padded([s for s, _ in pairs], PAD, max(s for s, _ in shapes))
    labels = padded([t for _, t in pairs], IGNORED_LABEL, max(t for _, t in shapes))
    return {"input_ids": source, "attention_mask": (source != PAD).long(), "labels": labels}


def shuffled_forever(
    items: Sequence[T], make: Callable[[T, np.random.Generator], Pair], rng: np.random.Generator
) -> Iterator[Pair]:
    """Examples made of ``items``, pass after pass, each pass in a new order."""
    while True:
        for i in rng.permutation(len(items)):
            yield make(items[i], rng)


def batches(pairs: Iterator[Pair], tokens: int) -> Iterator[dict[str, torch.Tensor]]:
    """Group a stream of examples by padded shape into batches of about ``tokens`` padded source tokens."""
    waiting: dict[tuple[int, int], list[Pair]] = {}
    for pair in pairs:
        shape = shape_of(*pair)
        group = waiting.setdefault(shape, [])
        group.append(pair)
        if len(group) >= max(tokens // shape[0], 1):
            yield collate(waiting.pop(shape))
