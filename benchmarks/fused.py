"""Fused kernels on a card: whether they are right, what they are worth, and how near they come to its memory.

    python -m benchmarks.fused --device cuda --backbone t5-base-shape --precision bfloat16
    python -m benchmarks.fused --compile 80 90        # on any machine, for cards of these compute capabilities
    python -m benchmarks.fused --host                 # on any machine: the processor's time for a pass

On a card: what an engine looks at before it chooses (`trials.backbones.t5.choice`); training passes of several sizes,
plain and fused, and the part of them that the processor takes to launch; each kernel's bytes a second beside a copy's.
On the device ``cpu`` Triton's interpreter computes the numbers, which says nothing of pace. Compiled are all kernels as
T5-base launches them: nothing runs. The processor's time is that of a T5 with T5-base's layers, so narrow that
computing takes next to nothing; fused kernels are not launched in it, so what Triton and a driver take comes on top.
Ends with 1 where numbers differ or a kernel does not compile.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, is_tensor
from transformers import T5Config, T5ForConditionalGeneration

from benchmarks.launches import bytes_of
from benchmarks.roofline import copy_rate, fastest
from benchmarks.same_numbers import as_an_accelerator
from benchmarks.workload import backbone
from trials.backbones.fused.operators import SCHEMAS
from trials.backbones.precision import DTYPES
from trials.backbones.t5 import choice
from trials.backbones.t5.backbone import T5Backbone
from trials.backbones.t5.forward import T5
from trials.batching.dropout import row_keys
from trials.stack.devices import wait

ROWS = (32, 128, 512)  # of the passes that are timed
WIDTH, WIDE, HEADS, SITE, P = 768, 3072, 12, 3, 0.1  # T5-base
Call = tuple[str, str, tuple[Any, ...]]
"""What it is, the function of `trials.backbones.fused.launch`, and its arguments."""


def calls(rows: int, length: int, dtype: torch.dtype, device: torch.device) -> list[Call]:
    """Every kernel as a pass of T5-base launches it."""

    def made(*shape: int, of: torch.dtype = dtype) -> Tensor:
        return torch.zeros(shape, dtype=of, device=device)

    tokens = rows * length
    x, inverse = (made(tokens, *width, of=torch.float32) for width in ((WIDTH,), ()))
    added, wide = made(tokens, WIDTH), made(tokens, WIDE)
    scores, blocked = made(rows, HEADS, length, length), made(rows, length)
    bias, few = made(1, HEADS, length, length), made(rows, 2, HEADS, length)
    masks, none = (torch.from_numpy(row_keys(0, 0, rows)).to(device), SITE, P), (None, 0, 0.0)
    return [
        ("add_norm, first", "add_norm", (None, x, *masks, 1e-6, dtype)),
        ("add_norm", "add_norm", (x, added, *masks, 1e-6, dtype)),
        ("add_norm, no dropout", "add_norm", (x, added, *none, 1e-6, dtype)),
        ("add_norm_backward", "add_norm_backward", (x, added, added, inverse, *masks, dtype, True, True)),
        ("add_norm_backward, last", "add_norm_backward", (None, added, added, inverse, *masks, dtype, True, True)),
        ("softmax_dropout", "softmax_dropout", (scores, bias, blocked, *masks)),
        ("softmax_dropout, cross", "softmax_dropout", (few, None, blocked, *masks)),
        ("softmax_dropout, no dropout", "softmax_dropout", (scores, bias, blocked, *none)),
        ("softmax_dropout_backward", "softmax_dropout_backward", (scores, scores, *masks)),
        ("relu and dropout", "dropped", (wide, *masks, True)),
        ("dropout", "dropped", (added, *masks, False)),
        ("relu_backward", "relu_backward", (wide, wide, 1.25)),
    ]


Launched = tuple[Any, tuple[Any, ...], dict[str, Any]]
"""A kernel, its arguments, and its constants."""


class Grid:
    """Stands in for a kernel: notes how it is launched, and does not launch it."""

    def __init__(self, kernel: Any, launched: list[Launched]) -> None:
        self.kernel, self.launched = kernel, launched

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        return self._note

    def _note(self, *args: Any, **constants: Any) -> None:
        self.launched.append((self.kernel, args, constants))


@contextmanager
def recorded() -> Iterator[list[Launched]]:
    """What is launched while this lasts; nothing is."""
    from trials.backbones.fused import kernels, launch

    launched: list[Launched] = []
    grids = {name: Grid(getattr(kernels, name), launched) for name in SCHEMAS}
    launch.kernels = SimpleNamespace(**grids)  # type: ignore[assignment]
    try:
        yield launched
    finally:
        launch.kernels = kernels


def source(kernel: Any, args: Sequence[Any], constants: dict[str, Any]) -> Any:
    """What Triton compiles for a launch: types of its arguments, constants, and what is a multiple of 16."""
    from triton.compiler import ASTSource

    names = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int32: "*i32"}
    constants = dict(constants)
    types: dict[str, str] = {}
    sixteens: dict[tuple[int], list[list[Any]]] = {}
    for place, (name, value) in enumerate(zip(kernel.arg_names, (*args, *constants.values()), strict=True)):
        if value is None or name in constants:
            types[name] = "constexpr"
            constants[name] = value
        elif isinstance(value, Tensor):
            types[name] = names[value.dtype]
            sixteens[place,] = [["tt.divisibility", 16]]
        else:
            types[name] = "fp32" if isinstance(value, float) else "i32"
            if isinstance(value, int) and value % 16 == 0 and name not in kernel.do_not_specialize:
                sixteens[place,] = [["tt.divisibility", 16]]
    known = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    return ASTSource(kernel, types, known, sixteens)


def compiled(capability: int, rows: int = 4, length: int = 64) -> list[dict[str, Any]]:
    """Every kernel compiled for a card, float32 and bfloat16, down to its machine code."""
    import triton
    from triton.backends.compiler import GPUTarget

    from trials.backbones.fused import launch

    found = []
    for dtype in (torch.float32, torch.bfloat16):
        for name, function, given in calls(rows, length, dtype, torch.device("cpu")):
            with recorded() as launched:
                getattr(launch, function)(*given)
            kernel, args, constants = launched[-1]
            warps = constants.pop("num_warps")
            row: dict[str, Any] = {"kernel": name, "dtype": str(dtype).removeprefix("torch."), "warps": warps}
            try:
                target = GPUTarget("cuda", capability, 32)
                made = triton.compile(source(kernel, args, constants), target, options={"num_warps": warps})
                row |= {"compiled": True, "cubin": len(made.asm["cubin"]), "shared": made.metadata.shared}
            except Exception as error:
                row |= {"compiled": False, "why": f"{type(error).__name__}: {error}"[-500:]}
            found.append(row)
    return found


def of_host() -> list[dict[str, Any]]:
    """Milliseconds of the processor for a training pass, the fastest of some, plain and fused."""
    from trials.backbones.fused import functions, launch
    from trials.backbones.t5.fused import FusedT5

    config = T5Config(
        vocab_size=64, d_model=16, d_kv=8, d_ff=32, num_layers=12, num_decoder_layers=12, num_heads=2,
        dropout_rate=P, decoder_start_token_id=0,
    )  # fmt: skip
    plain = T5(T5ForConditionalGeneration(config).eval().requires_grad_(False), torch.float32)
    found, own = [], functions.of
    functions.of = lambda tensor: launch
    try:
        for way, t5 in {"plain": plain, "fused": FusedT5(plain)}.items():
            times = []
            for _ in range(20):
                with as_an_accelerator("cpu"), recorded() as launched:
                    started = time.process_time()
                    choice.numbers(t5, [8, 8])
                    times.append(time.process_time() - started)
            found.append({"way": way, "ms": 1e3 * min(times), "by_triton": len(launched)})
    finally:
        functions.of = own
    return found


def passes(on: T5Backbone) -> list[dict[str, Any]]:
    """Seconds of training passes, and of their launching."""
    found = []
    for rows in ROWS:
        for fused in (False, True):
            on.use_fused(fused)
            times = []
            for _ in range(choice.PASSES):
                wait(on.device)
                started = time.perf_counter()
                choice.numbers(on.t5, [choice.LENGTH] * rows)
                launched = time.perf_counter()
                wait(on.device)
                times.append((time.perf_counter() - started, launched - started))
            seconds, launching = min(times)
            tokens = rows * choice.LENGTH
            found.append({"tokens": tokens, "fused": fused, "seconds": seconds, "launching": launching})
    on.use_fused(False)
    return found


def rates(dtype: torch.dtype, device: torch.device) -> list[dict[str, Any]]:
    """Bytes a second of each kernel, read and written, at 8,192 tokens."""
    from trials.backbones.fused import launch

    of_copy = copy_rate(device)
    found = []
    for name, function, given in calls(choice.ROWS, choice.LENGTH, dtype, device):
        call = partial(getattr(launch, function), *given)
        results = call()
        count = bytes_of(x for x in (*given, *([results] if isinstance(results, Tensor) else results)) if is_tensor(x))
        rate = count / fastest(call, device)
        found.append({"kernel": name, "bytes": count, "bytes_per_second": rate, "share_of_copy": rate / of_copy})
    return found


def looked_at(args: argparse.Namespace) -> dict[str, Any]:
    """Everything on a device."""
    on = backbone(args.backbone, args.precision, args.device)
    assert isinstance(on, T5Backbone)
    if args.device == "cpu":
        exact, rounded = choice.differences(on)
        return {"exact": exact, "rounded": rounded, "right": exact <= choice.EXACT and rounded <= choice.ROUNDED}
    why = choice.why_plain(on)
    found: dict[str, Any] = {"why_plain": why, "right": "other numbers" not in why and "fail here" not in why}
    if "fail" not in why and "Triton" not in why:
        of_kernels = rates(DTYPES[args.precision], on.device)
        found |= {**vars(choice.compared(on)), "passes": passes(on), "kernels": of_kernels}
    return found


def interpreting(wanted: bool) -> None:
    """Begin anew where Triton, which other libraries import, is to interpret kernels and does not, or the reverse."""
    if (os.environ.get("TRITON_INTERPRET") == "1") != wanted:
        os.environ["TRITON_INTERPRET"] = str(int(wanted))
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.fused", *sys.argv[1:]])


def main() -> None:
    """Look, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--backbone", default="t5-nano")
    parser.add_argument("--precision", default="float32", choices=list(DTYPES))
    parser.add_argument("--compile", type=int, nargs="+", metavar="CAPABILITY", help="compile only, such as 80 90")
    parser.add_argument("--host", action="store_true", help="the processor's time for a pass, nothing else")
    parser.add_argument("--out", type=Path, help="write what was found here, as JSON")
    args = parser.parse_args()
    found: dict[str, Any]
    if importlib.util.find_spec("triton") is None:
        found = {"why_plain": "Triton is not installed", "right": True}
    elif args.host:
        found = {"host": of_host(), "right": True}
    elif args.compile:
        interpreting(False)
        of_cards = {str(capability): compiled(capability) for capability in args.compile}
        found = {"compiled": of_cards, "right": all(row["compiled"] for rows in of_cards.values() for row in rows)}
    else:
        interpreting(args.device == "cpu")
        found = looked_at(args)
    console = Console(width=110)
    for key, value in found.items():
        if isinstance(value, list):
            table = Table(*value[0], title=key)
            for row in value:
                table.add_row(*(f"{x:.4g}" if isinstance(x, float) else str(x) for x in row.values()))
            console.print(table)
        elif isinstance(value, dict):
            for card, rows in value.items():
                bad = [row for row in rows if not row["compiled"]]
                console.print(f"{key} for {card}: {len(rows) - len(bad)} of {len(rows)}")
                for row in bad:
                    console.print(row)
        else:
            console.print(f"{key}: {value}")
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n")
    raise SystemExit(not found["right"])


if __name__ == "__main__":
    main()
