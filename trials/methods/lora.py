"""LoRA: low-rank additions to projections of the attention inside the backbone (Hu et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from trials.config import PROMPT_LENGTHS
from trials.errors import UserError
from trials.methods.base import Drop, Method, Surroundings, uniform

ALPHA = 32
"""Where a configuration does not say: LST's (configs/lora.json), whose numbers the ADePT paper quotes."""

PEFT_NAME = "base_model.model.{}.lora_{}.weight"
"""What PEFT calls the factors A and B of a module."""


class Lora(Method):
    """W' = W + (alpha / r) B A for projections W of every attention; nothing at the input.

    As in the runs whose numbers the ADePT paper prints, they are those of queries and values in T5, and of queries,
    keys and values in decoder-only models (`trials.backbones.facts.PROJECTIONS`).

    A starts as PEFT's does (``kaiming_uniform_`` with a = sqrt(5)), B at zero, so nothing is changed before the first
    update. Factors of equally shaped weights are one tensor, and so is what they add. There is no dropout on LoRA's own
    input: the additions are merged into the weights before a pass, which has no branch of its own to drop anything
    from. The backbone's own dropout is on, as for every method.

    Hyperparameters: lr, rank r, optionally alpha. Parameters: r (outputs + inputs) for each weight.

    Raises:
        UserError: the backbone has no projections of a name known here.
    """

    GROUPS: ClassVar = {"lora": "lr"}
    INNER: ClassVar = True
    PROMPT_LENGTH = PROMPT_LENGTHS["lora"]

    def build(self, around: Surroundings, generator: torch.Generator) -> None:
        """See `Method.build`."""
        rank = int(self.hyperparameters["rank"])
        self.scale = float(self.hyperparameters.get("alpha", ALPHA)) / rank
        self.modules_by_shape: dict[str, list[str]] = {}
        for name, (outputs, inputs) in around.projections.items():
            self.modules_by_shape.setdefault(f"{outputs}x{inputs}", []).append(name)
        if not self.modules_by_shape:
            problem = "lora: this backbone's attention has not the query, key and value projections that its config "
            raise UserError([problem + "lets expect; choose a method at the input (adept, dept, pt)"])
        self.down = nn.ParameterDict()  # A by shape of the weights: (weights, r, inputs)
        self.up = nn.ParameterDict()  # B by shape of the weights: (weights, outputs, r)
        for shape, names in self.modules_by_shape.items():
            outputs, inputs = around.projections[names[0]]
            self.down[shape] = uniform((len(names), rank, inputs), inputs**-0.5, generator)
            self.up[shape] = nn.Parameter(torch.zeros(len(names), outputs, rank))

    @staticmethod
    def shift(parameters: Mapping[str, Tensor], embeddings: Tensor, positions: Tensor, drop: Drop) -> Tensor:
        """No offset: the embeddings as they are."""
        return embeddings

    def additions(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Method.additions`: (alpha / r) B A."""
        found: dict[str, Tensor] = {}
        for shape, names in self.modules_by_shape.items():
            product = self.scale * (parameters[f"up.{shape}"] @ parameters[f"down.{shape}"])
            found |= zip(names, product.unbind(), strict=True)
        return found

    def group_of(self, parameter: str) -> str:
        """One learning rate for all factors."""
        return "lora"

    def to_file(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Method.to_file`: two tensors a weight, under PEFT's names."""
        found = {}
        for shape, names in self.modules_by_shape.items():
            for place, name in enumerate(names):
                found[PEFT_NAME.format(name, "A")] = state[f"down.{shape}"][place]
                found[PEFT_NAME.format(name, "B")] = state[f"up.{shape}"][place]
        return found

    def from_file(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Method.from_file`."""
        found = {"prompt": self.prompt.detach().clone()}
        for shape, names in self.modules_by_shape.items():
            for group, letter in (("down", "A"), ("up", "B")):
                found[f"{group}.{shape}"] = torch.stack([tensors[PEFT_NAME.format(name, letter)] for name in names])
        return found
