"""LST: Ladder Side Tuning (Sung, Cho and Bansal 2022), a small network beside the frozen one, as its source has it.

Source: ylsung/Ladder-Side-Tuning, seq2seq/third_party/models/t5/modeling_side_t5.py, seq2seq/run_seq2seq.py and
seq2seq/scripts/ladder_side_tuning_base.sh.
"""

from __future__ import annotations

from typing import Any, ClassVar

from trials.errors import UserError
from trials.methods import Inside, Values, count, rate
from trials.methods.base.registry import stackable_methods

TYPES = ("t5", "mt5")
OF = 4
"""Side layers are left out in a pattern of so many layers."""


class Lst(Inside):
    """Side layers of width d / r beside T5's, whose gradients never pass through T5 itself.

    With h the output of layer i of T5 and s the side's stream, g = sigmoid(alpha / 0.1) with one alpha a layer, zero at
    the start:  s <- block_i(g s + (1 - g)(D_i h + b_i)).  s begins as a projection of the embeddings; behind the last
    side layer come a norm and a projection U back to d, which the backbone's head reads in place of T5's own output. A
    side layer of the decoder attends to the side's encoder. Width, heads' width and feed-forward width are T5's divided
    by r; there are as many heads.

    `side_layers` N of each four layers have one beside them, the last N: 3, the source's choice for T5-base, are layers
    1, 2, 3, 5, 6, 7, 9, 10 and 11; 2 and 1 are those of its script ``..._base_dropping.sh``; 4, all of them, is what
    it does on T5-large and T5-3B.

    The start is T5's own weights, pruned (`trials.methods.base.pruning`): by their size, the source's ``t5-base-v2``,
    and not by their Fisher information on 1,024 training rows, its ``fisher-v2``, which its published numbers have: a
    trial's start does not depend on rows here. Projections start as torch's linear layers do.

    Parameters: on T5-base 3,878,706 (3.8M in the paper's Table 3): nine side layers of 110,784 and nine of 147,744, for
    each stack 384 biases of positions, a norm of 96 and ten projections of 73,824 with nine gates, and U of 74,496. The
    source has six gates more, of layers without a side layer, which never act.
    """

    name = "lst"
    hyperparameters: ClassVar = {
        "lr": rate("largest learning rate of the side network"),
        "reduction": count("T5's widths are divided by this r for the side network's", default=8, maximum=1_000),
        "side_layers": count("how many of each four layers, the last ones, have a side layer", default=3, maximum=OF),
    }
    groups: ClassVar = {"side": "lr"}

    def change(self, network: Any, values: Values) -> Any:
        """See `Method.change`.

        Raises:
            UserError: it is no T5, or nothing is left of a width or of a stack's layers.
        """
        from trials.methods.base.ladder import Ladder
        from trials.methods.base.pruning import pruned

        config = network.config
        if config.model_type not in TYPES:
            raise UserError(
                [f"{self.name}: its side network is T5's, and this is a {config.model_type}; {stackable_methods()}"]
            )
        reduction, kept = (int(self.value(values, name) or 0) for name in ("reduction", "side_layers"))
        smallest = min(config.d_model, config.d_kv, config.d_ff)
        if reduction > smallest:
            raise UserError(
                [f"{self.name}: reduction {reduction} leaves no width: the backbone's smallest is {smallest}"]
            )
        width, features, hidden = (size // reduction for size in (config.d_model, config.d_kv, config.d_ff))
        stacks = {"encoder": network.encoder, "decoder": network.decoder}
        layers = {name: [i for i in range(len(stack.block)) if i % OF >= OF - kept] for name, stack in stacks.items()}
        if bare := [f"{name} ({len(stacks[name].block)} layers)" for name, found in layers.items() if not found]:
            raise UserError(
                [
                    f"{self.name}: side_layers {kept} of each {OF}, the last ones, leave none beside the "
                    f"{' and the '.join(bare)} of this backbone; take more"
                ]
            )
        weights = pruned(network, width, features * config.num_heads, hidden)
        for name, stack in stacks.items():
            own = {of.removeprefix(f"{name}."): w for of, w in weights.items() if of.startswith(f"{name}.")}
            stack.add_module("ladder", Ladder(stack, width, features, hidden, layers[name], own))
        return network

    def trains(self, network: Any) -> list[str]:
        """See `Method.trains`: the side network."""
        return [name for name, _ in network.named_parameters() if ".ladder." in name]
