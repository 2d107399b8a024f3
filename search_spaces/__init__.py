"""The configurations worth trying for a method on a backbone: the published grids and ours, as YAML, with their checks.

`load_space("small", method="adept", d_model=768)` gives the paper's 24 configurations and their settings. A space of
one's own is a YAML file in the same form: see `docs/search-spaces.md`. Nothing here needs torch or Ray.
"""

from search_spaces.budget import bottleneck_for, parameter_count, rank_for
from search_spaces.grids import Axis
from search_spaces.hyperparameters import Configuration, Hyperparameter, hyperparameters, methods
from search_spaces.loading import load_space
from search_spaces.problems import SpaceError
from search_spaces.shipped import default_space, space_names
from search_spaces.spaces import Settings, Space

__all__ = [
    "Axis",
    "Configuration",
    "Hyperparameter",
    "Settings",
    "Space",
    "SpaceError",
    "bottleneck_for",
    "default_space",
    "hyperparameters",
    "load_space",
    "methods",
    "parameter_count",
    "rank_for",
    "space_names",
]
