"""What the benchmarks of the stack train on: rows of RTE's real lengths, trials of the paper's shapes, any backbone.

The rows' tokens are made up, because a step takes the same time whatever they say. The lengths are those of RTE's 2,490
training rows in tokens of T5's tokenizer (`rte_lengths.csv`), or a constant.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.t5_shapes import shape_of, write_shape
from benchmarks.units import with_units
from trials.backbones.loading import Backbone, load_backbone
from trials.backbones.precision import Precision
from trials.config import TrialConfig, Value
from trials.methods.base.module import make_method
from trials.trial import Trial

LENGTHS = Path(__file__).with_name("rte_lengths.csv")


class MadeRows:
    """A training split of made-up tokens.

    Args:
        lengths: tokens of each source.
        vocabulary: ids are below this.
    """

    def __init__(self, lengths: Sequence[int], vocabulary: int, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self.lengths = np.asarray(lengths)
        self.sources = [generator.integers(20, vocabulary, n, dtype=np.int32) for n in lengths]
        self.targets = [np.array([30 + int(generator.integers(2)), 1], dtype=np.int32) for _ in lengths]

    def __len__(self) -> int:
        return len(self.sources)

    def batch(self, rows: Any) -> tuple[list[Any], list[Any], list[str]]:
        """Source ids, target ids and target texts of some rows."""
        return [self.sources[i] for i in rows], [self.targets[i] for i in rows], [""] * len(rows)


def rte_lengths() -> list[int]:
    """Tokens of each of RTE's training rows, in a shuffled order."""
    with LENGTHS.open() as stream:
        found = [int(row["tokens"]) for row in csv.DictReader(stream) for _ in range(int(row["rows"]))]
    np.random.default_rng(0).shuffle(found)
    return found


def backbone(name: str, precision: Precision, device: str) -> Backbone:
    """t5-nano, a folder, a hub id; or a shape of `benchmarks.t5_shapes`, such as ``t5-base-shape``."""
    if shape := shape_of(name):
        name = str(write_shape(shape, Path(tempfile.gettempdir()) / f"adept-grown-{shape}"))
    with_units([precision], device)
    return load_backbone(name, device, precision)


def trials(on: Backbone, count: int, batch_size: int, seed: int = 0) -> list[Trial]:
    """ADePT trials with the prompt lengths and bottlenecks of the paper's grid, one after the other."""
    made = []
    d = on.facts.width
    for k in range(count):
        m = (20, 40, 60, 80)[k % 4]
        bottleneck = max(1, ((100 - m) * d - d) // (2 * d + 1))  # the budget of 100 prompt rows
        chosen: dict[str, Value] = {"prompt_lr": 0.3, "mlp_lr": 1e-4, "prompt_length": m, "bottleneck": bottleneck}
        config = TrialConfig("adept", chosen, 30_000, 1_000, seed=seed + k, batch_size=batch_size)
        made.append(Trial(config, make_method(config, on.surroundings(256)).to(on.device)))
    return made


def flops_per_token(on: Backbone) -> float:
    """Floating-point operations of one training step for one encoder position, attention's products left out.

    Forward, and backward to the inputs only: the weights are frozen. Every matrix of the encoder, forward and backward;
    the decoder's few tokens are not counted. For a decoder-only model every matrix of the stack.
    """
    encoder, decoder = on.facts.layer_weights()
    return 4.0 * (encoder if on.facts.layers[0] else decoder)
