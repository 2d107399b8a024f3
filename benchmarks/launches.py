"""What a pass asks of an accelerator, seen without one: launches, reads and writes, waits, and devices that are mixed.

Models stand on torch's device ``meta``, which knows shapes and no numbers. Whatever needs a number (``.item()``,
``.tolist()``, ``nonzero``, an index of booleans, ``.cpu()``) would make an accelerator wait, and fails there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
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
from trials.backbones.t5.backbone import T5Backbone
from trials.config import TrialConfig
from trials.methods.base.module import make_method
from trials.trial import Trial

META = torch.device("meta")
NO_KERNEL = ("_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty", "lift_fresh", "is_same_size")
"""Operations that launch nothing though their schema does not call them views."""
PRODUCTS = {"mm", "bmm", "addmm", "addbmm", "baddbmm", "baddbmm_"}
"""Matrix products: what stands between two of them is a chain."""

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


@dataclass
class Chain:
    """Kernels one after another, with no product between them.

    Attributes:
        names: of the kernels.
        read, written: numbers in each tensor that they read and write, one after another.
    """

    names: tuple[str, ...] = ()
    read: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)

    @property
    def passes(self) -> tuple[float, float]:
        """How often they read and write their largest tensor, or as many numbers: a token's activations."""
        most = max([*self.read, *self.written], default=1)
        return sum(self.read) / most, sum(self.written) / most


class Launches(TorchDispatchMode):
    """Counts what torch asks of a device while it is entered.

    Attributes:
        kernels: operations that launch something there, by their names; views are none.
        chains: of the kernels that are no products, in their order.
        bytes: read and written by all kernels, each tensor that goes in or comes out once.
        copies: to the device, each queued like a kernel.
        waits: copies to the device that wait until it is done with everything.
        mixed: operations whose arguments are on the device and in the processor's memory.
    """

    def __init__(self, device: torch.device = META) -> None:
        super().__init__()
        self.device = device
        self.kernels: Counter[str] = Counter()
        self.chains: list[Chain] = [Chain()]
        self.bytes = 0
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
            self._note(name, func, (args, kwargs), out)
        return out

    def _note(self, name: str, func: Any, given: Any, out: Any) -> None:
        """What a kernel reads and writes; an argument that it changes is both, and no second result."""
        read = [leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor)]
        changed = [value.alias_info is not None for value in func._schema.returns]
        results = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if len(changed) == 1 and changed[0] and "out" in given[1]:
            read = [leaf for leaf in read if leaf is not results[0]]  # what ``out`` held before is not looked at
        self.bytes += bytes_of((*read, *results))
        if name in PRODUCTS:
            if self.chains[-1].names:
                self.chains.append(Chain())
            return
        chain = self.chains[-1]
        chain.names += (name,)
        chain.read += map(_numbers, read)
        chain.written += map(_numbers, results)

    def _on_device(self, values: Any) -> set[bool]:
        """Whether the tensors among them are on the device; single numbers beside them do not count."""
        tensors = (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))
        return {t.device.type == self.device.type for t in tensors if t.dim() or t.device.type == self.device.type}

    @property
    def total(self) -> int:
        """Kernels of all kinds."""
        return sum(self.kernels.values())


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """That they take in memory."""
    return sum(_numbers(t) * t.element_size() for t in tensors)


def _numbers(tensor: Tensor) -> int:
    """That there are in memory: those that an expanded axis repeats are one."""
    return math.prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)


@cache
def _is_view(func: Any) -> bool:
    returned = [value.alias_info for value in func._schema.returns]
    return bool(returned) and all(alias is not None and not alias.is_write for alias in returned)


def without_numbers(name: str, precision: Precision, fused: bool = False, **changes: Any) -> Backbone:
    """A backbone of a published size on the device ``meta``, with t5-nano's tokenizer.

    Args:
        name: one of `CONFIGS`.
        fused: T5 in fused kernels, of which none is compiled.
        changes: to its config.
    """
    given = {**CONFIGS[name], **changes}
    config = AutoConfig.for_model(**given)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with META:
        model = kind.from_config(config)
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED / "t5-nano")
    made = made_of(model, tokenizer, from_config(config.to_dict(), name, name), precision)
    if fused:
        assert isinstance(made, T5Backbone)
        made.use_fused(True)
    return made


def trials_without_numbers(backbone: Backbone, configs: Sequence[TrialConfig], source_rows: int = 6) -> list[Trial]:
    """Trials of a backbone on ``meta``: made beside a table of random embeddings, and brought there."""
    table = torch.randn(8192, backbone.facts.width, generator=torch.Generator().manual_seed(0))
    made = []
    for config in configs:
        sources = dict.fromkeys(config.sources, table[:source_rows])
        around = replace(backbone.surroundings(256), embedding=table, sources=sources, model=None)
        made.append(Trial(config, make_method(config, around).to(META)))
    return made
