"""Whether a device gives the numbers of the processor: masks, losses, gradients and answers of a mixed stack.

    python -m benchmarks.same_numbers --device cuda

Compared is with the processor's own float32: the embedded T5, and a small Llama with made-up weights, each with trials
of three methods, T5 with two of LoRA beside, in every precision; on CUDA T5 in fused kernels as well, where Triton is
there. On the device ``cpu`` the way of computing that accelerators have (rectangles, masks made together) is compared
with the processor's. Ends with 1 where something is further off than `ALLOWED`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from benchmarks.workload import MadeRows
from trials.backbones.base import Backbone
from trials.backbones.facts import EMBEDDED
from trials.backbones.loading import load_backbone
from trials.backbones.precision import DTYPES, Precision
from trials.backbones.t5.backbone import T5Backbone
from trials.backbones.t5.forward import T5
from trials.batching.dropout import Dropout, row_keys
from trials.batching.passes import ANY, PassCost
from trials.config import TrialConfig, Value
from trials.evaluation import answers
from trials.methods.base.module import make_method
from trials.stack.step import Stack
from trials.trial import Trial

ALLOWED: dict[Precision, float] = {"float32-exact": 1e-4, "float32": 2e-2, "bfloat16": 0.15}
"""Difference of the gradients relative to their norm; float32 is rounded to 10 bits in products on CUDA."""

LABELS = [[30, 1], [31, 1]]
METHODS: list[tuple[str, dict[str, Value]]] = [
    ("adept", {"prompt_lr": 0.1, "mlp_lr": 0.01, "prompt_length": 5, "bottleneck": 8}),
    ("pt", {"prompt_lr": 0.1, "prompt_length": 12}),
    ("dept", {"prompt_lr": 0.1, "lowrank_lr": 0.01, "prompt_length": 4, "rank": 2}),
]
LORA: list[tuple[str, dict[str, Value]]] = [("lora", {"lr": 0.01, "rank": 4}), ("lora", {"lr": 0.01, "rank": 8})]


def made_llama(folder: Path) -> str:
    """A folder with a small Llama whose weights are drawn at random, and t5-nano's tokenizer."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=8128, hidden_size=128, intermediate_size=256, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=None, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(EMBEDDED / "t5-nano").save_pretrained(folder)
    return str(folder)


@contextmanager
def as_an_accelerator(device: str) -> Iterator[None]:
    """On a processor: compute as on an accelerator while this lasts."""
    own = T5.grain, T5.gathers
    if device == "cpu":
        T5.grain, T5.gathers = ANY, True  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        T5.grain, T5.gathers = own  # type: ignore[method-assign]


def numbers_of(on: Backbone) -> dict[str, Any]:
    """Losses, gradients and answers of a stack away from its start, in the processor's memory."""
    rows = MadeRows([3 + n % 29 for n in range(40)], 8000)
    made = []
    for seed, (method, chosen) in enumerate([*METHODS, *LORA] if on.facts.lane == "fast" else METHODS):
        config = TrialConfig(method, chosen, 100, 10, seed=seed, batch_size=8)
        around = on.surroundings(32)
        made.append(Trial(config, make_method(config, around).to(on.device)))
        for parameter in made[-1].method.parameters():
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
            parameter.data += 0.05 * noise.to(on.device)
    losses, gradients, _ = Stack(on, rows, PassCost(64, 512, on.grain)).gradients(made)
    flat = [g.flatten().double().cpu() for group in gradients for g in group.values()]
    methods = [trial.method for trial in made]
    given = answers(on, methods, rows.sources, 4, LABELS, PassCost(64, 512, on.grain))
    given += answers(on, methods, rows.sources[:12], 4, (), PassCost(64, 512, on.grain))
    return {
        "losses": losses.cpu(),
        "gradients": torch.cat(flat),
        "answers": [text for texts in given for text in texts],
    }


def same_masks(device: torch.device) -> bool:
    """Whether masks are the same to the last bit, made one by one on the processor and together on the device."""
    keys = torch.from_numpy(row_keys(1, 2, 8))
    places = [(1, (4, 40, 40)), (2, (40, 96)), (3, (40, 200)), (4, (40, 96))]
    here, there = Dropout(keys), Dropout(keys.to(device))
    there.prepare(places, 0.1, torch.bfloat16)
    shaped = [(site, torch.ones(8, *shape, dtype=torch.bfloat16)) for site, shape in places]
    return all(torch.equal(here.mask(x, 0.1, site), there.mask(x.to(device), 0.1, site).cpu()) for site, x in shaped)


def compared(name: str, device: str) -> list[dict[str, Any]]:
    """How far each precision on a device is from the processor's float32."""
    before = numbers_of(load_backbone(name, "cpu", "float32-exact"))
    found = []
    for precision, fused in product(DTYPES, (False, True)):
        with as_an_accelerator(device):
            on = load_backbone(name, device, precision)
            if fused:
                if not (isinstance(on, T5Backbone) and device == "cuda" and find_spec("triton")):
                    continue
                on.use_fused(True)
            now = numbers_of(on)
        norm = before["gradients"].norm()
        losses = float(((now["losses"] - before["losses"]) / before["losses"]).abs().max())
        gradients = float((now["gradients"] - before["gradients"]).norm() / norm)
        equal = sum(map(str.__eq__, now["answers"], before["answers"])) / len(before["answers"])
        same = max(losses, gradients) <= ALLOWED[precision] and (precision != "float32-exact" or equal >= 0.99)
        differences = {"losses": losses, "gradients": gradients, "answers": equal}
        found.append({"precision": precision, "fused": fused, **differences, "same": same})
    return found


def main() -> None:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--out", type=Path, help="write what was found here, as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)  # as an engine has it; two beside other work are slower
    found: dict[str, Any] = {"device": args.device, "masks": same_masks(torch.device(args.device))}
    with tempfile.TemporaryDirectory() as folder:
        for name, where in (("t5-nano", "t5-nano"), ("llama", made_llama(Path(folder) / "llama"))):
            found[name] = compared(where, args.device)
            for row in found[name]:
                print(name, row)
    found["same"] = found["masks"] and all(row["same"] for name in ("t5-nano", "llama") for row in found[name])
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n")
    print("the same numbers" if found["same"] else "DIFFERENT NUMBERS")
    raise SystemExit(not found["same"])


if __name__ == "__main__":
    main()
