"""Adapter files of soft prompts as PEFT writes them: the prompt's rows as one tensor, ``prompt_embeddings``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trials.methods.base.declaration import Method
from trials.methods.base.tensors import Sizes, Values

if TYPE_CHECKING:
    from torch import Tensor

    from trials.backbones.facts import Facts

ROWS = "prompt_embeddings"
"""PEFT's name of the tensor (peft/utils/save_and_load.py)."""


class PromptFile(Method):
    """A method whose adapter is to PEFT a soft prompt, shape (m, d): PEFT's ``PROMPT_TUNING`` and ``P_TUNING``.

    ``num_transformer_submodules`` is 1, since PEFT's own 2 of encoder-decoder models keeps m rows that nothing reads.
    """

    def to_file(self, state: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
        """See `Method.to_file`: the rows as they stand in front, and what they are made of where they are made."""
        rows = self.prompt({name: tensor[None] for name, tensor in state.items()})[0]
        return {ROWS: rows, **{name: tensor for name, tensor in state.items() if name != "prompt"}}

    def from_file(self, tensors: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
        """See `Method.from_file`; files of before call the rows ``prompt``."""
        found = {name: tensor for name, tensor in tensors.items() if name != ROWS}
        return {"prompt": tensors[ROWS], **found} if self.trains_prompt and ROWS in tensors else found

    def peft_config(self, values: Values, facts: Facts) -> dict[str, Any]:
        """See `Method.peft_config`."""
        return {
            "num_virtual_tokens": self.prompt_length(values),
            "num_transformer_submodules": 1,
            "token_dim": facts.width,
            "inference_mode": True,
        }
