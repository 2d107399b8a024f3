"""Prefix tuning: keys and values of places before each row, in every layer (Li and Liang 2021), as PEFT has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from trials.methods import Inside, Values, count, rate

if TYPE_CHECKING:
    from trials.backbones.facts import Facts
    from trials.methods.base.module import MethodModule


class PrefixTuning(Inside):
    """Attention over [P_k ; K] and [P_v ; V] in every layer, with P_k and P_v of m places trained.

    As in PEFT: in an encoder-decoder model they stand before the decoder's self-attention, and nowhere else (the
    paper's BART has them in the encoder and before the cross-attention, too). They are drawn from N(0, 1). The tokens'
    positions begin at m. With ``hidden`` they are made by a network, two linear layers with tanh between them, of rows
    as wide as a token's keys: PEFT's ``prefix_projection``, by which the paper makes training stable. PEFT keeps no
    more of it than what it makes; the adapter file has both.

    Parameters: m x layers x 2 x key heads x their width; with ``hidden`` h that is, for n numbers of a token's keys,
    m n + n h + h + (h + 1) layers 2 n. ADePT's tables have no row of it.
    """

    name = "prefix"
    hyperparameters: ClassVar = {
        "lr": rate("largest learning rate of the prefix"),
        "prefix_length": count("places m before each row", maximum=5_000, default=20),
        "hidden": count("width of a network that makes the prefix; left out: it is trained itself", optional=True),
    }
    groups: ClassVar = {"prefix": "lr"}
    peft_type = "PREFIX_TUNING"

    def change(self, network: Any, values: Values) -> Any:
        """See `Method.change`.

        Raises:
            UserError: the model does not keep keys and values of equal shapes in all its layers.
        """
        from trials.methods.base.kept_states import kept_states
        from trials.methods.base.prefix import Prefix

        hidden = int(self.value(values, "hidden") or 0)
        Prefix(network, kept_states(network, self.name), self.prefix_length(values), hidden)
        return network

    def prefix_length(self, values: Values) -> int:
        """See `Method.prefix_length`."""
        return int(self.value(values, "prefix_length") or 0)

    def peft_config(self, values: Values, facts: Facts) -> dict[str, Any]:
        """See `Method.peft_config`."""
        from trials.methods.base.kept_states import kept_states
        from trials.methods.base.network import without_weights

        kept = kept_states(without_weights(facts.location), self.name)
        submodules = 2 if facts.architecture == "encoder-decoder" else 1
        return {
            "num_virtual_tokens": self.prefix_length(values),
            "num_transformer_submodules": submodules,
            "num_layers": submodules * kept.layers,  # `PeftPrefixModule` says why
            "num_attention_heads": kept.heads,
            "token_dim": kept.heads * kept.width,
            "prefix_projection": False,
            "inference_mode": True,
        }

    def module(self) -> type[MethodModule]:
        """See `Method.module`."""
        from trials.methods.base.prefix import PeftPrefixModule

        return PeftPrefixModule

    def trains(self, network: Any) -> list[str]:
        """See `Method.trains`."""
        return [name for name, _ in network.named_parameters() if name.startswith("prefix.")]
