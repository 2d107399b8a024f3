"""A T5's weights straight from its file, by the names of its modules.

The fast lane needs nothing of transformers' classes but the weights. Importing these classes takes an engine's process
about as long as everything else until its first update, so a model that was compared with them once is read without.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trials.backbones.facts import Facts

EMBEDDING = "shared"
TIED = ("encoder.embed_tokens", "decoder.embed_tokens", "lm_head")
"""What a file may leave out, since it is the embedding."""


class SavedT5(nn.Module):
    """Modules without a forward pass that hold a file's weights, in float32, where transformers' T5 holds them.

    Args:
        config: transformers'.
        weights: by their names in the file.
    """

    def __init__(self, config: Any, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.config = config
        for name in sorted(weights, key=_in_order):
            *path, last = name.split(".")
            owner: nn.Module = self
            for part, following in zip(path, [*path[1:], last], strict=True):
                if part not in owner._modules:
                    owner.add_module(part, nn.ModuleList() if following.isdigit() else nn.Module())
                owner = owner.get_submodule(part)
            owner.register_parameter(last, nn.Parameter(weights[name].float().clone(), requires_grad=False))
        table = self.get_parameter(f"{EMBEDDING}.weight")
        setattr(self, EMBEDDING, nn.Embedding.from_pretrained(table.detach()))
        for name in TIED:
            self._tie(name)
        for attention in self._named("SelfAttention"):
            attention.has_relative_attention_bias = "relative_attention_bias" in attention._modules

    def get_input_embeddings(self) -> nn.Module:
        """As transformers' models have it."""
        return self.get_submodule(EMBEDDING)

    def _tie(self, name: str) -> None:
        parent, _, last = name.rpartition(".")
        owner = self.get_submodule(parent)
        if last not in owner._modules:
            owner.add_module(last, self.get_input_embeddings())

    def _named(self, last: str) -> list[Any]:
        return [module for name, module in self.named_modules() if name.rpartition(".")[2] == last]


def saved_t5(facts: Facts) -> SavedT5 | None:
    """The model in a folder; None where it is none of T5's own family in one file of safetensors with tied embeddings.

    Nothing here looks whether weights are missing or of another shape: see `trials.backbones.loading`.
    """
    folder = Path(facts.location)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    file = folder / "model.safetensors"
    if facts.lane != "fast" or config.get("model_type") != "t5" or not file.is_file():
        return None
    if not config.get("tie_word_embeddings", True):
        return None
    from safetensors.torch import load_file
    from transformers import T5Config

    read = T5Config.from_pretrained(folder)
    read.dtype, read.name_or_path = torch.float32, facts.location  # as from_pretrained leaves them
    return SavedT5(read, load_file(file))


def _in_order(name: str) -> list[tuple[int, str]]:
    """Sorts block 2 before block 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"\.", name)]
