"""What methods share that start from source prompts, or from an adapter of their own, trained on other tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from trials.methods.base.declaration import Method, SourceKind
from trials.methods.base.hyperparameters import count
from trials.methods.base.tensors import RECIPE, Sizes, Values

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trials.methods.base.module import Surroundings

MOST_SOURCES = 64
"""Of one trial; more are rather a slip than a transfer."""

SOURCE_LENGTH = count("rows m of the soft prompt, as many as its source prompts have", maximum=5_000, default=100)


class Transfer(Method):
    """A method of one source prompt or several (`Method.sources`), which are as long as its own prompt."""

    sources: ClassVar[tuple[int, int]] = (1, MOST_SOURCES)
    source_kind: ClassVar[SourceKind] = "prompt"

    def refuses(self, values: Values, sizes: Sizes) -> str:
        """Rows are added to rows, or start as them: a source of another length has no row for some of them."""
        m = self.prompt_length(values)
        others = [f"{name} ({rows})" for name, rows in sizes.sources.items() if rows != m]
        if not others:
            return super().refuses(values, sizes)
        return f"prompt_length {m} is not that of its source prompts: {', '.join(others)}; the space must give theirs"

    def source_prompts(self, around: Surroundings) -> Tensor:
        """In their order, shape (sources, m, d), float32, on the CPU."""
        import torch

        return torch.stack([prompt.detach().float().cpu() for prompt in around.sources.values()])


class FromOwnAdapter(Method):
    """A method that may start from one adapter of its own, trained on another task: from everything that it learnt.

    ADePT's Table 15 starts so (appendix B.2: "both the soft prompt and the feed-forward neural network"). Without a
    source it starts as ever. The optimizer's state is no part of an adapter, and begins anew.
    """

    sources: ClassVar[tuple[int, int]] = (0, 1)
    source_kind: ClassVar[SourceKind] = "adapter"

    def starts(self, values: Values, around: Surroundings, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Method.starts`: the prompt and all tensors of the source, where there is one."""
        if not around.sources:
            return super().starts(values, around, generator)
        (name, prompt), *_ = around.sources.items()
        return {"prompt": prompt, **around.adapters[name].tensors}

    def refuses(self, values: Values, sizes: Sizes) -> str:
        """A tensor can start only as one of its own shape."""
        why = super().refuses(values, sizes)
        for name, rows in sizes.sources.items():
            length = {"prompt_length": rows} if "prompt_length" in self.hyperparameters else {}
            why = why or self._unlike(name, {**sizes.adapters.get(name, {}), **length}, values, sizes)
        return why

    def _unlike(self, name: str, theirs: Values, values: Values, sizes: Sizes) -> str:
        """Why a configuration cannot start from a source whose shapes come from the values ``theirs``."""
        own = {key: self.value(values, key) for key in theirs}
        if differing := [key for key in theirs if own[key] != theirs[key]]:
            here, there = (", ".join(f"{key} {of[key]}" for key in differing) for of in (own, theirs))
            wanted = ", ".join(f"{key}: {value}" for key, value in theirs.items())
            return (
                f"{here}: its source {name} has {there}; the space must give the source's, as a file for --space can "
                f"({wanted})"
            )
        shapes, have = self.tensors(values, sizes, RECIPE), sizes.tensors.get(name, {})
        for tensor, weights in shapes.items():
            if tensor == self.offset_places and tensor in have and have[tensor] != weights.shape:
                places, longest = have[tensor][0], weights.shape[0]
                return (
                    f"its source {name} has offsets for texts of {places} tokens, and texts here have up to {longest}: "
                    f"--max-source-length {places} makes them equal, or train the source with --max-source-length "
                    f"{longest}"
                )
        wrong = [
            f"{key} {have.get(key)}, not {shapes[key].shape if key in shapes else None}"
            for key in sorted({*shapes, *have})
            if key not in have or key not in shapes or have[key] != shapes[key].shape
        ]
        return f"the tensors of its source {name} have other shapes: {'; '.join(wrong)}" if wrong else ""
