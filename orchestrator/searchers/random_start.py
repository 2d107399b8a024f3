"""How long a searcher that learns draws at random: what a plan must know without the library that does it."""

from __future__ import annotations


def drawn_by_chance(samples: int) -> int:
    """How many configurations a searcher that learns draws at random before it begins to learn."""
    return max(4, min(10, samples // 3))
