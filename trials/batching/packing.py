"""Rows of a pass one behind the other: no matrix product sees padding, and rows of any lengths share it.

What looks at single tokens (projections, norms, feed-forward layers) does not mind whose they are. Attention is
computed block by block: on a CPU a block is a row, since a row fills the units and its parts need not be copied, or,
where rows come in few lengths, up to four of a length; on an accelerator, where each call has its price, all rows are
one block, padded to the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trials.batching.dropout import Dropout, counted, keep
from trials.batching.passes import Grain

ROUND = 64  # tokens of a pass are a multiple of this where the device has to prepare itself for each new shape
TOGETHER = (4, 2, 1)  # rows of a length in one block there


@dataclass(frozen=True)
class Block:
    """Rows of the same length, padding included, one behind the other.

    Attributes:
        token: the first. row: the first.
        padded: whether one of the rows is shorter.
    """

    token: int
    row: int
    rows: int
    length: int
    padded: bool

    @property
    def tokens(self) -> slice:
        """Where they are."""
        return slice(self.token, self.token + self.rows * self.length)


class Packing:
    """Where the tokens of a pass are, and what is padding still.

    Args:
        lengths: real tokens of each row, shape (rows,).
        longest: length of the padded rows.
        grain: as passes have it. If it is ``packed``, the lengths have to be in the processor's memory.

    Attributes:
        blocks: of all rows in their order.
        spare: whether there are tokens behind those of all blocks, which belong to none.
        starts: the first token of each row, and behind the last row.
    """

    def __init__(self, lengths: Tensor, longest: int, grain: Grain) -> None:
        self.lengths, self.longest, self.rows = lengths, longest, len(lengths)
        self.spare = False
        self.starts: Sequence[int] = range(0, (self.rows + 1) * longest, longest)
        self._row: Tensor | None = None  # of each token; None: nothing is packed
        self._place: Tensor | None = None  # of each token in its row
        self._padded: Tensor | None = None  # the token at each place of the padded rows
        if not grain.packed:
            self.blocks = [Block(0, 0, self.rows, longest, padded=True)]
            return
        real = lengths.numpy()
        sizes = np.minimum(grain.padded(real), longest)
        ends = sizes.cumsum()
        starts = ends - sizes
        self.starts = [*starts.tolist(), int(ends[-1])]
        self.blocks = _blocks(real, sizes, TOGETHER if grain.length > 1 else (1,))
        total = int(ends[-1])
        whole = -(-total // ROUND) * ROUND if grain.length > 1 else total
        self.spare = whole > total
        rows_of = np.repeat(np.arange(self.rows), sizes)
        places = np.arange(total) - np.repeat(starts, sizes)
        self._row, self._place = (
            torch.from_numpy(np.pad(x, (0, whole - total), mode="edge")) for x in (rows_of, places)
        )
        # At padding stands the row's own last token: whatever is there, a neighbour's NaN is not.
        self._padded = torch.from_numpy(starts[:, None] + np.minimum(np.arange(longest), sizes[:, None] - 1))

    def packed(self, x: Tensor) -> Tensor:
        """Shape (tokens, d) of padded rows of shape (rows, longest, d)."""
        tokens = x.flatten(0, 1)
        if self._row is None or self._place is None:
            return tokens
        return tokens.index_select(0, self._row * self.longest + self._place)

    def unpacked(self, x: Tensor) -> Tensor:
        """Padded rows again; what stands at padding is of no meaning."""
        if self._padded is not None:
            x = x.index_select(0, self._padded.flatten())
        return x.view(self.rows, self.longest, -1)

    def of_blocks(self, blocked: Tensor) -> list[Tensor | None]:
        """What hides the padding of rows, shape (rows, 1, 1, longest), block by block; None where there is none."""
        return [blocked[b.row : b.row + b.rows, ..., : b.length] if b.padded else None for b in self.blocks]

    def dropout(self, dropout: Dropout | None) -> Dropout | None:
        """The same masks for packed tokens."""
        return None if dropout is None else PackedDropout(dropout.keys, self)

    def mask(self, words: Tensor, shape: Sequence[int], p: float, dtype: torch.dtype) -> Tensor:
        """A mask for the packed tokens of one that each row has, shape (tokens, features).

        Args:
            words: of the rows, shape (rows,). shape: of a row's mask but for its length.
        """
        if self._row is None or self._place is None:
            return keep(words, (self.longest, *shape), p, dtype).flatten(0, 1)
        return counted(words[self._row], self._place, self.longest, shape[0], p, dtype)


def _blocks(real: np.ndarray, sizes: np.ndarray, together: Sequence[int]) -> list[Block]:
    """Neighbours of equal size, so many of them ``together`` at once.

    Args:
        real: tokens of each row without padding. sizes: with it.
    """
    found: list[Block] = []
    row = token = 0
    while row < len(sizes):
        size = int(sizes[row])
        rows = next(n for n in together if row + n <= len(sizes) and (sizes[row : row + n] == size).all())
        found.append(Block(token, row, rows, size, padded=bool((real[row : row + rows] < size).any())))
        row, token = row + rows, token + rows * size
    return found


class PackedDropout(Dropout):
    """Masks of packed tokens, shape (tokens, features), as their rows have them."""

    def __init__(self, keys: Tensor, packing: Packing) -> None:
        super().__init__(keys)
        self._packing = packing

    def mask(self, x: Tensor, p: float, site: int) -> Tensor:
        """See `Dropout.mask`."""
        made = self.made(site)  # of rows that are not packed
        return self._packing.mask(self.words(site), x.shape[1:], p, x.dtype) if made is None else made.flatten(0, 1)
