"""The methods, one file each.

To add one: a `Method` subclass, a line here, and its hyperparameters in `search_spaces/hyperparameters.yaml`; one that
changes weights inside the backbone is named in `trials.config.INNER_METHODS` as well.
"""

from __future__ import annotations

from trials.batching.randomness import stream
from trials.config import TrialConfig
from trials.methods.adept import Adept
from trials.methods.base import INIT_TEXT, Method, Surroundings
from trials.methods.dept import Dept
from trials.methods.lora import Lora
from trials.methods.pt import Pt

METHODS: dict[str, type[Adept] | type[Dept] | type[Pt] | type[Lora]] = {
    "adept": Adept, "dept": Dept, "pt": Pt, "lora": Lora,
}  # fmt: skip


def make_method(config: TrialConfig, around: Surroundings) -> Method:
    """The untrained method of a trial; the same config and surroundings give the same numbers."""
    return METHODS[config.method](
        config.hyperparameters, config.constants, around, stream(config.seed, "initialisation")
    )


__all__ = ["INIT_TEXT", "METHODS", "Method", "Surroundings", "make_method"]
