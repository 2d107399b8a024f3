"""Adapter: a small network behind each attention and feed-forward layer (Houlsby et al. 2019), as ATTEMPT runs it.

ATTEMPT and compacter (adapters/adapter_modeling.py, configs/baselines/adapter.json): reduction factor 32, gelu_new, no
norm of the adapter's own, the backbone's norms trained.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from trials.errors import UserError
from trials.methods import Inside, Values, count, rate
from trials.methods.base.registry import stackable_methods

OUTPUTS = (
    ("SelfAttention.o", "DenseReluDense.wo"),
    ("self_attn.o_proj", "mlp.down_proj"),
    ("self_attn.out_proj", "fc2"),
    ("self_attn.dense", "mlp.fc2"),
    ("attn.c_proj", "mlp.c_proj"),
    ("attn.out_proj", "mlp.fc_out"),
    ("attention.dense", "mlp.dense_4h_to_h"),
    ("self_attention.dense", "mlp.dense_4h_to_h"),
)
"""What families call the last projection of a self-attention and of a feed-forward layer: T5; Llama and its like; BART
and OPT; Phi; GPT-2; GPT-J and CodeGen; GPT-NeoX; Falcon and BLOOM."""


class Adapter(Inside):
    """y + U gelu(D y + a) + b for the output y of each self-attention and feed-forward layer, before it is dropped.

    D (d / 32, d) and U start as torch's linear layers do, as in the source, so the start is not the identity. The norms
    of the backbone are trained as well. None stands behind cross-attention.

    Parameters: 2 d w + w + d for each of them, w = d / 32, and the norms' scales; on T5-base 48 x 37,656 + 47,616 =
    1,855,104 (1.9M in the paper).
    """

    name = "adapter"
    hyperparameters: ClassVar = {
        "lr": rate("largest learning rate of adapters and norms"),
        "reduction": count("the adapters' width is that of the layers divided by this", default=32, maximum=10_000),
    }
    groups: ClassVar = {"adapters": "lr"}

    def change(self, network: Any, values: Values) -> Any:
        """See `Method.change`.

        Raises:
            UserError: the model's layers are not kept in a way that is known here.
        """
        from torch import nn
        from transformers.activations import ACT2FN

        d = int(network.config.get_text_config().hidden_size)
        width = max(1, d // int(self.value(values, "reduction") or 32))
        for output in self.places(network, values):
            adapter = nn.Sequential(nn.Linear(d, width), ACT2FN["gelu_new"], nn.Linear(width, d))
            output.add_module("adapter", adapter.to(output.weight.device, output.weight.dtype))
            output.register_forward_hook(lambda output, _, y: y + output.adapter(y))
        return network

    def places(self, network: Any, values: Values) -> list[Any]:
        """The last projections that adapters stand behind."""
        return [module for _, module in self.outputs(network)]

    def outputs(self, network: Any) -> list[tuple[int, Any]]:
        """The last projection of each self-attention and feed-forward layer, with the number of its block."""
        modules = list(network.named_modules())
        for names in OUTPUTS:
            found = [[(n, m) for n, m in modules if n.endswith(f".{name}") and hasattr(m, "weight")] for name in names]
            if found[0] and len(found[0]) == len(found[1]):
                both = found[0] + found[1]
                return [(int(next(iter(re.findall(r"\.(\d+)\.", name)))), module) for name, module in both]
        kind = network.config.model_type
        raise UserError(
            [f"{self.name}: the layers of model type {kind!r} have no names known here; {stackable_methods()}"]
        )

    def trains(self, network: Any) -> list[str]:
        """See `Method.trains`: adapters, and norms of the backbone."""
        norms = {name for name, module in network.named_modules() if type(module).__name__.endswith("Norm")}
        return [
            name for name, _ in network.named_parameters() if ".adapter." in name or name.rpartition(".")[0] in norms
        ]
