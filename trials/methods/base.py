"""What every method shares: a soft prompt in front, and perhaps an offset on each token embedding.

A method is one trial's trainable part. It never sees the backbone itself, only the rows of its embedding table, so many
of them can stand side by side in front of one frozen model. A method that changes weights inside the backbone as well
says so (`Method.INNER`), and its trials are computed one at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from trials.config import PromptInit, Recipe, Value

INIT_TEXT = "Classify this text is postive or not:"
"""The released code's prompt text for every task, with its typo."""

TOP_VOCABULARY = 5000
"""Prompt rows are sampled from this many first rows of the vocabulary (ATTEMPT, ``init_prefix_weights``)."""

Drop = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Surroundings:
    """What a method may look at when it is made.

    Attributes:
        embedding: the backbone's input embedding table, shape (vocabulary, d).
        init_text_ids: token ids of `INIT_TEXT`, with the end-of-sequence token where the tokenizer adds one.
        max_source_length: the longest source in tokens; DePT has one offset row for each.
        projections: outputs and inputs of those projections of every attention that LoRA changes
            (`Facts.projections`), by the names of their modules in transformers' model; empty where they have no name
            known here.
    """

    embedding: Tensor
    init_text_ids: list[int]
    max_source_length: int
    projections: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """The embedding width d."""
        return self.embedding.shape[1]


class Method(nn.Module, ABC):
    """One trial's trainable parameters, float32, shapes fixed by its configuration.

    Subclasses say in `GROUPS` which learning rate drives which parameters.
    """

    GROUPS: ClassVar[Mapping[str, str]]
    """Parameter group -> the hyperparameter that holds its peak learning rate, e.g. ``{"prompt": "prompt_lr"}``."""

    POSITIONAL: ClassVar = False
    """Whether an offset depends on a token's place; else equal tokens have equal offsets."""

    INNER: ClassVar = False
    """Whether it changes weights inside the backbone: such a trial can share no pass, so an engine holds one."""

    PROMPT_LENGTH: ClassVar[int | None] = None
    """Prompt rows where the configuration does not say; None: it must."""

    PROMPT_INIT: ClassVar[PromptInit | None] = None
    """Where the prompt starts unless the configuration says; None: where the recipe says."""

    def __init__(
        self,
        hyperparameters: Mapping[str, Value],
        recipe: Recipe,
        around: Surroundings,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.hyperparameters = dict(hyperparameters)
        self.recipe = recipe
        rows = hyperparameters.get("prompt_length", self.PROMPT_LENGTH)
        if rows is None:
            raise ValueError(f"{type(self).__name__} needs a prompt_length, and {dict(hyperparameters)} has none")
        init = str(hyperparameters.get("prompt_init", self.PROMPT_INIT or recipe.prompt_init))
        self.prompt = initial_prompt(int(rows), init, around, generator)  # P: (m, d)
        self.build(around, generator)

    def build(self, around: Surroundings, generator: torch.Generator) -> None:
        """Make the parameters beside the prompt, if there are any, in an order that stays: they are drawn in it."""

    @property
    def prompt_length(self) -> int:
        """The number m of prompt rows."""
        return self.prompt.shape[0]

    @property
    def width(self) -> int:
        """The embedding width d."""
        return self.prompt.shape[1]

    @staticmethod
    @abstractmethod
    def shift(parameters: Mapping[str, Tensor], embeddings: Tensor, positions: Tensor, drop: Drop) -> Tensor:
        """Token embeddings of K trials with each trial's offset added, in batched matrix products.

        Args:
            parameters: the trials' parameters by name, stacked, each of shape (K, ...).
            embeddings: the backbone's rows for each trial's tokens, shape (K, tokens, d).
            positions: each token's place in its source, shape (K, tokens).
            drop: this step's dropout of a hidden layer of shape (K, tokens, features); the identity in evaluation and
                where the recipe has none.

        Returns:
            Shape (K, tokens, d).
        """

    def offset(self, embeddings: Tensor, positions: Tensor | None = None) -> Tensor:
        """This trial's shift alone, without dropout.

        Args:
            embeddings: shape (rows, length, d).
            positions: shape (rows, length); None where they count from 0 in each row.
        """
        rows, length, d = embeddings.shape
        if positions is None:
            positions = torch.arange(length, device=embeddings.device).expand(rows, length)
        alone = {name: parameter[None] for name, parameter in self.named_parameters()}
        shifted = self.shift(alone, embeddings.reshape(1, -1, d), positions.reshape(1, -1), lambda x: x)
        return shifted.view(rows, length, d)

    def additions(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What this trial adds to each of the backbone's `Surroundings.projections`; nothing unless it is `INNER`.

        Args:
            parameters: its parameters by name, as they are shaped here; gradients flow back to them.

        Returns:
            By the names of the modules, each of shape (outputs, inputs), float32.
        """
        return {}

    def to_file(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of an adapter file, by their names there, from those of `state_dict`."""
        return dict(state)

    def from_file(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `load_state_dict` takes, from the tensors of an adapter file."""
        return dict(tensors)

    @abstractmethod
    def group_of(self, parameter: str) -> str:
        """The group in `GROUPS` that a parameter's name belongs to."""

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each learning-rate group, in the order of `GROUPS`."""
        groups: dict[str, list[nn.Parameter]] = {group: [] for group in self.GROUPS}
        for name, parameter in self.named_parameters():
            groups[self.group_of(name)].append(parameter)
        return groups

    def peak_rates(self) -> dict[str, float]:
        """The peak learning rate of each group."""
        return {group: float(self.hyperparameters[key]) for group, key in self.GROUPS.items()}

    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.parameters())


def initial_prompt(rows: int, init: str, around: Surroundings, generator: torch.Generator) -> nn.Parameter:
    """A prompt of ``rows`` rows, shape (rows, d).

    ``text``: the embeddings of `INIT_TEXT`, repeated and cut to length (the released code's default).
    ``vocabulary``: different rows drawn from the most frequent `TOP_VOCABULARY` (ATTEMPT; the paper's PT baseline).
    ``uniform``: U(-0.5, 0.5) (compacter's and ATTEMPT's random start).
    """
    if init == "text":
        ids = torch.tensor(around.init_text_ids).repeat(-(-max(rows, 1) // len(around.init_text_ids)))[:rows]
        start = around.embedding[ids.to(around.embedding.device)]
    elif init == "vocabulary":
        top = min(TOP_VOCABULARY, len(around.embedding))
        if rows > top:
            raise ValueError(f"prompt_length {rows} is larger than the {top} vocabulary rows to draw from")
        start = around.embedding[torch.randperm(top, generator=generator)[:rows].to(around.embedding.device)]
    elif init == "uniform":
        start = torch.rand(rows, around.width, generator=generator) - 0.5
    else:
        raise ValueError(f"prompt_init {init!r} is not one of: text, vocabulary, uniform")
    return nn.Parameter(start.detach().clone().float())


def uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> nn.Parameter:
    """A parameter drawn from U(-bound, bound)."""
    return nn.Parameter((torch.rand(shape, generator=generator) * 2 - 1) * bound)
