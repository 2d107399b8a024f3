"""Full fine-tuning: every weight of the backbone is trained (as run by compacter and ATTEMPT)."""

from __future__ import annotations

from typing import Any, ClassVar

from trials.methods import Inside, Values, rate


class FullFinetuning(Inside):
    """All weights at one rate: 3e-4 in ATTEMPT's and compacter's runs (configs/baselines/finetuning.json).

    The table of embeddings is trained wherever it is read: at the input, in the decoder and in a tied head. A
    checkpoint holds weights and two moments, 2.7 GB on T5-base, and an adapter file all weights.

    Parameters: all; 222.9M on T5-base (220M in the paper's tables).
    """

    name = "full_finetuning"
    hyperparameters: ClassVar = {"lr": rate("largest learning rate of all weights")}
    groups: ClassVar = {"weights": "lr"}

    def change(self, network: Any, values: Values) -> Any:
        """See `Method.change`: nothing is added."""
        return network

    def trains(self, network: Any) -> list[str]:
        """See `Method.trains`."""
        return [name for name, _ in network.named_parameters()]
