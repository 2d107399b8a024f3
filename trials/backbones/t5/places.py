"""Where T5 drops in the precision of its products, and the shape of a row's mask there, in the order of their use.

The numbers are those of `trials.backbones.t5.forward`; what is dropped in float32, the embeddings, is not among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trials.batching.dropout import Place


def encoder(config: Any, length: int) -> Iterator[Place]:
    """Of a pass whose rows have that length.

    Args:
        config: of transformers.
    """
    d, wide = config.d_model, config.d_ff
    for site in range(0, 8 * config.num_layers, 8):
        shapes = (config.num_heads, length, length), (length, d), (length, wide), (length, d)
        yield from enumerate(shapes, start=site + 1)
    yield 7, (length, d)


def decoder(config: Any, n: int, seen: int, length: int) -> Iterator[Place]:
    """Of ``n`` tokens of each answer, which see ``seen`` tokens, themselves included, and sources of that length."""
    d, heads = config.d_model, config.num_heads
    for site in range(1000, 1000 + 16 * config.num_decoder_layers, 16):
        yield from ((site + 1, (heads, n, seen)), (site + 2, (n, d)))
        yield from ((site + 9, (n, heads, length)), (site + 10, (n, d)))
        yield from ((site + 3, (n, config.d_ff)), (site + 4, (n, d)))
    yield 999, (n, d)
