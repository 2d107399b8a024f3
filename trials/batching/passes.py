"""How a batch is cut into passes: rows of similar length together, no pass larger than memory allows.

Rows do not see each other, so a batch may be computed in any pieces, and the gradients add up to the same sums. Sorted
by length and cut where it pays, even one trial's batch has little padding, and a stack's has almost none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Grain:
    """What the shapes of passes are multiples of, where a device has to prepare itself for each new one.

    Attributes:
        rows: of a pass; the last rows of all may be fewer.
        length: tokens that the rows of a pass are padded to.
        packed: each row is padded for itself (`trials.batching.packing`); else all of a pass to the longest.
    """

    rows: int = 1
    length: int = 1
    packed: bool = False

    def padded(self, length: Any) -> Any:
        """What a row of so many tokens is padded to; a number, or an array of them."""
        return -(-length // self.length) * self.length


ANY = Grain()
"""Passes may have any shape, as long as it is a rectangle."""

COARSE = Grain(rows=4, length=16)
"""Rectangles of few shapes, for little padding."""


@dataclass
class PassCost:
    """What a pass costs, in padded tokens: `trials.stack.measuring` finds the numbers for a device.

    Attributes:
        fixed: what a pass costs whatever its size, in tokens' worth of time.
        most: padded tokens in one pass at most; a row longer than that is a pass of its own.
        grain: see `Grain`; where so many rows do not fit together, their number does not count.
    """

    fixed: int = 256
    most: int = 2048
    grain: Grain = ANY


def passes_by_trial(lengths: np.ndarray, places: np.ndarray, cost: PassCost) -> list[np.ndarray]:
    """As `passes`, the rows of a trial one behind the other in each.

    Where passes are rectangles, all trials of one bring equally many rows: of those that have equally many in all, the
    longest row of each trial goes with the longest of the others, and so on. Then they are one batched product.

    Args:
        places: of each row's trial among those of a pass, shape (rows,).
    """
    if cost.grain.packed:
        return [these[np.argsort(places[these], kind="stable")] for these in passes(lengths, cost)]
    order = np.lexsort((-lengths, places))
    of_trials = np.split(order, np.flatnonzero(np.diff(places[order])) + 1)
    found = []
    for rows in sorted({len(mine) for mine in of_trials}):
        table = np.stack([mine for mine in of_trials if len(mine) == rows])
        most = max(1, cost.most // int(cost.grain.padded(lengths[table].max())))
        for some in np.array_split(table, -(-len(table) // most)):
            k = len(some)
            shared = PassCost(cost.fixed // k, cost.most // k, cost.grain)
            found += [some[:, columns].flatten() for columns in passes(lengths[some].max(0), shared)]
    return found


def passes(lengths: Sequence[int] | np.ndarray, cost: PassCost) -> list[np.ndarray]:
    """Cut rows into passes of the least total cost.

    Rows are sorted by length, the longest first; the cuts are found by dynamic programming over all of them, where a
    pass costs ``fixed`` plus rows times the padded length of its longest row, or plus the rows' own padded lengths
    where they are packed.

    Returns:
        Row numbers of each pass.
    """
    lengths = np.asarray(lengths)
    order = np.argsort(-lengths, kind="stable")
    sizes = cost.grain.padded(lengths[order].astype(np.int64))
    together = cost.grain.rows if len(sizes) and cost.grain.rows * int(sizes[0]) <= cost.most else 1
    ends = [*range(together, len(sizes), together), len(sizes)] if len(sizes) else []
    best = np.zeros(len(sizes) + 1)  # cost of the first i rows
    start = np.zeros(len(sizes) + 1, dtype=np.int64)  # where the last pass of the first i rows begins
    before = np.concatenate([[0], sizes.cumsum()])  # tokens of the first i rows

    def tokens(begins: Any, end: int) -> Any:
        return before[end] - before[begins] if cost.grain.packed else (end - begins) * sizes[begins]

    first = 0
    for end in ends:
        while first + together < end and tokens(first, end) > cost.most:
            first += together
        begins = np.arange(first, end, together)
        costs = best[begins] + cost.fixed + tokens(begins, end)
        chosen = int(costs.argmin())
        best[end], start[end] = costs[chosen], begins[chosen]
    found = []
    end = len(sizes)
    while end:
        found.append(order[start[end] : end])
        end = int(start[end])
    return found[::-1]
