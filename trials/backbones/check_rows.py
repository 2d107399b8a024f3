"""The made-up rows on which a backbone is compared with transformers (`trials.backbones.check`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.nn import functional as F

from trials.backbones.answers import AnswerTree
from trials.backbones.base import Backbone, Inputs
from trials.backbones.reference import special_tokens
from trials.batching.padding import padded

LENGTHS = (3, 40, 21)  # of the sources
FAR = 150  # the longest of an encoder: beyond the distances that T5 tells apart


class Rows:
    """Made-up rows for a backbone, the same each time.

    Attributes:
        sources: token ids. labels: a tree of answers, of which each row has one.
    """

    def __init__(self, backbone: Backbone, config: Any) -> None:
        generator = np.random.default_rng(0)
        special = special_tokens(config) | backbone.ends | {backbone.facts.pad_token_id, backbone.facts.eos_token_id}
        usable = [token for token in range(min(len(backbone.embedding), 50_000)) if token not in special]
        most = (backbone.facts.positions or 1 << 20) - 8
        lengths = LENGTHS if backbone.embeds_answers else (LENGTHS[0], FAR, *LENGTHS[2:])
        self.sources = [generator.choice(usable, min(length, most)).tolist() for length in lengths]
        a, b, c, d = generator.choice(usable, 4, replace=False).tolist()
        end = backbone.facts.eos_token_id
        self.labels = [[a, end], [b, c, end], [b, d, a, end]]
        self.tree = AnswerTree(self.labels)

    def inputs(self, backbone: Backbone, answers: Sequence[Sequence[int]]) -> Inputs:
        """The sources without a prompt, the answers behind them where the backbone embeds them."""
        tokens = self.sources
        if backbone.embeds_answers:
            tokens = [[*source, *answer] for source, answer in zip(self.sources, answers, strict=True)]
        ids = padded(tokens, 0, backbone.device, length=backbone.grain.padded(max(map(len, tokens))))
        x = F.embedding(ids, backbone.embedding).float()
        starts = backbone.numbers([len(source) for source in self.sources])
        return Inputs(x.requires_grad_(), backbone.numbers([len(row) for row in tokens]), starts)
