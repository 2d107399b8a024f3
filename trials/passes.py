"""How a batch is cut into passes: rows of similar length together, no pass larger than memory allows.

Rows do not see each other, so a batch may be computed in any pieces, and the gradients add up to the same sums. Sorted
by length and cut where it pays, even one trial's batch has little padding, and a stack's has almost none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class PassCost:
    """What a pass costs, in padded tokens: `trials.measuring` finds the numbers for a device.

    Attributes:
        fixed: what a pass costs whatever its size, in tokens' worth of time.
        most: padded tokens in one pass at most; a row longer than that is a pass of its own.
    """

    fixed: int = 256
    most: int = 2048


def passes(lengths: Sequence[int] | np.ndarray, cost: PassCost) -> list[np.ndarray]:
    """Cut rows into passes of the least total cost.

    Rows are sorted by length, the longest first; the cuts are found by dynamic programming over all of them, where a
    pass costs ``fixed`` plus rows times its longest row.

    Returns:
        Row numbers of each pass.
    """
    lengths = np.asarray(lengths)
    order = np.argsort(-lengths, kind="stable")
    sizes = lengths[order].astype(np.int64)
    best = np.zeros(len(sizes) + 1)  # cost of the first i rows
    start = np.zeros(len(sizes) + 1, dtype=np.int64)  # where the last pass of the first i rows begins
    first = 0
    for end in range(1, len(sizes) + 1):
        while first < end - 1 and (end - first) * sizes[first] > cost.most:
            first += 1
        begins = np.arange(first, end)
        costs = best[begins] + cost.fixed + (end - begins) * sizes[begins]
        chosen = int(costs.argmin())
        best[end], start[end] = costs[chosen], begins[chosen]
    found = []
    end = len(sizes)
    while end:
        found.append(order[start[end] : end])
        end = int(start[end])
    return found[::-1]
