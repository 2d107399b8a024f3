"""Answers by nothing but ordinary texts: rows that begin at the left, end where they end, and are read from the start.

For models to which positions, masks and kept keys mean something of their own, or nothing. A source is read once for
each label, or for each token of an answer; the numbers are those of the model by construction.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trials.backbones.answers import AnswerTree
from trials.backbones.base import Embed, Inputs
from trials.backbones.stock_model import StockModel


def text_tree(model: StockModel, inputs: Inputs, tree: AnswerTree) -> Tensor:
    """`Backbone.tree_logits`, by one text for each path from the root to a leaf."""
    starts, device = inputs.starts, inputs.embeddings.device
    found: Tensor | None = None
    for path in tree.paths():
        ends = starts[:, None] - 1 + torch.arange(len(path) + 1, device=device)
        places = torch.arange(int(starts.max()) + len(path), device=device)
        behind = places - starts[:, None]  # below 0 in prompt and source, then the path, then padding
        nodes = torch.tensor([node - 1 for node in path] or [0], device=device)
        of_path = starts[:, None] + nodes[behind.clamp(0, max(0, len(path) - 1))]
        index = torch.where(behind < 0, places, of_path).clamp(max=inputs.embeddings.shape[1] - 1)
        text = inputs.embeddings.gather(1, index[:, :, None].expand(-1, -1, inputs.embeddings.shape[2]))
        mask = (places < starts[:, None] + len(path)).long()
        logits = model.logits(text, mask, ends)
        if found is None:
            found = logits.new_zeros(len(starts), 1 + len(tree.tokens), logits.shape[-1])
        found[:, [0, *path]] = logits
    assert found is not None  # there is the root's, at least
    return found


def text_steps(
    model: StockModel, inputs: Inputs, max_new_tokens: int, embed: Embed
) -> tuple[Tensor, int, Callable[[Tensor, int], Tensor]]:
    """What `Backbone._greedy` takes: logits after the sources, and those after one more token of each answer."""
    text, lengths = inputs.embeddings, inputs.lengths

    def read() -> Tensor:
        mask = (torch.arange(text.shape[1], device=text.device) < lengths[:, None]).long()
        return model.logits(text, mask, torch.stack([inputs.starts, lengths], dim=1) - 1)[:, 1]

    def step(tokens: Tensor, number: int) -> Tensor:
        nonlocal text, lengths
        text = torch.cat([text, text.new_zeros(len(text), 1, text.shape[2])], dim=1)
        at = lengths[:, None, None].expand(-1, 1, text.shape[2])
        text, lengths = text.scatter(1, at, embed(tokens, number).to(text.dtype)), lengths + 1
        return read()

    return read(), max_new_tokens, step
