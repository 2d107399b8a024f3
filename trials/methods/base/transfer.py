"""What methods share that start from source prompts: soft prompts that were trained on other tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from trials.methods.base.declaration import Method, Sizes, Values
from trials.methods.base.hyperparameters import count

if TYPE_CHECKING:
    from torch import Tensor

    from trials.methods.base.module import Surroundings

MOST_SOURCES = 64
"""Of one trial; more are rather a slip than a transfer."""

SOURCE_LENGTH = count("rows m of the soft prompt, as many as its source prompts have", maximum=5_000, default=100)


class Transfer(Method):
    """A method of one source prompt or several (`Method.sources`), which are as long as its own prompt."""

    sources: ClassVar[tuple[int, int]] = (1, MOST_SOURCES)

    def refuses(self, values: Values, sizes: Sizes) -> str:
        """Rows are added to rows, or start as them: a source of another length has no row for some of them."""
        m = self.prompt_length(values)
        others = [f"{name} ({rows})" for name, rows in sizes.sources.items() if rows != m]
        if not others:
            return ""
        return f"prompt_length {m} is not that of its source prompts: {', '.join(others)}; the space must give theirs"

    def source_prompts(self, around: Surroundings) -> Tensor:
        """In their order, shape (sources, m, d), float32, on the CPU."""
        import torch

        return torch.stack([prompt.detach().float().cpu() for prompt in around.sources.values()])
