"""What the shapes of a method's tensors depend on, and one tensor of it: shape, learning rate, start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trials.config import RECIPES, Value

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trials.backbones.facts import Facts

Values = Mapping[str, Value]
"""A configuration: hyperparameters by name."""

RECIPE = RECIPES["released_code"]
"""Where only shapes are asked for, which no recipe changes."""


@dataclass(frozen=True)
class Sizes:
    """What the shapes of a method's tensors depend on, and whether they can start, beside its hyperparameters.

    Attributes:
        width: d of the backbone's embeddings.
        max_source_length: the longest source in tokens.
        projections: outputs and inputs of the projections of every attention that a method may change
            (`trials.backbones.facts.Facts.projections`), by the names of their modules in transformers' model, or by
            numbers where the backbone is not loaded; empty where they have no name that is known here.
        location: what transformers loads the backbone from; empty where it is loaded.
        vocabulary: rows of the embedding table; 0 where they are not known.
        prompt_init: where prompts start that do not say so themselves (`Recipe.prompt_init`); empty where not known.
        sources: rows of each source prompt of a transfer, by name.
        adapters: of those that are whole adapters, the hyperparameters that decided their shapes, by name.
        tensors: and the shapes of what they learnt beside the prompt, by name of the source and of the tensor.
    """

    width: int
    max_source_length: int = 256
    projections: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    location: str = ""
    vocabulary: int = 0
    prompt_init: str = ""
    sources: Mapping[str, int] = field(default_factory=dict)
    adapters: Mapping[str, Values] = field(default_factory=dict)
    tensors: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Facts, max_source_length: int = 256, recipe: str = "") -> Sizes:
        """The sizes of a backbone that is not loaded, for trials of a recipe (`trials.config.RECIPES`)."""
        projections = {str(place): shape for place, shape in enumerate(facts.projection_shapes())}
        start = RECIPES[recipe].prompt_init if recipe else ""
        return cls(facts.width, max_source_length, projections, facts.location, facts.vocabulary, start)


@dataclass(frozen=True)
class Weights:
    """One tensor of a method, float32.

    Attributes:
        group: of `Method.groups`, whose learning rate it has.
        start: makes it: (shape, generator) -> tensor. `zeros`, or e.g. ``uniform(0.1)``.
    """

    shape: tuple[int, ...]
    group: str
    start: Callable[[tuple[int, ...], torch.Generator], Tensor] | None = None


def uniform(bound: float) -> Callable[[tuple[int, ...], torch.Generator], Tensor]:
    """A start drawn from U(-bound, bound)."""

    def start(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        import torch

        return (torch.rand(shape, generator=generator) * 2 - 1) * bound

    return start
