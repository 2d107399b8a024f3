"""One trial of a PEFT tuner: PEFT's own modules inside a copy of the backbone's, and PEFT's own adapter file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trials.config import Architecture
from trials.errors import UserError
from trials.methods.base.network import NetworkModule


class TunerModule(NetworkModule):
    """A tuner's trainable parameters. See `NetworkModule`; `network` is PEFT's model.

    Raises:
        UserError: PEFT cannot tune this backbone so, or the backbone is not on the stock lane.
    """

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


def tuned(network: nn.Module, tuner: str, settings: Mapping[str, Any]) -> Any:
    """PEFT's model around a model of transformers.

    Raises:
        UserError: PEFT cannot tune it so.
    """
    from peft import get_peft_model

    both = bool(network.config.is_encoder_decoder)  # type: ignore[union-attr]
    config = config_of(tuner, settings, "encoder-decoder" if both else "decoder-only")
    try:
        return get_peft_model(network, config)
    except Exception as error:  # of a tuner: whatever it raises on a model that it does not fit
        raise UserError([f"peft: {tuner} on this backbone: {_in_one_line(error)}"]) from error


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
