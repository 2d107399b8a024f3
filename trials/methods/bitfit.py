"""BitFit: biases alone (Ben Zaken et al. 2022); a model without any gets some, as in the source of the paper's numbers.

The source is compacter's modelling of T5 with ``bitfit`` on, which ATTEMPT took over
(third_party/models/t5/modeling_t5.py, configs/baselines/bitfit.json).
"""

from __future__ import annotations

from typing import Any, ClassVar

from trials.methods import Inside, Values, rate


class BitFit(Inside):
    """Every bias of the model is trained; linear layers and norms that have none get one, zero at the start.

    A linear layer computes W x + b, a norm adds b to what it gives. As in the source, the head gets a bias, and the
    norm behind the last layer none: this is what the paper's count shows.

    Parameters: on T5-base 280,960 (280K in the paper): 101,376 in the encoder, 147,456 in the decoder, 32,128 of the
    head.
    """

    name = "bitfit"
    hyperparameters: ClassVar = {"lr": rate("largest learning rate of the biases")}
    groups: ClassVar = {"biases": "lr"}

    def change(self, network: Any, values: Values) -> Any:
        """See `Method.change`."""
        import torch
        from torch import nn

        for name, module in network.named_modules():
            of_a_layer = any(part.isdigit() for part in name.split("."))
            norm = of_a_layer and type(module).__name__.endswith("Norm") and hasattr(module, "weight")
            if getattr(module, "bias", None) is not None or not (norm or isinstance(module, nn.Linear)):
                continue
            weight = module.weight
            module.bias = nn.Parameter(torch.zeros(len(weight), dtype=weight.dtype, device=weight.device))
            if norm:
                module.register_forward_hook(lambda norm, _, output: output + norm.bias)
        return network

    def trains(self, network: Any) -> list[str]:
        """See `Method.trains`."""
        return [name for name, _ in network.named_parameters() if name.rpartition(".")[2] == "bias"]
