"""LAMP: a soft prompt by its truncated singular value decomposition, shortened by averaging (arXiv 2502.12200).

Our reading. No code and no more than the abstract and summaries of the paper are at hand: they state that the factors
of a truncated SVD of the soft prompt are trained, that a "compressed outer product" follows, and that average pooling
shortens the prompt. What is computed between the factors and the pooling is not stated; here it is the product of the
factors, a sum of r outer products. A row of this method is not LAMP's published one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from trials.config import Recipe
from trials.methods import PROMPT_LR, Method, Sizes, Values, Weights, choice, count

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trials.methods.base.module import Surroundings

MOST_ROWS = 5_000
"""Rows of a prompt that is decomposed."""


class Lamp(Method):
    """Input [P ; E], P[j] = mean of the rows i of block j of U diag(q) V, with U (m p, r), q (r), V (r, d) trained.

    The start is the truncated SVD of a prompt of m p rows, which starts as PT's does. One learning rate serves all
    factors: none is published in what is at hand. U is kept by blocks, (m, p, r).

    Parameters: r (m p + 1 + d); 6,952 for 100 rows and rank 8 on T5-base, the "about 7,000" of the summaries.
    """

    name = "lamp"
    hyperparameters: ClassVar = {
        "prompt_lr": PROMPT_LR,
        "prompt_length": count("rows m of the soft prompt, after pooling", maximum=5_000),
        "pool": count("rows p of the decomposed prompt that one row is the mean of", maximum=100, default=5),
        "rank": count("rank r of the decomposition", default=8),
        "prompt_init": choice(
            "where the decomposed prompt starts: sampled vocabulary rows, or uniform(-0.5, 0.5)",
            "vocabulary",
            "uniform",
            default="vocabulary",
        ),
    }
    groups: ClassVar = {"prompt": "prompt_lr"}
    trains_prompt = False

    def tensors(self, values: Values, sizes: Sizes, recipe: Recipe) -> dict[str, Weights]:
        """U by blocks, q and V."""
        m, p, r = int(values["prompt_length"]), self.pool(values), self.rank(values)
        return {
            "left": Weights((m, p, r), "prompt"),
            "singular": Weights((r,), "prompt"),
            "right": Weights((r, sizes.width), "prompt"),
        }

    def starts(self, values: Values, around: Surroundings, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Method.starts`."""
        import torch

        from trials.methods.base.module import initial_prompt

        m, p, r = int(values["prompt_length"]), self.pool(values), self.rank(values)
        whole = initial_prompt(m * p, str(self.value(values, "prompt_init")), around, generator).detach().cpu()
        left, singular, right = torch.linalg.svd(whole, full_matrices=False)
        return {
            "left": left[:, :r].reshape(m, p, r).contiguous(),
            "singular": singular[:r].clone(),
            "right": right[:r].clone(),
        }

    def prompt(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """See `Method.prompt`. The mean is taken first, which the product does not mind."""
        return (parameters["left"].mean(2) * parameters["singular"][:, None]) @ parameters["right"]

    def refuses(self, values: Values, sizes: Sizes) -> str:
        """A matrix has no more singular values than rows or columns, and a start no more rows than it draws from."""
        rows, r = int(values["prompt_length"]) * self.pool(values), self.rank(values)
        if r > min(rows, sizes.width):
            return f"rank {r} is more than the {min(rows, sizes.width)} that {rows} rows of width {sizes.width} have"
        if rows > MOST_ROWS:
            return f"prompt_length x pool are {rows:,} rows, and at most {MOST_ROWS:,} are decomposed"
        why = self._not_drawn(rows, values, sizes)
        return f"prompt_length x pool are {rows:,} rows, {why}" if why else ""

    def pool(self, values: Values) -> int:
        """Rows that one row of the prompt is the mean of."""
        return int(self.value(values, "pool") or 1)

    def rank(self, values: Values) -> int:
        """Singular values that are kept."""
        return int(self.value(values, "rank") or 1)
