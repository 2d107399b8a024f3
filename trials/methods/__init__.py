"""The methods, one file each.

To add one: a `Method` subclass, a line here, and its hyperparameters in `search_spaces/hyperparameters.yaml`.
"""

from __future__ import annotations

from trials.config import TrialConfig
from trials.methods.adept import Adept
from trials.methods.base import INIT_TEXT, Method, Surroundings
from trials.methods.dept import Dept
from trials.methods.pt import Pt
from trials.randomness import stream

METHODS: dict[str, type[Adept] | type[Dept] | type[Pt]] = {"adept": Adept, "dept": Dept, "pt": Pt}


def make_method(config: TrialConfig, around: Surroundings) -> Method:
    """The untrained method of a trial; the same config and surroundings give the same numbers."""
    return METHODS[config.method](
        config.hyperparameters, config.constants, around, stream(config.seed, "initialisation")
    )


__all__ = ["INIT_TEXT", "METHODS", "Method", "Surroundings", "make_method"]
