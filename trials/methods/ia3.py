"""(IA)3: keys, values and feed-forward layers rescaled by learnt vectors (Liu et al. 2022), computed by PEFT."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, ClassVar

from trials.errors import UserError
from trials.methods import Inside, Values, choice, rate
from trials.methods.base.registry import stackable_methods
from trials.methods.peft import INSTALL

if TYPE_CHECKING:
    from trials.backbones.facts import Facts
    from trials.methods.base.module import MethodModule

GATES = ("wi_0", "wi_1")
"""Feed-forward projections among PEFT's targets (mT5's) whose outputs are rescaled, unlike the other feed-forward's."""


class Ia3(Inside):
    """y * l for the outputs y of keys and values, W (x * l) for the last feed-forward projection W; l starts at one.

    Which modules these are PEFT says for each family (``TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING``; for some
    they are queries and values, or a joint projection). ADePT's Table 15 counts 55.3K on T5-base, which are keys and
    values alone: with the feed-forward layers of (IA)3's own paper it would be 129.0K. So those are the default here,
    and ``rescaled: attention_and_feed_forward`` is that paper's and PEFT's.

    Parameters: the outputs of each key and value projection, and the inputs of each feed-forward one: on T5-base
    72 x 768 = 55,296, and 24 x 3,072 more.
    """

    name = "ia3"
    hyperparameters: ClassVar = {
        "lr": rate("largest learning rate of the vectors"),
        "rescaled": choice(
            "what is rescaled: keys and values, or the feed-forward layers as well",
            "attention",
            "attention_and_feed_forward",
            default="attention",
        ),
    }
    groups: ClassVar = {"vectors": "lr"}
    peft_type = "IA3"

    def change(self, network: Any, values: Values) -> Any:
        """See `Method.change`.

        Raises:
            UserError: PEFT is not installed, or names no modules for such a model.
        """
        from trials.methods.base.tuner import tuned

        return tuned(network, "IA3", self.modules(network.config.model_type, values))

    def modules(self, model_type: str, values: Values) -> dict[str, list[str]]:
        """PEFT's fields of the modules that are rescaled.

        Raises:
            UserError: as `change`.
        """
        if importlib.util.find_spec("peft") is None:
            raise UserError([f"--method {self.name}: the package peft is not installed; {INSTALL}"])
        from peft.utils.constants import (
            TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
            TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
        )

        if model_type not in TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING:
            raise UserError(
                [
                    f"{self.name}: PEFT names no keys and values for model type {model_type!r}; --method peft with "
                    f"tuner: IA3 takes a pattern of them (target_modules), or {stackable_methods()}"
                ]
            )
        targets = TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING[model_type]
        feed_forward = TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING.get(model_type, [])
        if self.value(values, "rescaled") == "attention":
            targets = [name for name in targets if name not in (*feed_forward, *GATES)]
            feed_forward = []
        return {"target_modules": list(targets), "feedforward_modules": list(feed_forward)}

    def peft_config(self, values: Values, facts: Facts) -> dict[str, Any]:
        """See `Method.peft_config`."""
        from trials.methods.base.network import config_at

        return {**self.modules(config_at(facts.location).model_type, values), "inference_mode": True}

    def module(self) -> type[MethodModule]:
        """See `Method.module`."""
        from trials.methods.base.tuner import TunerModule

        return TunerModule
