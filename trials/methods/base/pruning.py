"""Structured pruning of T5: the weights of a narrower network, as those of the wide one that are largest.

What Ladder Side Tuning starts its side network with (ylsung/Ladder-Side-Tuning, seq2seq/pruning/pruning_methods.py,
``pruning_v2``). There each weight's importance is its Fisher information on training rows (``fisher-v2``) or the weight
itself (``t5-base-v2``); here it is the weight, since a trial starts before it sees a row.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

PROJECTIONS = (("q", "k", "v"), ("wi",), ("wi_0", "wi_1"))
"""What reads the stream of a layer: of an attention, of a feed-forward layer, of a gated one."""

RESULTS = ("o", "wo")
"""What writes to it."""


def largest_rows(weights: Tensor, keep: int) -> Tensor:
    """The numbers of the rows of (rows, columns) with the largest sum of absolute values, in their order."""
    return weights.abs().sum(1).argsort()[len(weights) - keep :].sort().values


def pruned(network: Any, width: int, features: int, hidden: int) -> dict[str, Tensor]:
    """Weights of T5's layers in a network of another width, by their names in the wide one.

    The rows that a projection keeps are the columns that the next one keeps. Every result chooses anew, so the stream
    of the narrow network is not in the same features of the wide one throughout. Queries, keys and values keep the same
    rows, the largest in their elementwise product, whatever heads they come from.

    Args:
        network: a T5ForConditionalGeneration; nothing in it is changed.
        width: of the narrow stream.
        features: of all its heads of an attention together.
        hidden: of its feed-forward layers.
    """
    found: dict[str, Tensor] = {}
    rows = largest_rows(network.shared.weight.detach().T, width)
    for stack_name in ("encoder", "decoder"):
        stack = getattr(network, stack_name)
        for number, block in enumerate(stack.block):
            for place, layer in enumerate(block.layer):
                name = f"{stack_name}.block.{number}.layer.{place}"
                found[f"{name}.layer_norm.weight"] = layer.layer_norm.weight.detach()[rows]
                inner_name, inner = next((n, m) for n, m in layer.named_children() if _named(m, RESULTS))
                reading = next(names for names in PROJECTIONS if _named(inner, names[:1]))
                weights = {of: getattr(inner, of).weight.detach()[:, rows] for of in reading}
                importance = next(iter(weights.values())).clone()
                for of in reading[1:]:
                    importance *= weights[of]
                rows = largest_rows(importance, hidden if inner_name == "DenseReluDense" else features)
                found |= {f"{name}.{inner_name}.{of}.weight": weight[rows] for of, weight in weights.items()}
                (of,) = _named(inner, RESULTS)
                weight = getattr(inner, of).weight.detach()[:, rows]
                rows = largest_rows(weight, width)
                found[f"{name}.{inner_name}.{of}.weight"] = weight[rows]
        found[f"{stack_name}.final_layer_norm.weight"] = stack.final_layer_norm.weight.detach()[rows]
    return found


def _named(module: Any, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if hasattr(module, name)]
