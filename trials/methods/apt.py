"""APT: a prefix weighed by token and by layer (Zhang et al. 2023, "Towards Adaptive Prefix Tuning", arXiv 2305.15212).

Published: a prefix of keys and values in every layer, as of P-tuning v2; a gate that weighs each of its places by what
the layer before gives ("fine-grained token level"); a weight of the whole prefix in each layer ("coarse-grained layer
level"); encoder-only models, SuperGLUE and entity recognition. No code is at hand, and no more of the text than that.

Our reading: the formula below; what h is in models with a decoder, which the paper has none of; starts (W zero, so each
place weighs a half, and lambda one); one learning rate for everything. A row of this method is not APT's published one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from trials.errors import UserError
from trials.methods import Inside, Values
from trials.methods.prefix import PrefixTuning

if TYPE_CHECKING:
    from trials.backbones.facts import Facts
    from trials.methods.base.module import MethodModule


class Apt(PrefixTuning):
    """`PrefixTuning` with lambda_i a_i P_i in layer i, a_i = sigmoid(h W_i) in R^m; P_i are keys and values alike.

    h, of width d, is what layer i takes at the last token of the source in a decoder-only model, and at the first of
    the answer (the start token) in an encoder-decoder one: the places that have seen the whole source and none of the
    answer. So every token of a row sees the same prefix.

    Parameters: those of `PrefixTuning`, and layers x (d m + 1).
    """

    name = "apt"
    hyperparameters: ClassVar = dict(PrefixTuning.hyperparameters)
    peft_type = ""

    def change(self, network: Any, values: Values) -> Any:
        """See `PrefixTuning.change`."""
        from trials.methods.base.gated_prefix import GatedPrefix
        from trials.methods.base.kept_states import decoder_layers, kept_states, refusal

        kept, hidden = kept_states(network, self.name), int(self.value(values, "hidden") or 0)
        if getattr(network.config.get_text_config(decoder=True), "altup_num_inputs", 1) > 1:
            raise UserError([refusal(network, self.name, "its layers take several streams of hidden states")])
        layers = decoder_layers(network, kept, self.name)
        GatedPrefix(network, kept, self.prefix_length(values), hidden, layers)
        return network

    def peft_config(self, values: Values, facts: Facts) -> dict[str, Any]:
        """See `Method.peft_config`: nothing that PEFT knows."""
        return Inside.peft_config(self, values, facts)

    def module(self) -> type[MethodModule]:
        """See `Method.module`."""
        from trials.methods.base.prefix import PrefixModule

        return PrefixModule
