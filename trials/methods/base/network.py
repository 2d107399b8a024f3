"""One trial of a method that changes modules of transformers' model: a copy of them that shares the frozen weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from trials.backbones.stock_model import StockModel
from trials.config import Recipe, Value
from trials.errors import UserError
from trials.methods.base.declaration import Drop
from trials.methods.base.inside import Inside
from trials.methods.base.module import MethodModule, Surroundings
from trials.methods.base.registry import get_method

WRAPPED = "base_model.model."
"""Before the names of transformers' modules in PEFT's models, and in adapter files."""


class NetworkModule(MethodModule):
    """The trained parameters of a changed model, under their names in it with ``/`` for ``.``.

    Attributes:
        network: what `Method.change` gives; its frozen weights are the backbone's own tensors.
        table: the parameter that is the model's table of input embeddings, where that is trained.

    Raises:
        UserError: the method cannot change this backbone, or the backbone is not on the stock lane.
    """

    def __init__(
        self,
        method: Inside,
        hyperparameters: Mapping[str, Value],
        recipe: Recipe,
        around: Surroundings,
        generator: torch.Generator,
    ) -> None:
        super().__init__(method, hyperparameters, recipe, around, generator)
        if around.model is None:
            raise UserError([f"{method.name}: it needs transformers' own model, load_backbone(..., lane='stock')"])
        seed = int(torch.randint(1 << 62, (), generator=generator))
        network = changed(method, around.model, hyperparameters, seed)
        self._network = (network,)  # in a tuple, or its weights would be parameters here
        self._stock: StockModel | None = None
        of_network = dict(network.named_parameters())
        self._dtypes = {name: of_network[name].dtype for name in method.trains(network)}
        for name in self._dtypes:
            own = name.replace(".", "/")
            self._groups[own] = next(iter(method.groups))
            self.register_parameter(own, nn.Parameter(of_network[name].detach().float().cpu().clone()))
        self._base = (getattr(network, "get_base_model", lambda: network)(),)
        trained = {id(of_network[name]): name for name in self._dtypes}
        self._places = {  # a tied weight is read in several
            f"{module}.{name}".removeprefix("."): trained[id(parameter)]
            for module, holder in self._base[0].named_modules()
            for name, parameter in holder.named_parameters(recurse=False)
            if id(parameter) in trained
        }
        inputs = network.get_input_embeddings().weight
        self.table = next((name.replace(".", "/") for name in self._dtypes if of_network[name] is inputs), "")
        self._scale = scale_of(method, around.embedding, inputs.detach()) if self.table else 1.0

    @property
    def network(self) -> Any:
        """See the class."""
        return self._network[0]

    def embed(
        self, parameters: Mapping[str, Tensor], tokens: Tensor, embeddings: Tensor, positions: Tensor, drop: Drop
    ) -> Tensor:
        """See `MethodModule.embed`: rows of the table, where that is trained."""
        if not self.table:
            return super().embed(parameters, tokens, embeddings, positions, drop)
        return self._scale * parameters[self.table][0][tokens]

    def weights(self, backbone: Any, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `MethodModule.weights`: the parameters themselves, wherever transformers' model reads them."""
        return {place: parameters[of.replace(".", "/")] for place, of in self._places.items()}

    def applied(self, backbone: Any, weights: Mapping[str, Tensor]) -> Any:
        """See `MethodModule.applied`: the changed model computes."""
        if self._stock is None:
            self._stock = self.stock_model()
        # Rounded for each pass: the gradients of all passes of an update add up in float32.
        rounded = {place: weight.to(self._dtypes[self._places[place]]) for place, weight in weights.items()}
        return backbone.with_model(self._stock, rounded)

    def stock_model(self) -> StockModel:
        """How the changed model is called."""
        return StockModel(self._base[0])

    def to_file(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `MethodModule.to_file`: names as PEFT writes them."""
        return {WRAPPED + n.replace("/", "."): tensor for n, tensor in state.items() if n != "prompt"}

    def from_file(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `MethodModule.from_file`."""
        found = {name.removeprefix(WRAPPED).replace(".", "/"): tensor for name, tensor in tensors.items()}
        return {"prompt": self.prompt.detach().clone(), **found}


def changed(method: Inside, model: nn.Module, values: Mapping[str, Value], seed: int) -> Any:
    """What a method makes of a copy of a model's modules, with the same weights.

    Raises:
        UserError: it cannot change this model so.
    """
    shared = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    network = copy.deepcopy(model, shared)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return method.change(network, values).eval()


def scale_of(method: Inside, embedding: Tensor, weights: Tensor) -> float:
    """What the model multiplies a token's weights with to embed it.

    Raises:
        UserError: it does something else.
    """
    scale = float((embedding * weights).sum() / weights.float().square().sum())
    if not torch.allclose(embedding.float(), scale * weights.float(), rtol=1e-2, atol=1e-3):
        raise UserError([f"{method.name}: this backbone's embeddings are not its weights times a number"])
    return scale


def parameter_count(method: Inside, values: Mapping[str, Value], location: str) -> int:
    """How many numbers a method trains on a model whose config is at hand; 0 where it cannot be known yet.

    Raises:
        UserError: it cannot change such a model.
    """
    shapes = {name: value for name, value in values.items() if name not in method.groups.values()}
    return _parameter_count(method.name, tuple(sorted(shapes.items())), location)


def without_weights(location: str) -> Any:
    """The model that is there on the device ``meta``: its modules and their shapes alone.

    Raises:
        OSError, ValueError: see `config_at`.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = config_at(location)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with torch.device("meta"):
        return kind.from_config(config).requires_grad_(False).eval()


def config_at(location: str) -> Any:
    """transformers' config of the model that is there.

    Raises:
        OSError, ValueError: there is none, or none that transformers knows.
    """
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(location, trust_remote_code=False)


@cache
def _parameter_count(name: str, shapes: tuple[tuple[str, Value], ...], location: str) -> int:
    try:
        model = without_weights(location)
    except (OSError, ValueError):
        return 0
    method = get_method(name)
    assert isinstance(method, Inside)
    with torch.device("meta"):
        network = changed(method, model, dict(shapes), 0)
    parameters = dict(network.named_parameters())
    return sum(parameters[trained].numel() for trained in method.trains(network))
