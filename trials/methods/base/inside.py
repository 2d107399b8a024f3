"""Methods that change the model itself: what a file of such a method says beside `Method`'s declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trials.errors import UserError
from trials.methods.base.declaration import Method
from trials.methods.base.tensors import Sizes, Values

if TYPE_CHECKING:
    from trials.backbones.facts import Facts
    from trials.methods.base.module import MethodModule


class Inside(Method):
    """A method of the kind ``modules``: it trains weights of transformers' model, or modules that it puts into it.

    `change` and `trains` say which; the number of parameters is counted on a model without weights, so that a plan
    refuses what cannot be changed so.
    """

    kind = "modules"

    def change(self, network: Any, values: Values) -> Any:
        """What computes in the model's place, made of a copy of its modules, whose weights are the backbone's own.

        Modules that it adds draw their starts from torch's own generator, which the trial's seed has set.

        Raises:
            UserError: it cannot change such a model.
        """
        raise NotImplementedError

    def trains(self, network: Any) -> list[str]:
        """The parameters of the changed model that are trained, by name: those that ask for gradients."""
        return [name for name, parameter in network.named_parameters() if parameter.requires_grad]

    def refuses(self, values: Values, sizes: Sizes) -> str:
        """See `Method.refuses`: what `change` raises on a copy of the model without weights."""
        try:
            self.parameter_count(values, sizes)
        except UserError as error:
            return "; ".join(problem.removeprefix(f"{self.name}: ") for problem in error.problems)
        return ""

    def peft_config(self, values: Values, facts: Facts) -> dict[str, Any]:
        """See `Method.peft_config`: nothing that PEFT knows."""
        return {}

    def module(self) -> type[MethodModule]:
        """See `Method.module`."""
        from trials.methods.base.network import NetworkModule

        return NetworkModule

    def parameter_count(self, values: Values, sizes: Sizes) -> int:
        """See `Method.parameter_count`: of a copy of the model without weights."""
        from trials.methods.base.network import parameter_count

        return parameter_count(self, values, sizes.location) if sizes.location else 0
