"""AdapterDrop: adapters in the upper layers alone (Rücklé et al. 2021), as compacter runs it (adapters_drop.json)."""

from __future__ import annotations

from typing import Any, ClassVar

from trials.errors import UserError
from trials.methods import Values, count
from trials.methods.adapter import Adapter


class AdapterDrop(Adapter):
    """`Adapter` in the layers from a number on: 5 in the source, so 5 to 11 of T5-base's encoder and decoder.

    Parameters: on T5-base 28 x 37,656 + 47,616 = 1,101,984 (1.1M in the paper).
    """

    name = "adapterdrop"
    hyperparameters: ClassVar = {
        **Adapter.hyperparameters,
        "first_layer": count("the first layer with adapters, counted from 0", default=5, maximum=1_000),
    }

    def places(self, network: Any, values: Values) -> list[Any]:
        """See `Adapter.places`.

        Raises:
            UserError: the model has no such layer.
        """
        outputs, first = self.outputs(network), int(self.value(values, "first_layer") or 0)
        layers = 1 + max(number for number, _ in outputs)
        if first >= layers:
            raise UserError(
                [f"{self.name}: first_layer {first} leaves none: the backbone has {layers} layers, from 0 on"]
            )
        return [module for number, module in outputs if number >= first]
