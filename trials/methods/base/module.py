"""One trial's trainable numbers: a soft prompt in front, and the tensors that its method declares.

A module never sees the backbone itself, only the rows of its embedding table, so many of them can stand side by side in
front of one frozen model. One of a method that changes weights inside the backbone (`inner`) is computed by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from trials.batching.randomness import stream
from trials.config import Recipe, TrialConfig, Value
from trials.errors import UserError
from trials.methods.base.declaration import Drop, Method
from trials.methods.base.hyperparameters import TOP_VOCABULARY
from trials.methods.base.registry import get_method, stackable_methods
from trials.methods.base.tensors import Sizes

INIT_TEXT = "Classify this text is postive or not:"
"""The released code's prompt text for every task, with its typo."""


@dataclass(frozen=True)
class SourceAdapter:
    """What an adapter of another task learnt beside its prompt.

    Attributes:
        values: the hyperparameters that decided its shapes.
        tensors: by the names of `Method.tensors`, float32.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Surroundings:
    """What a method may look at when a trial of it is made.

    Attributes:
        embedding: the backbone's input embedding table, shape (vocabulary, d).
        init_text_ids: token ids of `INIT_TEXT`, with the end-of-sequence token where the tokenizer adds one.
        max_source_length, projections: see `Sizes`.
        sources: source prompts by name, each of shape (rows, d).
        adapters: and what they learnt beside, of those that are whole adapters.
        model: of transformers, where it computes the backbone as it is (the stock lane).
    """

    embedding: Tensor
    init_text_ids: list[int]
    max_source_length: int
    projections: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    model: Any = None
    sources: Mapping[str, Tensor] = field(default_factory=dict)
    adapters: Mapping[str, SourceAdapter] = field(default_factory=dict)

    @property
    def sizes(self) -> Sizes:
        """What the shapes of tensors depend on."""
        vocabulary, width = self.embedding.shape
        sources = {name: len(prompt) for name, prompt in self.sources.items()}
        return Sizes(
            width,
            self.max_source_length,
            self.projections,
            vocabulary=vocabulary,
            sources=sources,
            adapters={name: adapter.values for name, adapter in self.adapters.items()},
            tensors={n: {k: tuple(t.shape) for k, t in one.tensors.items()} for n, one in self.adapters.items()},
        )


class MethodModule(nn.Module):
    """One trial's trainable parameters, float32, shapes fixed by its configuration.

    Attributes:
        method: whose they are.
        prompt: the soft prompt's rows that are trained, shape (m, d); none where the method makes them.
        sizes: what the shapes of the tensors depend on beside the configuration.

    Raises:
        UserError: such sources are none of the method's; a tensor of its cannot be called so.
    """

    def __init__(
        self,
        method: Method,
        hyperparameters: Mapping[str, Value],
        recipe: Recipe,
        around: Surroundings,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.method, self.recipe, self.sizes = method, recipe, around.sizes
        self.hyperparameters = dict(hyperparameters)
        if why := method.wrong_sources(list(around.sources)):
            raise UserError([f"{method.name} {why}"])
        if "prompt_length" in method.hyperparameters and method.value(hyperparameters, "prompt_length") is None:
            raise ValueError(f"{method.name} needs a prompt_length, and {dict(hyperparameters)} has none")
        init = str(method.value(hyperparameters, "prompt_init") or recipe.prompt_init)
        if method.trains_prompt:
            self.prompt = initial_prompt(method.prompt_length(hyperparameters), init, around, generator)  # P: (m, d)
        else:
            self.prompt = nn.Parameter(around.embedding.new_zeros(0, around.embedding.shape[1]))
        starts = method.starts(hyperparameters, around, generator)
        if "prompt" in starts:
            self.prompt = nn.Parameter(starts["prompt"].detach().clone().float())
        for name, constant in method.constants(hyperparameters, around).items():
            self.register_buffer(name, constant.detach().clone().float())
        self._groups = {"prompt": "prompt" if "prompt" in method.groups else next(iter(method.groups))}
        for name, weights in method.tensors(hyperparameters, self.sizes, recipe).items():
            if name in starts:
                start = starts[name].detach().clone().float()
            else:
                start = torch.zeros(weights.shape) if weights.start is None else weights.start(weights.shape, generator)
            self._groups[name] = weights.group
            group, _, rest = name.partition(".")
            if not rest and hasattr(self, name):
                raise UserError(
                    [f"{method.name}: a tensor of a method cannot be called {name!r}; give it another name"]
                )
            if rest and not hasattr(self, group):
                self.add_module(group, nn.ParameterDict())
            holder = self.get_submodule(group) if rest else self
            holder.register_parameter(rest or name, nn.Parameter(start))

    @property
    def inner(self) -> bool:
        """Whether it changes something inside the backbone."""
        return self.method.kind != "embedding"

    @property
    def prompt_length(self) -> int:
        """The number m of prompt rows."""
        return self.method.prompt_length(self.hyperparameters)

    @property
    def soft_prompt(self) -> Tensor:
        """The prompt as it stands in front, shape (m, d); where each row has its own, the part that all share."""
        return self.method.prompt({name: tensor[None] for name, tensor in self.state_tensors()})[0]

    def state_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters, and constants behind them, by name."""
        yield from self.named_parameters()
        yield from self.named_buffers()

    def offset(self, embeddings: Tensor, positions: Tensor | None = None, tokens: Tensor | None = None) -> Tensor:
        """This trial's shift alone, without dropout.

        Args:
            embeddings: shape (rows, length, d).
            positions: shape (rows, length); None where they count from 0 in each row.
            tokens: their ids, shape (rows, length); for a method that looks at them (`Method.embed`).
        """
        rows, length, d = embeddings.shape
        if positions is None:
            positions = torch.arange(length, device=embeddings.device).expand(rows, length)
        alone = {name: tensor[None] for name, tensor in self.state_tensors()}
        ids = torch.zeros_like(positions) if tokens is None else tokens
        one = embeddings.reshape(1, -1, d)
        shifted = self.embed(alone, ids.reshape(1, -1), one, positions.reshape(1, -1), lambda x: x)
        return shifted.view(rows, length, d)

    def embed(
        self, parameters: Mapping[str, Tensor], tokens: Tensor, embeddings: Tensor, positions: Tensor, drop: Drop
    ) -> Tensor:
        """See `Method.embed`: of trials whose parameters have equal shapes, this one's among them."""
        return self.method.embed(parameters, tokens, embeddings, positions, drop)

    def additions(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Method.additions`."""
        return self.method.additions(parameters, self.hyperparameters, self.sizes)

    def weights(self, backbone: Any, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What an `inner` trial computes with instead of the backbone's own, by names; gradients flow back.

        Args:
            backbone: a `trials.backbones.loading.Backbone`.
            parameters: of this trial, by name.
        """
        return backbone.updated_weights(self.additions(parameters))

    def applied(self, backbone: Any, weights: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """The backbone computes with `weights`, or leaves of theirs, while this lasts."""
        return backbone.with_weights(weights)

    def to_file(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of an adapter file, by their names there, from those of `state_dict`."""
        return self.method.to_file(state, self.sizes)

    def from_file(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `load_state_dict` takes, from the tensors of an adapter file."""
        return {"prompt": self.prompt.detach().clone()} | self.method.from_file(tensors, self.sizes)

    def group_of(self, parameter: str) -> str:
        """The group in `Method.groups` that a parameter's name belongs to."""
        return self._groups[parameter]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each learning-rate group, in the order of `Method.groups`."""
        groups: dict[str, list[nn.Parameter]] = {group: [] for group in self.method.groups}
        for name, parameter in self.named_parameters():
            groups[self.group_of(name)].append(parameter)
        return groups

    def peak_rates(self) -> dict[str, float]:
        """The peak learning rate of each group."""
        return {group: float(self.hyperparameters[key]) for group, key in self.method.groups.items()}

    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.parameters())


def make_method(config: TrialConfig, around: Surroundings, *, trained: bool = False) -> MethodModule:
    """The untrained parameters of a trial; the same config and surroundings give the same numbers.

    Args:
        trained: they are only a place for those of an adapter, whose configuration may be one that is refused by now.

    Raises:
        UserError: the method is not known here; it, or this configuration of it, cannot be trained on such a backbone;
            a source prompt of its is not here.
    """
    method = get_method(config.method)
    whole = method.source_kind == "adapter"
    there = around.adapters if whole else around.sources
    if missing := [name for name in config.sources if name not in there]:
        kind = "adapters" if whole else "source prompts"
        raise UserError([f"{method.name} starts from the {kind} {', '.join(missing)}, which are not at hand"])
    around = replace(
        around,
        sources={name: around.sources[name] for name in config.sources},
        adapters={name: around.adapters[name] for name in config.sources if whole},
    )
    sizes = replace(around.sizes, prompt_init=config.constants.prompt_init)
    if why := method.lacks(sizes):
        raise UserError([f"{method.name}: {why}; {stackable_methods()}"])
    if not trained and (why := method.refuses(config.hyperparameters, sizes)):
        raise UserError([f"{method.name}: {why}"])
    start = stream(config.seed, "initialisation")
    return method.module()(method, config.hyperparameters, config.constants, around, start)


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
        start = torch.rand(rows, around.embedding.shape[1], generator=generator) - 0.5
    else:
        raise ValueError(f"prompt_init {init!r} is not one of: text, vocabulary, uniform")
    return nn.Parameter(start.detach().clone().float())
