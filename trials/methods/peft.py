"""PEFT's tuners as a method: LoRA's kin, computed by PEFT's own modules inside transformers' model.

One trial an engine, on the stock lane, trained with this project's optimizer step, schedule and checkpoints. The
adapter file is PEFT's own, so ``PeftModel.from_pretrained`` loads it.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from trials.errors import UserError, did_you_mean
from trials.methods import Hyperparameter, Inside, Values, choice, rate

if TYPE_CHECKING:
    from trials.backbones.facts import Facts
    from trials.methods.base.module import MethodModule

TUNERS = (
    "LORA", "BOFT", "C3A", "DELORA", "FOURIERFT", "GRALORA", "HIRA", "HRA", "IA3", "LN_TUNING", "LOHA", "LOKR", "MISS",
    "OFT", "RANDLORA", "ROAD", "VBLORA", "VERA", "WAVEFT",
)  # fmt: skip
"""PEFT's names of the tuners that work here: each is trained and loaded again by PEFT itself in a test.

Not those that put rows in front (`pt` does), train by a loop of their own (AdaLoRA) or change the backbone's weights.
"""

INSTALL = "pip install 'adept-search[peft]'"


@cache
def fields_of(tuner: str) -> dict[str, Hyperparameter]:
    """The fields of a tuner's config that hold one number or text, as hyperparameters.

    Raises:
        UserError: PEFT is not installed.
    """
    if importlib.util.find_spec("peft") is None:
        raise UserError([f"--method peft: the package peft is not installed; {INSTALL}"])
    from peft import PeftType
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    kinds = {int: "int", float: "float", "int": "int", "float": "float"}
    found: dict[str, Hyperparameter] = {}
    for field in dataclasses.fields(PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(tuner)]):
        meaning = f"of PEFT's tuner {tuner}"
        if field.type in kinds:
            found[field.name] = Hyperparameter(meaning=meaning, type=kinds[field.type], optional=True)  # type: ignore[arg-type]
        elif field.name == "target_modules":
            found[field.name] = Pattern(meaning="regular expression of the modules", type="choice", optional=True)
    return found


class Pattern(Hyperparameter):
    """Any text."""

    def allows(self, value: Any) -> bool:
        """See `Hyperparameter.allows`."""
        return isinstance(value, str)

    def problems(self) -> list[str]:
        """None: it needs no choices."""
        return []


class Fields(Mapping[str, Hyperparameter]):
    """``lr``, ``tuner``, and the fields of all tuners, which are read from PEFT when one of them is asked for."""

    own: ClassVar = {
        "lr": rate("largest learning rate of the tuner's parameters"),
        "tuner": choice("PEFT's name of the tuner", *TUNERS, default="LORA"),
    }

    def __getitem__(self, name: str) -> Hyperparameter:
        if name in self.own:
            return self.own[name]
        for tuner in TUNERS:
            if name in fields_of(tuner):
                return fields_of(tuner)[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys([*self.own, *(name for tuner in TUNERS for name in fields_of(tuner))])

    def __len__(self) -> int:
        return len(list(iter(self)))


class Peft(Inside):
    """What PEFT's tuner adds to modules of the backbone; nothing at the input.

    Hyperparameters: lr, tuner, and the numbers (and ``target_modules``) of the tuner's config; what is left out is
    PEFT's default. The start is PEFT's, drawn from the trial's seed. Dropout inside a tuner has masks by row.
    """

    name = "peft"
    hyperparameters: ClassVar[Mapping[str, Hyperparameter]] = Fields()
    groups: ClassVar = {"tuner": "lr"}
    slow_to_check: ClassVar = True

    def tuner(self, values: Values) -> str:
        """PEFT's name of a configuration's tuner."""
        return str(self.value(values, "tuner"))

    def settings(self, values: Values) -> dict[str, Any]:
        """A configuration's fields of the tuner's config.

        Raises:
            UserError: the tuner has no such field.
        """
        tuner, allowed = self.tuner(values), fields_of(self.tuner(values))
        chosen = {name: value for name, value in values.items() if name not in Fields.own}
        problems = [
            f"peft: {tuner} has no hyperparameter {name!r}{did_you_mean(name, allowed)}; it has {', '.join(allowed)}"
            for name in chosen
            if name not in allowed
        ]
        if problems:
            raise UserError(problems)
        return chosen

    def peft_config(self, values: Values, facts: Facts) -> dict[str, Any]:
        """See `Method.peft_config`: the tuner's whole config."""
        from trials.methods.base.tuner import config_of

        found = config_of(self.tuner(values), self.settings(values), facts.architecture).to_dict()
        kept = {k: v for k, v in found.items() if k not in ("base_model_name_or_path", "revision", "task_type")}
        return {**kept, "peft_type": self.tuner(values), "inference_mode": True}

    def change(self, network: Any, values: Values) -> Any:
        """See `Inside.change`."""
        from trials.methods.base.tuner import tuned

        return tuned(network, self.tuner(values), self.settings(values))

    def module(self) -> type[MethodModule]:
        """See `Method.module`."""
        from trials.methods.base.tuner import TunerModule

        return TunerModule
