"""The configurations worth trying for a method on a backbone: the published grids and ours, as YAML, with their checks.

`load_space("small", method="adept", d_model=768)` gives the paper's 24 configurations and their settings. A space of
one's own is a YAML file in the same form: see `docs/search-spaces.md`. What a method can be given it declares itself
(`trials.methods`). Nothing here needs torch or Ray.
"""

from search_spaces.budget import BudgetRule, parameter_count
from search_spaces.grids import Axis
from search_spaces.hyperparameters import Configuration, Hyperparameter, hyperparameters, methods
from search_spaces.loading import load_space
from search_spaces.problems import SpaceError
from search_spaces.shipped import default_space, space_names
from search_spaces.spaces import Settings, Space

__all__ = [
    "Axis",
    "BudgetRule",
    "Configuration",
    "Hyperparameter",
    "Settings",
    "Space",
    "SpaceError",
    "default_space",
    "hyperparameters",
    "load_space",
    "methods",
    "parameter_count",
    "space_names",
]
