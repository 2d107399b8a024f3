"""What each part of the fast path is worth: a stacked step with one thing done the other way, side by side.

    python -m benchmarks.variants [--backbone t5-small-shape] [--compile]

All variants take turns, round after round in one process, and each variant's fastest round counts. Time is this
process's own on one thread, so that other work on the machine weighs less. Prints the table that NOTES.md quotes and
writes benchmarks/results/variants-BACKBONE.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.workload import MadeRows, backbone, rte_lengths, trials
from trials.backbones.loading import IGNORED, Backbone, Inputs
from trials.backbones.t5 import forward
from trials.backbones.t5.forward import T5
from trials.batching.dropout import Dropout
from trials.batching.packing import PackedDropout, Packing
from trials.batching.passes import ANY, COARSE, PassCost
from trials.stack.devices import has_units
from trials.stack.measuring import measure
from trials.stack.step import Stack
from trials.trial import Trial

RESULTS = Path(__file__).with_name("results")
Step = Callable[[], None]


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute with another value while the context lasts."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


class Variants:
    """The same stack in the same place of its training, stepped in different ways."""

    def __init__(self, name: str, count: int, batch_size: int) -> None:
        self.single = backbone(name, "float32", "cpu")
        self.half = backbone(name, "bfloat16", "cpu") if has_units("bfloat16", self.single.device) else None
        from transformers import AutoModelForSeq2SeqLM

        self.model = AutoModelForSeq2SeqLM.from_pretrained(self.single.facts.location, dtype=torch.float32)
        self.model.eval().requires_grad_(False)
        self.rows = MadeRows(rte_lengths(), len(self.single.embedding))
        self.trials = trials(self.single, count, batch_size)
        self.cost = measure(self.single, self.rows, self.trials[0].config).cost
        self.half_cost = measure(self.half, self.rows, self.trials[0].config).cost if self.half else self.cost
        self.padded_cost = replace(self.cost, grain=ANY)

    def step(self, on: Backbone | None = None, cost: PassCost | None = None, among: list[Trial] | None = None) -> None:
        """Gradients of one step of all trials; nothing is updated, so that every round is the same work."""
        on = on or self.single
        stack = Stack(on, self.rows, cost or (self.cost if on is self.single else self.half_cost))
        stack.gradients(among or self.trials)

    def all(self, with_compile: bool) -> dict[str, Step]:
        """The variants by what differs from the first."""
        t5: T5 = self.single.t5  # type: ignore[attr-defined]
        t5.p = 0.0
        whole = PassCost(fixed=10**9, most=10**12)
        found: dict[str, Step] = {
            "float32, no dropout": self.step,
            "rows not packed, passes padded to their longest": self.patched(T5, "grain", ANY, cost=self.padded_cost),
            "one pass, padded to the longest row": self.patched(T5, "grain", ANY, cost=whole),
            "each trial in a step of its own": self.apart,
            "cross-attention projects every source token": self.patched(t5, "folded", 0),
            "torch's scaled_dot_product_attention": self.patched(forward, "SelfAttention", FusedAttention),
            "transformers' T5, passes padded to their longest": self.patched(
                type(self.single), "token_losses", self.transformers, cost=self.padded_cost
            ),
            "transformers' T5, one padded pass": self.patched(
                type(self.single), "token_losses", self.transformers, cost=whole
            ),
            "float32, dropout 0.1": self.patched(t5, "p", 0.1),
            "dropout from a generator instead of keys": self.drawn(t5),
        }
        if with_compile:
            found["float32, no dropout, encoder by torch.compile"] = self.compiled(t5, self.single, 0.0)
        return found | (self.in_bfloat16(self.half, with_compile) if self.half else {})

    def in_bfloat16(self, on: Backbone, with_compile: bool) -> dict[str, Step]:
        """Those that want a processor with units for it."""
        half: T5 = on.t5  # type: ignore[attr-defined]
        half.p = 0.0
        found: dict[str, Step] = {
            "bfloat16, no dropout": lambda: self.step(on),
            "bfloat16, dropout 0.1": self.patched(half, "p", 0.1, on=on),
        }
        if with_compile:
            found["bfloat16, dropout 0.1, encoder by torch.compile"] = self.compiled(half, on, 0.1)
        return found

    def apart(self) -> None:
        """One step for each trial."""
        for trial in self.trials:
            self.step(among=[trial])

    def patched(
        self, owner: Any, name: str, value: Any, on: Backbone | None = None, cost: PassCost | None = None
    ) -> Step:
        """A step with something replaced."""

        def run() -> None:
            with replaced(owner, name, value):
                self.step(on, cost)

        return run

    def compiled(self, t5: T5, on: Backbone, p: float) -> Step:
        """A step whose encoder torch has compiled, from plain operations: it derives and fuses the backward pass."""
        encode = torch.compile(t5.encode, dynamic=True)
        grain = COARSE if on is self.half else ANY  # padded: what packs rows is nothing to compile
        cost = replace(self.half_cost if on is self.half else self.cost, grain=grain)

        def run() -> None:
            with (
                replaced(forward, "AddNorm", PlainAddNorm),
                replaced(forward, "SelfAttention", PlainAttention),
                replaced(T5, "grain", grain),
                replaced(forward, "ReluDropout", PlainReluDropout),
                replaced(t5, "encode", encode),
                replaced(t5, "p", p),
            ):
                self.step(on, cost)

        return run

    def drawn(self, t5: T5) -> Step:
        """A step whose masks come from one generator, as torch's own dropout would draw them."""
        generator = torch.Generator().manual_seed(0)

        def mask(_: Dropout, x: Tensor, p: float, site: int) -> Tensor:
            return torch.empty_like(x).bernoulli_(1 - p, generator=generator).div_(1 - p)

        def masks(of: T5, packing: Packing, dropout: Dropout, site: int) -> list[Tensor]:
            shapes = ((block.rows, of.heads, block.length, block.length) for block in packing.blocks)
            return [mask(dropout, torch.empty(shape, dtype=of.dtype), of.p, site) for shape in shapes]

        def run() -> None:
            with (
                replaced(t5, "p", 0.1),
                replaced(Dropout, "mask", mask),
                replaced(PackedDropout, "mask", mask),
                replaced(T5, "_masks", masks),
            ):
                self.step()

        return run

    def transformers(self, inputs: Inputs, targets: Tensor, dropout: Dropout | None = None) -> Tensor:
        """The model's own forward pass."""
        logits = self.model(inputs_embeds=inputs.embeddings, attention_mask=inputs.mask, labels=targets).logits
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        )
        return losses.view_as(targets)


class PlainAddNorm:
    """`trials.backbones.t5.functions.AddNorm` without a backward pass of its own."""

    @staticmethod
    def apply(
        x: Tensor, added: Tensor | None, mask: Tensor | None, eps: float, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """Two of the shape of ``x``."""
        x = x if added is None else x + (added if mask is None else added * mask)
        return x, (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)).to(dtype)


class PlainAttention:
    """`trials.backbones.t5.functions.SelfAttention` without a backward pass of its own."""

    @classmethod
    def apply(
        cls, qkv: Tensor, packing: Packing, added: Sequence[Tensor], masks: Sequence[Tensor] | None, heads: int
    ) -> Tensor:
        """Shape (tokens, inner)."""
        out = []
        for number, (block, bias) in enumerate(zip(packing.blocks, added, strict=True)):
            parts = qkv[block.tokens].view(block.rows, block.length, 3, heads, -1)
            q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
            out.append(cls.attended(q, k, v, bias, None if masks is None else masks[number]))
        return torch.cat([values.transpose(1, 2).flatten(0, 1).flatten(1) for values in out])

    @staticmethod
    def attended(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
        """Of one block, all of shape (rows, heads, length, head width)."""
        weights = (q @ k.transpose(-1, -2) + bias).softmax(-1)
        return (weights if mask is None else weights * mask) @ v


class FusedAttention(PlainAttention):
    """Attention without dropout on its weights by torch's fused kernel."""

    @staticmethod
    def attended(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
        """See `PlainAttention.attended`."""
        mask_of_rows = bias.expand(len(q), -1, -1, -1)
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask_of_rows, scale=1.0)


class PlainReluDropout:
    """`trials.backbones.t5.functions.ReluDropout` without a backward pass of its own."""

    @staticmethod
    def apply(x: Tensor, mask: Tensor | None, p: float) -> Tensor:
        """Shape of ``x``."""
        return torch.relu(x) if mask is None else torch.relu(x) * mask


def main() -> None:
    """Take turns, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="t5-nano", help="t5-nano, a folder with a T5, or t5-small-shape")
    parser.add_argument("--stack", type=int, default=4, help="trials")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="also torch.compile; needs a C++ compiler, and minutes")
    args = parser.parse_args()
    torch.set_num_threads(1)
    variants = Variants(args.backbone, args.stack, args.batch_size)
    steps = variants.all(args.compile)
    best = dict.fromkeys(steps, float("inf"))
    first = {}
    for turn in range(args.rounds + 1):
        for name, step in steps.items():
            started = time.process_time()
            step()
            seconds = (time.process_time() - started) / args.stack
            if turn == 0:
                first[name] = seconds
            else:
                best[name] = min(best[name], seconds)
    base = next(iter(best.values()))
    table = Table(
        "variant", "CPU seconds a trial-step", "times the first", title=f"{args.backbone}, {args.stack} trials"
    )
    for name, seconds in best.items():
        table.add_row(name, f"{seconds:.3f}", f"{seconds / base:.2f}")
    Console(width=100).print(table)
    RESULTS.mkdir(exist_ok=True)
    name = args.backbone.split("/")[-1]
    found = {"settings": vars(args), "seconds": best, "first_round_seconds": first}
    (RESULTS / f"variants-{name}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
