"""One trial of a PEFT tuner: a copy of the backbone's modules that shares its weights, with the tuner's inside."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from trials.backbones.stock_model import StockModel
from trials.config import Architecture, Recipe, Value
from trials.errors import UserError
from trials.methods.base.declaration import Method
from trials.methods.base.module import MethodModule, Surroundings

WRAPPED = "base_model.model."
"""Before the names of transformers' modules in PEFT's model."""


class TunerModule(MethodModule):
    """A tuner's trainable parameters, under their names in the tuned model with ``/`` for ``.``.

    Attributes:
        network: PEFT's model; its frozen weights are the backbone's own tensors.

    Raises:
        UserError: PEFT cannot tune this backbone so, or the backbone is not on the stock lane.
    """

    def __init__(
        self,
        method: Method,
        hyperparameters: Mapping[str, Value],
        recipe: Recipe,
        around: Surroundings,
        generator: torch.Generator,
    ) -> None:
        super().__init__(method, hyperparameters, recipe, around, generator)
        if around.model is None:
            raise UserError([f"{method.name}: it needs transformers' own model, load_backbone(..., lane='stock')"])
        tuner, settings = method.tuner(hyperparameters), method.settings(hyperparameters)  # type: ignore[attr-defined]
        both = bool(around.model.config.is_encoder_decoder)
        architecture: Architecture = "encoder-decoder" if both else "decoder-only"
        seed = int(torch.randint(1 << 62, (), generator=generator))
        network = tuned(around.model, config_of(tuner, settings, architecture), seed)
        self._network = (network,)  # in a tuple, or its weights would be parameters here
        self._stock: StockModel | None = None
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                own = name.replace(".", "/")
                self._groups[own] = next(iter(method.groups))
                self.register_parameter(own, nn.Parameter(parameter.detach().float().cpu().clone()))

    @property
    def network(self) -> Any:
        """See the class."""
        return self._network[0]

    def weights(self, backbone: Any, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `MethodModule.weights`: the parameters themselves, by their names in transformers' tuned model."""
        return {name.replace("/", ".").removeprefix(WRAPPED): p for name, p in parameters.items()}

    def applied(self, backbone: Any, weights: Mapping[str, Tensor]) -> Any:
        """See `MethodModule.applied`: the tuned model computes."""
        if self._stock is None:
            self._stock = StockModel(self.network.get_base_model())
        return backbone.with_model(self._stock, weights)

    def to_file(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `MethodModule.to_file`: as PEFT saves it, with what is not trained and not in the model."""
        from peft import get_peft_model_state_dict

        self._set(state)
        found = get_peft_model_state_dict(self.network)
        return {name: tensor.detach().clone() for name, tensor in found.items()}  # some tuners share a tensor

    def from_file(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `MethodModule.from_file`."""
        from peft import set_peft_model_state_dict

        result: Any = set_peft_model_state_dict(self.network, dict(tensors))
        if result.unexpected_keys:
            raise ValueError(f"PEFT does not know the tensors {', '.join(result.unexpected_keys[:3])}")
        of_network = dict(self.network.named_parameters())
        names = [name for name, _ in self.named_parameters() if name != "prompt"]
        found = {name: of_network[name.replace("/", ".")].detach().float().clone() for name in names}
        return {"prompt": self.prompt.detach().clone(), **found}

    @torch.no_grad()
    def _set(self, state: Mapping[str, Tensor]) -> None:
        of_network = dict(self.network.named_parameters())
        for name, tensor in state.items():
            if name != "prompt":
                of_network[name.replace("/", ".")].copy_(tensor)


def config_of(tuner: str, settings: Mapping[str, Any], architecture: Architecture) -> Any:
    """PEFT's config of a tuner.

    Raises:
        UserError: PEFT refuses its values.
    """
    from peft import PeftType, TaskType
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    task = TaskType.SEQ_2_SEQ_LM if architecture == "encoder-decoder" else TaskType.CAUSAL_LM
    try:
        return PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(tuner)](task_type=task, **settings)
    except (TypeError, ValueError) as error:
        raise UserError([f"peft: {tuner} with {dict(settings)}: {_in_one_line(error)}"]) from error


def tuned(model: nn.Module, config: Any, seed: int) -> Any:
    """PEFT's model over a copy of a model's modules, with the same weights.

    Raises:
        UserError: PEFT cannot tune it so.
    """
    from peft import get_peft_model

    shared = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    network = copy.deepcopy(model, shared)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return get_peft_model(network, config).eval()
    except Exception as error:  # of a tuner: whatever it raises on a model that it does not fit
        raise UserError([f"peft: {config.peft_type.value} on this backbone: {_in_one_line(error)}"]) from error


@cache
def parameter_count(tuner: str, settings: tuple[tuple[str, Any], ...], location: str) -> int:
    """How many numbers a tuner trains on a model whose config is at hand; 0 where it cannot be known yet."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    try:
        config = AutoConfig.from_pretrained(location, trust_remote_code=False)
    except (OSError, ValueError):
        return 0
    both = bool(config.is_encoder_decoder)
    with torch.device("meta"):
        model = (AutoModelForSeq2SeqLM if both else AutoModelForCausalLM).from_config(config)
        model.requires_grad_(False)
        network = tuned(model, config_of(tuner, dict(settings), "encoder-decoder" if both else "decoder-only"), 0)
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
