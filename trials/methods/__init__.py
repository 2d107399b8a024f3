"""The methods, one file each: hyperparameters, tensors, learning rates, what is computed, adapter format.

To add one, put a `Method` subclass into a file here, or into a package of your own with an entry point of the group
``adept_search.methods``, and a grid into a space: see ``docs/own-method.md``, which does both. Nothing else names it.

A method is of one kind (`Method.kind`), which decides how its trials are computed:

- ``embedding``: `Method.shift` changes the rows of the embedding table, and a soft prompt may stand in front. The stack
  (`trials.stack`) computes trials of many such methods in the same passes.
- ``inner``: products of `Method.factors` are added to weights inside the backbone. On the fast lane a pass computes
  those of many trials beside its weights (`trials.stack.low_rank_updates`). Elsewhere, and where `Method.additions` are
  of any rank, weights themselves are changed (`trials.stack.weight_updates`), so an engine holds one trial.
- ``modules``: it trains weights of transformers' own model, or modules that it puts into it (`Inside`); an engine holds
  one trial as well.

All that a caller asks is in `Method`; where behaviour depends on the kind it asks for `Method.kind`, never for a name.
Nothing here needs torch; `trials.methods.base.module` does, with `make_method` for one trial's parameters.
"""

from __future__ import annotations

from trials.methods.base.declaration import Drop, Kind, Method
from trials.methods.base.hyperparameters import (
    PROMPT_INIT,
    PROMPT_LENGTH,
    PROMPT_LR,
    Hyperparameter,
    choice,
    count,
    rate,
)
from trials.methods.base.inside import Inside
from trials.methods.base.registry import (
    GROUP,
    get_method,
    method_names,
    stackable_methods,
    standard_method,
)
from trials.methods.base.tensors import Sizes, Values, Weights, uniform

__all__ = [
    "GROUP",
    "PROMPT_INIT",
    "PROMPT_LENGTH",
    "PROMPT_LR",
    "Drop",
    "Hyperparameter",
    "Inside",
    "Kind",
    "Method",
    "Sizes",
    "Values",
    "Weights",
    "choice",
    "count",
    "get_method",
    "method_names",
    "rate",
    "stackable_methods",
    "standard_method",
    "uniform",
]
