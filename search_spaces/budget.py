"""How many parameters a configuration trains, and the sizes that a parameter budget leaves.

A budget is counted in rows of a soft prompt: `budget` rows of a backbone with embeddings of width d are `budget * d`
parameters, the measure by which the papers hold their methods equal (100 rows, so 76,800 on T5-base).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from search_spaces.hyperparameters import Value, hyperparameters

_OFFSET_PARAMETERS: dict[str, tuple[str, Callable[[int, int, int], int]]] = {
    "adept": ("bottleneck", lambda size, width, _length: 2 * size * width + size + width),
    "dept": ("rank", lambda size, width, length: size * (length + width)),
}
"""By method: the hyperparameter that sizes its offsets, and (size, d, L) -> their parameters."""


def bottleneck_for(prompt_length: int, d_model: int, budget: int = 100) -> int:
    """The widest offset network of ADePT that the budget leaves beside a prompt; 0 where it leaves none.

    With m rows of prompt, m*d + 2*r*d + r + d <= budget*d (ADePT, section 4.1) gives
    r = floor((budget*d - m*d - d) / (2*d + 1)): 39, 29, 19 and 9 for m = 20, 40, 60 and 80 on T5-base.
    """
    return max(0, (budget * d_model - prompt_length * d_model - d_model) // (2 * d_model + 1))


def rank_for(prompt_length: int, d_model: int, max_source_length: int, budget: int = 100) -> int:
    """The largest rank of DePT's offsets that the budget leaves beside a prompt; 0 where it leaves none.

    With m rows of prompt and inputs padded to L tokens, m*d + r*(L + d) <= budget*d gives
    r = floor((budget - m)*d / (L + d)): 60, 45, 30 and 15 for m = 20, 40, 60 and 80 on T5-base at L = 256, as in DePT's
    published configurations.
    """
    return max(0, (budget - prompt_length) * d_model // (max_source_length + d_model))


def parameter_count(
    method: str,
    configuration: Mapping[str, Value],
    d_model: int,
    max_source_length: int | None = None,
    projections: Sequence[tuple[int, int]] = (),
) -> int:
    """Trained parameters of a configuration.

    ADePT m*d + 2*r*d + r + d (a prompt, two matrices, two biases), DePT m*d + r*(L + d), PT m*d, LoRA r*(outputs +
    inputs) for each weight that it changes.

    Args:
        method: adept, dept, pt or lora.
        configuration: a point of a space of that method.
        d_model: width d of the backbone's embeddings.
        max_source_length: tokens L to which inputs are padded; 256 where not given. Only DePT's count depends on it.
        projections: outputs and inputs of the weights that LoRA changes; no other count depends on them.

    Raises:
        SpaceError: no such method.
        KeyError: the configuration lacks a size.
        ValueError: LoRA without the weights that it changes.
    """
    hyperparameters(method)
    if method == "lora":
        if not projections:
            raise ValueError("LoRA's parameters cannot be counted without the shapes of the weights that it changes")
        return int(configuration["rank"]) * sum(map(sum, projections))
    length = 256 if max_source_length is None else max_source_length
    prompt = int(configuration["prompt_length"]) * d_model
    if method not in _OFFSET_PARAMETERS:
        return prompt
    size, parameters = _OFFSET_PARAMETERS[method]
    return prompt + parameters(int(configuration[size]), d_model, length)


@dataclass(frozen=True)
class SizeRule:
    """The budget rule of one hyperparameter, for one backbone and input length."""

    name: str
    """The hyperparameter that the rule sets."""
    size: Callable[[int], int]
    """Prompt length in rows -> the size that the budget leaves, 0 for none."""
    circumstances: str
    """What the rule was applied to, for messages."""

    def longest_prompt(self, budget: int) -> int | None:
        """The most prompt rows that leave a size of 1, or None where even 0 rows leave none."""
        return next((rows for rows in range(budget, -1, -1) if self.size(rows) >= 1), None)


def size_rules(d_model: int, max_source_length: int, budget: int) -> dict[str, SizeRule]:
    """By method: the hyperparameter that may say `from_budget`, and the rule that it stands for."""
    return {
        "adept": SizeRule(
            "bottleneck",
            lambda rows: bottleneck_for(rows, d_model, budget),
            f"a budget of {budget} rows at d = {d_model}",
        ),
        "dept": SizeRule(
            "rank",
            lambda rows: rank_for(rows, d_model, max_source_length, budget),
            f"a budget of {budget} rows at d = {d_model} and inputs of {max_source_length} tokens",
        ),
    }
