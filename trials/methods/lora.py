"""LoRA: low-rank additions to projections of the attention inside the backbone (Hu et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from trials.config import Recipe
from trials.methods import Method, Sizes, Values, Weights, count, rate, uniform

if TYPE_CHECKING:
    from torch import Tensor

    from trials.backbones.facts import Facts

PEFT_NAME = "base_model.model.{}.lora_{}.weight"
"""What PEFT calls the factors A and B of a module."""


class Lora(Method):
    """W' = W + (alpha / r) B A for projections W of every attention; nothing at the input.

    As in the runs whose numbers the ADePT paper prints, they are those of queries and values in T5, and of queries,
    keys and values in decoder-only models (`trials.backbones.facts.PROJECTIONS`). Where a configuration does not say,
    alpha is LST's (configs/lora.json), whose numbers that paper quotes.

    A starts as PEFT's does (``kaiming_uniform_`` with a = sqrt(5)), B at zero, so nothing is changed before the first
    update. Factors of equally shaped weights are one tensor. There is no dropout on LoRA's own input: where additions
    are merged into the weights before a pass, there is no branch of its own to drop anything from. The backbone's own
    dropout is on, as for every method.

    Parameters: r (outputs + inputs) for each weight.
    """

    name = "lora"
    kind = "inner"
    hyperparameters: ClassVar = {
        "lr": rate("largest learning rate of the low-rank factors"),
        "rank": count(
            "rank r of what is added to each projection that is changed (T5: queries, values; decoder-only: keys, too)"
        ),
        "alpha": count("what is added is multiplied with alpha / rank", default=32),
    }
    groups: ClassVar = {"lora": "lr"}

    def tensors(self, values: Values, sizes: Sizes, recipe: Recipe) -> dict[str, Weights]:
        """By shape of the weights, all A, (weights, r, inputs), and all B, (weights, outputs, r)."""
        r, found = int(values["rank"]), {}
        for shape, names in modules_by_shape(sizes).items():
            outputs, inputs = sizes.projections[names[0]]
            found[f"down.{shape}"] = Weights((len(names), r, inputs), "lora", uniform(inputs**-0.5))
            found[f"up.{shape}"] = Weights((len(names), outputs, r), "lora")
        return found

    def factors(
        self, parameters: Mapping[str, Tensor], values: Sequence[Values], sizes: Sizes
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """See `Method.factors`: A, and (alpha / r) B."""
        import torch

        from trials.batching.transfers import sent

        scales = [float(self.value(each, "alpha") or 0) / int(each["rank"]) for each in values]
        found: dict[str, tuple[Tensor, Tensor]] = {}
        for shape, names in modules_by_shape(sizes).items():
            down, up = parameters[f"down.{shape}"], parameters[f"up.{shape}"]
            up = up * sent(torch.tensor(scales), up.device).view(-1, 1, 1, 1)
            found |= zip(names, zip(down.unbind(1), up.unbind(1), strict=True), strict=True)
        return found

    def lacks(self, sizes: Sizes) -> str:
        """It changes projections by their names."""
        return (
            "" if sizes.projections else "the query, key and value projections are not kept in a way that is known here"
        )

    def refuses(self, values: Values, sizes: Sizes) -> str:
        """More than the ranks of the weights themselves adds nothing."""
        rank = int(values["rank"])
        widest = max((min(shape) for shape in sizes.projections.values()), default=rank)  # without any, see `lacks`
        return f"rank {rank} is larger than {widest}, the rank of what it is added to" if rank > widest else ""

    def to_file(self, state: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
        """See `Method.to_file`: two tensors a weight, under PEFT's names."""
        found = {}
        for shape, names in modules_by_shape(sizes).items():
            for place, name in enumerate(names):
                found[PEFT_NAME.format(name, "A")] = state[f"down.{shape}"][place]
                found[PEFT_NAME.format(name, "B")] = state[f"up.{shape}"][place]
        return found

    def from_file(self, tensors: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
        """See `Method.from_file`."""
        import torch

        found = {}
        for shape, names in modules_by_shape(sizes).items():
            for group, letter in (("down", "A"), ("up", "B")):
                found[f"{group}.{shape}"] = torch.stack([tensors[PEFT_NAME.format(name, letter)] for name in names])
        return found

    def peft_config(self, values: Values, facts: Facts) -> dict[str, Any]:
        """What PEFT's own LoRA is loaded with."""
        return {
            "r": values["rank"],
            "lora_alpha": self.value(values, "alpha"),
            "lora_dropout": 0.0,
            "target_modules": list(facts.projections),
            "bias": "none",
            "inference_mode": True,
        }


def modules_by_shape(sizes: Sizes) -> dict[str, list[str]]:
    """The names of the projections, by their shapes: factors of equal ones are one tensor."""
    found: dict[str, list[str]] = {}
    for name, (outputs, inputs) in sizes.projections.items():
        found.setdefault(f"{outputs}x{inputs}", []).append(name)
    return found
