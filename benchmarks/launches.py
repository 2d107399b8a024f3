"""What a pass asks of an accelerator, seen without one: its launches, its waits, and devices that are mixed.

Models stand on torch's device ``meta``, which knows shapes and no numbers. Whatever needs a number (``.item()``,
``.tolist()``, ``nonzero``, an index of booleans, ``.cpu()``) would make an accelerator wait, and fails there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from benchmarks.t5_shapes import SHAPES, VOCABULARY
from trials.backbones.base import Backbone
from trials.backbones.facts import EMBEDDED, from_config
from trials.backbones.loading import made_of
from trials.backbones.precision import Precision
from trials.config import TrialConfig
from trials.methods.base.module import make_method
from trials.trial import Trial

META = torch.device("meta")
NO_KERNEL = ("_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty", "lift_fresh", "is_same_size")
"""Operations that launch nothing though their schema does not call them views."""

T5_COMMON: dict[str, Any] = {
    "model_type": "t5", "vocab_size": VOCABULARY, "d_kv": 64, "dropout_rate": 0.1, "decoder_start_token_id": 0,
    "pad_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    **{name: {**T5_COMMON, **shape, "num_decoder_layers": shape["num_layers"]} for name, shape in SHAPES.items()},
    "llama-3-8b": {
        "model_type": "llama", "vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "pad_token_id": 0,
        "eos_token_id": 1,
    },
}  # fmt: skip
"""Of published models, by the names that the table uses (Raffel et al. 2020; Llama 3's model card)."""


class Launches(TorchDispatchMode):
    """Counts what torch asks of a device while it is entered.

    Attributes:
        kernels: operations that launch something there, by their names; views are none.
        copies: to the device, each queued like a kernel.
        waits: copies to the device that wait until it is done with everything.
        mixed: operations whose arguments are on the device and in the processor's memory.
    """

    def __init__(self, device: torch.device = META) -> None:
        super().__init__()
        self.device = device
        self.kernels: Counter[str] = Counter()
        self.copies = 0
        self.waits: list[str] = []
        self.mixed: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        """See `TorchDispatchMode`."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        given = self._on_device((args, kwargs))
        here = self._on_device(out)
        if name in ("_to_copy", "copy_") and len(given | here) > 1:
            self.copies += 1
            queued = kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2])
            self.waits += [] if queued else [name]
        elif len(given) > 1:
            self.mixed.append(name)
        elif True in here and not _is_view(func) and name not in NO_KERNEL:
            self.kernels[name] += 1
        return out

    def _on_device(self, values: Any) -> set[bool]:
        """Whether the tensors among them are on the device; single numbers beside them do not count."""
        tensors = (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))
        return {t.device.type == self.device.type for t in tensors if t.dim() or t.device.type == self.device.type}

    @property
    def total(self) -> int:
        """Kernels of all kinds."""
        return sum(self.kernels.values())


@cache
def _is_view(func: Any) -> bool:
    returned = [value.alias_info for value in func._schema.returns]
    return bool(returned) and all(alias is not None and not alias.is_write for alias in returned)


def without_numbers(name: str, precision: Precision, **changes: Any) -> Backbone:
    """A backbone of a published size on the device ``meta``, with t5-nano's tokenizer.

    Args:
        name: one of `CONFIGS`.
        changes: to its config.
    """
    given = {**CONFIGS[name], **changes}
    config = AutoConfig.for_model(**given)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with META:
        model = kind.from_config(config)
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED / "t5-nano")
    return made_of(model, tokenizer, from_config(config.to_dict(), name, name), precision)


def trials_without_numbers(backbone: Backbone, configs: Sequence[TrialConfig], source_rows: int = 6) -> list[Trial]:
    """Trials of a backbone on ``meta``: made beside a table of random embeddings, and brought there."""
    table = torch.randn(8192, backbone.facts.width, generator=torch.Generator().manual_seed(0))
    made = []
    for config in configs:
        sources = dict.fromkeys(config.sources, table[:source_rows])
        around = replace(backbone.surroundings(256), embedding=table, sources=sources, model=None)
        made.append(Trial(config, make_method(config, around).to(META)))
    return made
