"""What a method is, as one declaration: hyperparameters, tensors, learning rates, and what it computes.

A method is a `Method` subclass in a file of its own. Everything that others need of it follows from there: the check of
grids, parameter counts and `from_budget`, what searchers draw, the start of a trial, its learning rates, its adapter
file. Importing a declaration needs no torch, so that plans and command lines stay light: annotations are texts (``from
__future__ import annotations``), and a function that needs torch imports it.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from trials.config import Lane, Recipe, Value
from trials.methods.base.hyperparameters import TOP_VOCABULARY, Hyperparameter
from trials.methods.base.tensors import RECIPE, Sizes, Values, Weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trials.backbones.facts import Facts
    from trials.methods.base.module import MethodModule, Surroundings

Kind = Literal["embedding", "inner", "modules"]
"""How a trial of a method is computed; see `Method.kind`."""

SourceKind = Literal["prompt", "adapter"]
"""What a trial of a transfer starts from; see `Method.source_kind`."""


class Method:
    """One way to adapt a frozen backbone. A subclass is made once and holds no trial: see `MethodModule` for those.

    A soft prompt of ``prompt_length`` rows stands in front of the source wherever that is one of the hyperparameters
    (``prompt_init`` says where it starts); `tensors` has everything else that is trained.
    """

    name: ClassVar[str]
    """What ``--method`` and spaces call it; an entry point has the same name."""

    hyperparameters: ClassVar[Mapping[str, Hyperparameter]]
    """By name, in the order in which configurations show them."""

    groups: ClassVar[Mapping[str, str]]
    """Parameter group -> the hyperparameter that holds its peak learning rate, e.g. ``{"prompt": "prompt_lr"}``. The
    prompt is in the group of that name, else in the first."""

    kind: ClassVar[Kind] = "embedding"
    """How its trials are computed. ``embedding``: it sees only rows of the embedding table (`shift`), so many trials
    share a pass of one frozen backbone. ``inner``: it adds to weights inside the backbone, products of low rank
    (`factors`), with which trials share passes on the fast lane, or whatever else (`additions`), of which an engine
    holds one trial. ``modules``: it trains weights of transformers' model, or modules that it puts into it
    (`Inside`), on the lane that runs that model as it is."""

    sized: ClassVar[str | None] = None
    """The hyperparameter that a space may leave to ``from_budget``: the largest whose configuration has no more
    parameters than that many rows of soft prompt. More of it is more parameters. A searcher cuts it where a
    configuration would be larger than the budget and all of the grid."""

    positional: ClassVar[bool] = False
    """Whether an offset depends on a token's place; else equal tokens have equal offsets."""

    trains_prompt: ClassVar[bool] = True
    """Whether the rows of its prompt are themselves trained; else `prompt` makes them from its tensors."""

    sources: ClassVar[tuple[int, int]] = (0, 0)
    """How many sources it starts from, at least and at most: soft prompts that were trained on other tasks, or adapters
    of its own (`source_kind`). A configuration of it is as long as they are."""

    source_kind: ClassVar[SourceKind] = "prompt"
    """What its sources are: soft prompts, of any method that learns nothing else; or an adapter of the method itself,
    from which all that it trains starts."""

    prompts_by_row: ClassVar[bool] = False
    """Whether each row of the data has a prompt of its own (`row_prompts`)."""

    offset_ends: ClassVar[tuple[str, ...]] = ()
    """Tensors that, where they are zero, leave every token as it is: how a trained method is looked at without its
    offsets."""

    offset_places: ClassVar[str] = ""
    """The tensor that has a row for each place of a source, if offsets are looked up there."""

    peft_type: ClassVar[str] = ""
    """``peft_type`` of its adapter files; empty: its name in capitals."""

    slow_to_check: ClassVar[bool] = False
    """Whether its hyperparameters come from a package that takes seconds to import: its grid is checked only where it
    is the method that is asked for."""

    standard: ClassVar[bool] = False
    """Whether it is the method that a search takes which names none, and that tables show first. One is."""

    def tensors(self, values: Values, sizes: Sizes, recipe: Recipe) -> dict[str, Weights]:
        """What is trained beside the prompt, by the names that the adapter file has.

        The order stays: starts are drawn in it. A name may be one of a group of tensors, ``down.8x8``.
        """
        return {}

    def starts(self, values: Values, around: Surroundings, generator: torch.Generator) -> dict[str, Tensor]:
        """Starts of some of `tensors`, or of ``prompt``, that depend on the backbone's embeddings or on source prompts.

        By name; see `Weights.start`.
        """
        return {}

    def constants(self, values: Values, around: Surroundings) -> dict[str, Tensor]:
        """What it computes with beside its parameters, by name: not trained, but kept with it in all files."""
        return {}

    def prompt(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """The soft prompts of K trials, shape (K, m, d), from their parameters and constants, of shape (K, ...)."""
        return parameters["prompt"]

    def row_prompts(self, parameters: Mapping[str, Tensor], summaries: Tensor) -> Tensor:
        """Where `prompts_by_row`: the soft prompt of each row of K trials.

        Args:
            parameters: as in `prompt`.
            summaries: of each row's source, shape (K, rows, d): in each coordinate the greatest value that one of its
                tokens has there, as the backbone embeds it. No answer takes part.

        Returns:
            Shape (K, rows, m, d).
        """
        return self.prompt(parameters)[:, None].expand(-1, summaries.shape[1], -1, -1)

    def shift(self, parameters: Mapping[str, Tensor], embeddings: Tensor, positions: Tensor, drop: Drop) -> Tensor:
        """Token embeddings of K trials with each trial's offset added, in batched matrix products.

        Args:
            parameters: the trials' parameters by name, stacked, each of shape (K, ...).
            embeddings: the backbone's rows for each trial's tokens, shape (K, tokens, d).
            positions: each token's place in its source, shape (K, tokens).
            drop: this step's dropout of a hidden layer of shape (K, tokens, features); the identity in evaluation and
                where the recipe has none.

        Returns:
            Shape (K, tokens, d); the embeddings as they are unless a method says otherwise.
        """
        return embeddings

    def embed(
        self, parameters: Mapping[str, Tensor], tokens: Tensor, embeddings: Tensor, positions: Tensor, drop: Drop
    ) -> Tensor:
        """As `shift`, for a method that has to know which tokens they are, by their ids of shape (K, tokens)."""
        return self.shift(parameters, embeddings, positions, drop)

    def factors(
        self, parameters: Mapping[str, Tensor], values: Sequence[Values], sizes: Sizes
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """What ``inner`` trials add to each of the backbone's `Sizes.projections`, where it is of low rank.

        With it trials share passes (`trials.backbones.low_rank`); without it, of `additions`, none does.

        Args:
            parameters: of K trials by name, each of shape (K, ...); gradients flow back to them.
            values: the trials' configurations.

        Returns:
            By the names of all modules A and B, of shapes (K, r, inputs) and (K, outputs, r), float32: B A is added. r
            is the same everywhere.
        """
        return {}

    def additions(self, parameters: Mapping[str, Tensor], values: Values, sizes: Sizes) -> dict[str, Tensor]:
        """What one ``inner`` trial adds to each of the backbone's `Sizes.projections`: the products of its `factors`.

        Args:
            parameters: its parameters by name, as they are shaped here; gradients flow back to them.

        Returns:
            By the names of the modules, each of shape (outputs, inputs), float32.
        """
        found = self.factors({name: tensor[None] for name, tensor in parameters.items()}, [values], sizes)
        return {name: up[0] @ down[0] for name, (down, up) in found.items()}

    def shares_passes(self, lane: Lane) -> bool:
        """Whether its trials share passes of a backbone in that lane: at its input; inside, where it adds `factors`."""
        return self.kind == "embedding" or (self.adds_factors and lane == "fast")

    @property
    def adds_factors(self) -> bool:
        """Whether what it adds inside the backbone is of low rank: it has `factors`."""
        return self.kind == "inner" and type(self).factors is not Method.factors

    def lacks(self, sizes: Sizes) -> str:
        """Why it cannot be trained on a backbone of these sizes, as the end of a sentence; empty where it can."""
        return ""

    def refuses(self, values: Values, sizes: Sizes) -> str:
        """Why a configuration cannot be trained on a backbone of these sizes; empty where it can.

        A grid that holds such a configuration is refused in the plan, and a searcher draws none. A method that says
        more asks ``super().refuses``, too: a prompt has no more rows than it is drawn from.
        """
        why = self._not_drawn(m := self.prompt_length(values), values, sizes) if self.trains_prompt else ""
        return f"prompt_length {m:,} is {why}" if why else ""

    def _not_drawn(self, rows: int, values: Values, sizes: Sizes) -> str:
        """Why a prompt cannot start as so many vocabulary rows, as the end of a sentence; empty where it can."""
        there = min(sizes.vocabulary or TOP_VOCABULARY, TOP_VOCABULARY)
        if (self.value(values, "prompt_init") or sizes.prompt_init) != "vocabulary" or rows <= there:
            return ""
        its = self.hyperparameters.get("prompt_init")
        others = [start for start in its.choices if start != "vocabulary"] if its else []
        fix = f"prompt_init: {' or '.join(others)}" if others else "another --recipe"
        return (
            f"more than the {there:,} rows of the vocabulary that a prompt is drawn from; give at most {there:,}, or "
            f"{fix}"
        )

    def effective(self, values: Values, sizes: Sizes) -> Values:
        """A configuration without the rate of a prompt that has no rows, where nothing else is trained at that rate.

        Trials of one seed whose configurations are equal so are copies of each other. Where such a prompt would start
        (``prompt_init``) counts nevertheless: the other starts are drawn after its own.
        """
        rate = self.groups.get("prompt")
        if self.kind != "embedding" or not self.trains_prompt or self.prompt_length(values):
            return values
        used = {self.groups[weights.group] for weights in self.tensors(values, sizes, RECIPE).values()}
        return {name: value for name, value in values.items() if name != rate or name in used}

    @property
    def is_prompt_alone(self) -> bool:
        """Whether all that it learns is one soft prompt in front: then a transfer can start from it."""
        of, plain = type(self), Method
        return (
            self.kind == "embedding"
            and "prompt_length" in self.hyperparameters
            and not self.prompts_by_row
            and (of.shift, of.embed) == (plain.shift, plain.embed)
        )

    def wrong_sources(self, names: Sequence[str]) -> str:
        """What is wrong with starting from so many sources, as the end of a sentence; empty where nothing is."""
        least, most = self.sources
        if least <= len(names) <= most:
            return ""
        if not most:
            return "starts from no source prompts"
        kind = "source prompt" if self.source_kind == "prompt" else f"adapter of {self.name}"
        some = f"one {kind}" if most == 1 else f"{least} to {most} {kind}s"
        wanted = some if least or most > 1 else f"{some} or none"
        return f"starts from {wanted}, and {len(names) or 'none'} {'are' if len(names) > 1 else 'is'} given"

    def to_file(self, state: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
        """The tensors of an adapter file, by their names there, from those of a trial."""
        return dict(state)

    def from_file(self, tensors: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
        """A trial's tensors from those of an adapter file; a prompt that is not among them is left as it is."""
        return dict(tensors)

    def peft_config(self, values: Values, facts: Facts) -> dict[str, Any]:
        """What ``adapter_config.json`` says to PEFT beside ``peft_type`` and ``task_type``."""
        return {"num_virtual_tokens": self.prompt_length(values)}

    def module(self) -> type[MethodModule]:
        """The `torch.nn.Module` that holds one trial's parameters."""
        from trials.methods.base.module import MethodModule

        return MethodModule

    def value(self, values: Values, name: str) -> Value | None:
        """A hyperparameter as a configuration has it, else its default."""
        return values.get(name, self.hyperparameters[name].default if name in self.hyperparameters else None)

    def prompt_length(self, values: Values) -> int:
        """Rows of the soft prompt; 0 for a method without one."""
        return int(self.value(values, "prompt_length") or 0)

    def prefix_length(self, values: Values) -> int:
        """Places before each row that are kept and not read; a decoder-only model numbers them as it does tokens."""
        return 0

    def parameter_count(self, values: Values, sizes: Sizes) -> int:
        """How many numbers a configuration trains."""
        count = self.prompt_length(values) * sizes.width if self.trains_prompt else 0
        return count + sum(math.prod(weights.shape) for weights in self.tensors(values, sizes, RECIPE).values())

    def largest_size(self, values: Values, sizes: Sizes, parameters: int) -> int:
        """The greatest value of `sized` with which a configuration has at most so many parameters; 0 for none."""
        assert self.sized is not None
        most, name = int(self.hyperparameters[self.sized].maximum or 1 << 40), self.sized
        above = bisect.bisect(
            range(most + 1), parameters, key=lambda n: self.parameter_count({**values, name: n}, sizes)
        )
        return max(0, above - 1)


Drop = Callable[["Tensor"], "Tensor"]
"""Dropout of a hidden layer."""
