"""Dropout whose masks belong to a trial's row and not to the batch that computes it.

The published runs leave the backbone's dropout on while they train. A generator shared by a batch would make a trial
depend on its neighbours: on how many rows and how much padding they bring, and on the order in which passes are made.
Here each mask bit is a hash of (trial's seed, step, row of its batch, place in the network, position, feature), so any
row gets the same masks alone, in any stack, in any pass and after a restart, and no generator has a state to save.

The hash is a multiply-xorshift finaliser over 32-bit integers (the form of MurmurHash3's), two bits' worth of decisions
from one word: about three times faster on a CPU than drawing from a generator, and no loop over trials anywhere.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from trials.batching.randomness import number
from trials.batching.transfers import sent

BLOCK = 64  # counters are made for lengths rounded up to this, so that few of them are kept
SITES = 64  # places of a network whose words are made together: a dozen tiny operations for all instead of for each
STRIDES = {1: (1,), 2: (1 << 16, 1), 3: (1 << 26, 1 << 13, 1)}  # bits of position or head, query, key in one counter
LENGTHS = {1: (), 2: (0,), 3: (1, 2)}  # the axes whose size depends on the rows: positions; queries and keys


AT_ONCE = 1 << 27  # decisions: 256 MiB of masks in bfloat16, and as much while they are made
Place = tuple[int, tuple[int, ...]]

INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes, of the size of a float


def _signed(word: int) -> int:
    """A 32-bit word as the int32 that torch wants."""
    return word - (1 << 32) if word >= 1 << 31 else word


FIRST, SECOND, COUNT, PLACE = (_signed(word) for word in (0x7FEB352D, 0x846CA68B, 0x9E3779B1, 0x632BE5AB))


def scramble(words: Tensor) -> Tensor:
    """Mix int32 words in place."""
    return _mixed(words.bitwise_xor_(_shifted(words, 16)))


def _mixed(words: Tensor) -> Tensor:
    words *= FIRST
    words ^= _shifted(words, 15)
    words *= SECOND
    words ^= _shifted(words, 16)
    return words


def _shifted(words: Tensor, bits: int) -> Tensor:
    """To the right, filled up with zeros: torch's own shift repeats the sign, which would lose a bit."""
    return (words >> bits).bitwise_and_((1 << (32 - bits)) - 1)


@lru_cache(maxsize=64)
def _counters(shape: tuple[int, ...], device: torch.device) -> Tensor:
    words = torch.zeros(shape, dtype=torch.int32, device=device)
    for axis, (size, stride) in enumerate(zip(shape, STRIDES[len(shape)], strict=True)):
        line = torch.arange(size, dtype=torch.int32, device=device) * stride
        words += line.view([-1 if i == axis else 1 for i in range(len(shape))])
    words *= COUNT
    return scramble(words)


def counters(shape: Sequence[int], device: torch.device) -> Tensor:
    """A different int32 word for each place of ``shape`` (one to three axes), the same whatever its lengths."""
    rounded = tuple(-(-n // BLOCK) * BLOCK if axis in LENGTHS[len(shape)] else n for axis, n in enumerate(shape))
    return _counters(rounded, device)[tuple(slice(size) for size in shape)]


def keep(keys: Tensor, shape: Sequence[int], p: float, dtype: torch.dtype) -> Tensor:
    """A mask: 0 with probability p (to 2**-16), else 1 / (1 - p).

    Args:
        keys: int32 words, one for each mask, shape (...).
        shape: of one mask, one to three axes.

    Returns:
        Shape (..., *shape).
    """
    places = counters((*shape[:-1], (shape[-1] + 1) // 2), keys.device)
    return _kept(keys.view(*keys.shape, *[1] * len(shape)) ^ places, shape[-1], p, dtype)


def counted(keys: Tensor, places: Tensor, longest: int, features: int, p: float, dtype: torch.dtype) -> Tensor:
    """Single tokens of the masks that `keep` makes for rows of shape (longest, features).

    Args:
        keys: of each token's row, shape (tokens,). places: of the token in its row, below ``longest``, shape (tokens,).

    Returns:
        Shape (tokens, features).
    """
    line = counters((longest, (features + 1) // 2), keys.device).index_select(0, places)
    return _kept(line.bitwise_xor_(keys[:, None]), features, p, dtype)


def _kept(words: Tensor, last: int, p: float, dtype: torch.dtype) -> Tensor:
    """A mask of words that are about to be mixed, two places a word; overwrites them."""
    words = _mixed(words)
    lowest = round(p * 65536) - 32768  # a half of a word that is smaller drops
    # A CPU turns booleans into floats one by one, and whole numbers into others many at a time. So the sign of lowest -
    # 1 - half, clamped lest it overflow, fills a number with ones (keep) or zeros, which then pick the scale's bits.
    halves = words.view(torch.int16).clamp_(max(-32768, lowest - 32768), min(32767, lowest + 32767))
    integers = INTEGERS[dtype.itemsize]
    kept = torch.rsub(halves, lowest - 1).bitwise_right_shift_(15).to(integers)
    return kept.bitwise_and_(_bits(1 / (1 - p), dtype)).view(dtype)[..., :last]


@lru_cache(maxsize=64)
def _bits(value: float, dtype: torch.dtype) -> int:
    """A float's bits as a whole number; made once, as there are dozens of masks a pass."""
    return int(torch.tensor(value, dtype=dtype).view(INTEGERS[dtype.itemsize]))


@lru_cache(maxsize=64)
def _places(block: int, device: torch.device) -> Tensor:
    """A different int32 word for each of the `SITES` places of a block, shape (SITES, 1)."""
    return torch.arange(block * SITES, (block + 1) * SITES, dtype=torch.int32, device=device)[:, None] * PLACE


@lru_cache(maxsize=64)
def _places_of(sites: tuple[int, ...], device: torch.device) -> Tensor:
    """The words of some places, as `_places` has them, shape (sites, 1)."""
    return sent(torch.tensor(sites, dtype=torch.int32), device)[:, None] * PLACE


class Dropout:
    """The masks of one pass.

    Args:
        keys: one int32 word for each row of the pass, shape (rows,) (see `row_keys`).
    """

    def __init__(self, keys: Tensor) -> None:
        self.keys = keys
        self._words: dict[int, Tensor] = {}
        self._coming: deque[tuple[int, tuple[int, ...]]] = deque()
        self._made: dict[int, Tensor] = {}

    def prepare(self, places: Iterable[Place], p: float, dtype: torch.dtype, most: int = AT_ONCE) -> None:
        """Make the masks of these places together, as they come: dozens of launches for all of them, not for each.

        Args:
            places: each a place of the network and the shape of a row's mask there, in the order of their use.
            most: decisions that are made at once; those of one place are not divided.
        """
        self._coming = deque(places) if p > 0 else deque()
        self._p, self._dtype, self._most = p, dtype, most

    def made(self, site: int) -> Tensor | None:
        """The mask of a place, shape (rows, *its shape), once; None where it was not announced."""
        if site not in self._made:
            if not self._coming or self._coming[0][0] != site:
                return None
            self._make()
        return self._made.pop(site)

    def _make(self) -> None:
        by_shape: dict[tuple[int, ...], list[int]] = {}
        size = 0
        while self._coming:
            site, shape = self._coming[0]
            size += len(self.keys) * math.prod(shape)
            if by_shape and size > self._most:
                break
            by_shape.setdefault(shape, []).append(site)
            self._coming.popleft()
        every = tuple(site for sites in by_shape.values() for site in sites)
        words = scramble(self.keys + _places_of(every, self.keys.device)).split([len(s) for s in by_shape.values()])
        for (shape, sites), of_sites in zip(by_shape.items(), words, strict=True):
            masks = keep(of_sites, shape, self._p, self._dtype)
            self._made |= zip(sites, masks.unbind(), strict=True)

    def mask(self, x: Tensor, p: float, site: int) -> Tensor:
        """The mask of ``x`` at a place of the network, shape of ``x``: (rows, length, features) or (rows, *, *, *)."""
        made = self.made(site)
        return keep(self.words(site), x.shape[1:], p, x.dtype) if made is None else made

    def words(self, site: int) -> Tensor:
        """The word of each row at a place of the network, shape (rows,)."""
        block, place = divmod(site, SITES)
        if block not in self._words:
            self._words[block] = scramble(self.keys + _places(block, self.keys.device))
        return self._words[block][place]

    def __call__(self, x: Tensor, p: float, site: int) -> Tensor:
        """Inverted dropout of ``x``."""
        return x * self.mask(x, p, site) if p > 0 else x


def row_keys(seed: int, step: int, rows: int) -> np.ndarray:
    """The word of each row of a trial's batch at an update, int32, shape (rows,)."""
    base = number(seed, "dropout", step)
    words = np.uint64(base) + np.arange(1, rows + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    return (words >> np.uint64(32)).astype(np.uint32).view(np.int32)
