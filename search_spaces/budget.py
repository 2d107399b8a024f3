"""How many parameters a configuration trains, and the sizes that a parameter budget leaves.

A budget is counted in rows of a soft prompt: `budget` rows of a backbone with embeddings of width d are `budget * d`
parameters, the measure by which the papers hold their methods equal (100 rows, so 76,800 on T5-base).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.hyperparameters import Value, declared
from search_spaces.problems import SpaceError
from trials.methods import Method, Sizes


def parameter_count(
    method: str,
    configuration: Mapping[str, Value],
    d_model: int,
    max_source_length: int | None = None,
    projections: Sequence[tuple[int, int]] = (),
    vocabulary: int = 0,
) -> int:
    """Trained parameters of a configuration (`trials.methods.Method.parameter_count`).

    Args:
        method: a method's name.
        configuration: a point of a space of that method.
        d_model: width d of the backbone's embeddings.
        max_source_length: tokens L to which inputs are padded; 256 where not given.
        projections: outputs and inputs of the weights that an inner method changes; no other count depends on them.
        vocabulary: rows of the embedding table; counts of methods that train one depend on it.

    Raises:
        SpaceError: no such method, or one that has nothing to train on such a backbone.
        KeyError: the configuration lacks a size.
    """
    by_place = {str(place): shape for place, shape in enumerate(projections)}
    sizes = Sizes(d_model, max_source_length or 256, by_place, vocabulary=vocabulary)
    found = declared(method)
    if why := found.lacks(sizes):
        raise SpaceError([f"{method}: {why}"])
    return found.parameter_count(configuration, sizes)


@dataclass(frozen=True)
class BudgetRule:
    """What `from_budget` stands for in the grid of one method, for one backbone and input length."""

    method: Method
    sizes: Sizes
    budget: int

    @property
    def name(self) -> str:
        """The hyperparameter that the rule sets."""
        return self.method.sized or ""

    @property
    def circumstances(self) -> str:
        """What the rule was applied to, for messages."""
        lengths = f" and inputs of {self.sizes.max_source_length} tokens" if self.method.positional else ""
        return f"a budget of {self.budget} rows at d = {self.sizes.width}{lengths}"

    def size(self, configuration: Mapping[str, Value]) -> int:
        """The size that the budget leaves beside the rest of a configuration, 0 for none."""
        return self.method.largest_size(configuration, self.sizes, self.budget * self.sizes.width)

    def longest_prompt(self, configuration: Mapping[str, Value]) -> int | None:
        """The most prompt rows that leave a size of 1, or None where even 0 rows leave none."""
        rows = range(self.budget, -1, -1)
        return next((n for n in rows if self.size({**configuration, "prompt_length": n}) >= 1), None)
