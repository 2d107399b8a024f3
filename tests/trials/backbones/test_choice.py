"""An accelerator computes in fused kernels where they are right and faster there, or an engine says why not."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import trials
from tests.trials.making import Rows
from trials import engine as engines
from trials.backbones.loading import Backbone, load_backbone
from trials.backbones.t5 import choice
from trials.backbones.t5.backbone import T5Backbone
from trials.backbones.t5.forward import T5, Encoded
from trials.backbones.t5.fused import FusedT5
from trials.batching.passes import ANY


@pytest.fixture
def on(t5_folder: str, monkeypatch: pytest.MonkeyPatch) -> T5Backbone:
    """A backbone that takes the processor for a card, and whose fused kernels are the plain way."""
    backbone = load_backbone(t5_folder, precision="float32-exact")
    assert isinstance(backbone, T5Backbone)
    monkeypatch.setattr(T5Backbone, "device", torch.device("cuda"))
    monkeypatch.setattr(T5, "grain", ANY)
    monkeypatch.setattr(FusedT5, "encode", T5.encode)
    monkeypatch.setattr(FusedT5, "decode", T5.decode)
    monkeypatch.setattr(choice, "wait", lambda device: None)
    monkeypatch.setattr(choice, "_seconds", lambda on, fused, rows: 1.0)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    return backbone


def test_what_is_right_and_no_slower_is_taken_and_looked_at_once(
    on: T5Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choice.choose(on) == "" and on.fused
    monkeypatch.setattr(choice, "compared", lambda on: 1 / 0)
    assert choice.choose(on) == "" and on.fused
    assert choice.choose(on, deterministic=True) == "" and not on.fused


def test_other_numbers_are_refused_with_their_distance(on: T5Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FusedT5, "encode", lambda self, x, *more: T5.encode(self, 1.001 * x + 0.1, *more))
    assert "give other numbers here (they differ by 0." in choice.choose(on)
    assert not on.fused


def test_numbers_that_are_none_are_refused(on: T5Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FusedT5, "encode", lambda self, x, *more: T5.encode(self, x * torch.nan, *more))
    assert "they differ by nan" in choice.choose(on)


def test_gradients_that_are_none_are_refused(on: T5Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(self: FusedT5, x: torch.Tensor, *more: Any) -> Encoded:
        broken = x * 1
        broken.register_hook(lambda g: g * torch.nan)
        return T5.encode(self, broken, *more)

    monkeypatch.setattr(FusedT5, "encode", encode)
    assert "they differ by nan" in choice.choose(on)


def test_what_rounds_twice_as_much_in_bfloat16_is_refused(on: T5Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "compared", lambda on: choice.Compared(1e-7, 2.5, 2.0, 1.0, 8))
    monkeypatch.setattr(on, "precision", "bfloat16")
    assert "2.5 times as far from float32 in bfloat16" in choice.choose(on)


def test_a_slower_pace_is_refused_with_both(on: T5Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_seconds", lambda on, fused, rows: 0.012 if fused else 0.009)
    assert choice.choose(on).endswith(
        "fused kernels are slower here (12.0 ms for a pass of 8,192 tokens instead of 9.0)"
    )
    assert not on.fused


def test_passes_that_memory_does_not_hold_are_timed_smaller(on: T5Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(on: T5Backbone, fused: bool, rows: int) -> float:
        if rows > 8:
            raise torch.OutOfMemoryError
        return 1.0 + fused

    monkeypatch.setattr(choice, "_seconds", seconds)
    assert "a pass of 512 tokens" in choice.choose(on)


@pytest.mark.parametrize("missing", [True, False])
def test_without_triton_or_a_compiler_the_plain_way_stays(
    t5_folder: str, missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = load_backbone(t5_folder, precision="float32-exact")
    assert isinstance(backbone, T5Backbone)
    monkeypatch.setattr(T5Backbone, "device", torch.device("cuda"))
    monkeypatch.setattr(T5, "grain", ANY)
    if missing:
        for name in [name for name in sys.modules if name.startswith("trials.backbones.fused.")]:
            if name.endswith(("launch", "kernels")):
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr("trials.backbones.fused.launch", raising=False)
        monkeypatch.setitem(sys.modules, "triton", None)
        assert choice.choose(backbone).endswith("fused kernels want Triton, which is not installed here")
    else:

        def fails(*args: Any) -> None:
            raise RuntimeError("no compiler\nand more")

        monkeypatch.setattr(FusedT5, "encode", fails)
        assert choice.choose(backbone).endswith("fused kernels fail here (RuntimeError: no compiler)")
    assert not backbone.fused


def test_a_processor_and_other_backbones_are_left_alone(t5: Backbone, llama: Backbone) -> None:
    for backbone in (t5, llama):
        assert choice.choose(backbone) == ""
        assert not getattr(backbone, "fused", False)


def test_an_engine_says_why_its_device_takes_the_plain_way(t5: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[bool] = []

    def choose(on: Backbone, deterministic: bool) -> str:
        chosen.append(deterministic)
        return "no Triton"

    monkeypatch.setattr(engines, "choose", choose)

    class Data:
        def split(self, name: str) -> Rows:
            return Rows()

    made: Callable[..., Any] = engines.Engine
    assert made(t5, Data(), engines.EngineSettings(deterministic=True)).note == "no Triton"
    assert chosen == [True]


def test_triton_is_imported_by_the_kernels_alone_and_they_by_nothing_a_processor_needs() -> None:
    root = Path(trials.__file__).parent
    for file in root.rglob("*.py"):
        if file.parent.name == "fused" or file == root / "backbones" / "t5" / "fused.py":
            continue
        tree = ast.parse(file.read_text())
        modules = [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
        modules += [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
        assert not [name for name in modules if name.startswith("triton") or "fused" in name], file
