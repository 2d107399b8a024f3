"""Trials of many shapes, rows and folders of models, for tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer

from trials.backbones.facts import EMBEDDED
from trials.backbones.loading import Backbone, Inputs, StockBackbone, T5Backbone
from trials.config import TrialConfig
from trials.methods.base.module import MethodModule, make_method
from trials.stack.embedding_table import EmbeddingTable, Group, Part
from trials.stack.step import Stack
from trials.trial import Trial

ADEPT = {"prompt_lr": 0.1, "mlp_lr": 0.01, "prompt_length": 5, "bottleneck": 3}
DEPT = {"prompt_lr": 0.1, "lowrank_lr": 0.01, "prompt_length": 4, "rank": 2}
PT = {"prompt_lr": 0.1, "prompt_length": 7}
LORA = {"lr": 0.01, "rank": 3, "alpha": 6}
LAMP = {"prompt_lr": 0.1, "prompt_length": 3, "pool": 2, "rank": 4}
MATRIX = {"prompt_lr": 0.1, "matrix_lr": 0.01, "prompt_length": 2}
MPT = {"prompt_lr": 0.1, "task_lr": 0.1, "prompt_length": 4, "rank": 2}
SPOT = {"prompt_lr": 0.1, "prompt_length": 6}
ATTEMPT = {"prompt_lr": 0.1, "attention_lr": 0.01, "prompt_length": 6, "bottleneck": 3}
MPT_T = {"prompt_lr": 0.1, "task_lr": 0.01, "prompt_length": 6}
SOURCES = {"spot": ("sst2",), "attempt": ("sst2", "mnli"), "mpt_t": ("mnli", "sst2")}
"""Source prompts of the methods that transfer, by the names of `source_prompts`."""
STRONG = {"lr": 0.3, "rank": 3, "alpha": 6}  # the made-up models are random: less changes none of their answers

SMALL: dict[str, dict[str, Any]] = {
    "adept": ADEPT,
    "dept": DEPT,
    "pt": PT,
    "lora": LORA,
    "lamp": LAMP,
    "embedding_matrix": MATRIX,
    "mpt": MPT,
    "spot": SPOT,
    "attempt": ATTEMPT,
    "mpt_t": MPT_T,
    "full_finetuning": {"lr": 0.003},
    "bitfit": {"lr": 0.05},
    "adapter": {"lr": 0.02, "reduction": 8},
    "adapterdrop": {"lr": 0.02, "reduction": 8, "first_layer": 1},
    "peft": {"lr": 0.05, "tuner": "LORA", "r": 3},
    "lst": {"lr": 0.02, "reduction": 2},
    "ia3": {"lr": 0.1, "rescaled": "attention_and_feed_forward"},
    "prefix": {"lr": 0.1, "prefix_length": 3},
    "apt": {"lr": 0.1, "prefix_length": 3},
    "p_tuning": {"lr": 0.01, "prompt_length": 3, "hidden": 5},
}
"""A small configuration of each method."""

MIXED: list[tuple[str, dict[str, Any]]] = [
    ("adept", ADEPT),
    ("adept", {**ADEPT, "prompt_length": 11, "bottleneck": 9, "mlp_lr": 0.001}),
    ("pt", PT),
    ("dept", DEPT),
    ("adept", {**ADEPT, "prompt_length": 1, "bottleneck": 1, "prompt_lr": 0.3}),
    ("pt", {**PT, "prompt_init": "uniform", "prompt_length": 20}),
    ("lamp", LAMP),
    ("embedding_matrix", MATRIX),
    ("p_tuning", {"lr": 0.01, "prompt_length": 3, "hidden": 5}),
    ("spot", SPOT),
    ("attempt", ATTEMPT),
    ("mpt", MPT),
    ("mpt_t", MPT_T),
    ("attempt", {**ATTEMPT, "temperature": 5.0}),
]

FAST: list[tuple[str, dict[str, Any]]] = [("lora", LORA), ("lora", {"lr": 0.03, "rank": 5, "alpha": 4})]
"""What trials share passes with on the fast lane alone."""


def stackable(backbone: Backbone) -> list[tuple[str, dict[str, Any]]]:
    """What trials share passes of a backbone with."""
    return [*MIXED[:3], *FAST, *MIXED[3:]] if backbone.facts.lane == "fast" else MIXED


def config(method: str = "adept", hyperparameters: dict[str, Any] | None = None, **changes: Any) -> TrialConfig:
    values: dict[str, Any] = {"steps": 40, "eval_every": 10, "batch_size": 8, "warmup_steps": 4, **changes}
    values.setdefault("sources", SOURCES.get(method, ()))
    return TrialConfig(method, hyperparameters or dict(SMALL.get(method, {})), **values)


def source_prompts(backbone: Backbone, rows: int = 6) -> dict[str, torch.Tensor]:
    """Two that nobody has trained."""
    generator = torch.Generator().manual_seed(5)
    return {name: torch.randn(rows, backbone.facts.width, generator=generator) for name in ("sst2", "mnli")}


def trial(backbone: Backbone, made_of: TrialConfig) -> Trial:
    around = replace(backbone.surroundings(16), sources=source_prompts(backbone))
    return Trial(made_of, make_method(made_of, around))


def shaken(backbone: Backbone, **changes: Any) -> Trial:
    """A trial away from the start, where B is zero and A has no gradient."""
    made = trial(backbone, config("lora", **changes))
    generator = torch.Generator().manual_seed(1)
    for parameter in made.method.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    return made


def mixed(backbone: Backbone, count: int, **changes: Any) -> list[Trial]:
    """``count`` trials of all methods, with prompts and bottlenecks of different sizes and different seeds."""
    kinds = stackable(backbone)
    chosen = [kinds[i % len(kinds)] for i in range(count)]
    return [trial(backbone, config(m, dict(h), seed=i, **changes)) for i, (m, h) in enumerate(chosen)]


def inputs_of(backbone: Backbone, method: MethodModule, rows: list[list[int]], answers: list[list[int]]) -> Inputs:
    """Rows with a method's prompt and offsets; the answers behind them where the backbone embeds them."""
    tokens = [[*r, *a] for r, a in zip(rows, answers, strict=True)] if backbone.embeds_answers else rows
    table = EmbeddingTable(
        [Group([0], [method])],
        [Part([np.array(t) for t in tokens], lengths=[len(r) for r in rows])],
        backbone.embedding,
    )
    places = [table.row(0, i) for i in range(len(rows))]
    starts = [method.prompt_length + len(r) for r in rows]
    return Inputs(table.values[table.index(places)], torch.tensor([len(p) for p in places]), torch.tensor(starts))


def save(folder: Path, model: torch.nn.Module) -> str:
    model.save_pretrained(folder)  # type: ignore[operator]
    AutoTokenizer.from_pretrained(EMBEDDED / "t5-nano").save_pretrained(folder)
    return str(folder)


class Rows:
    """A split of made-up rows of many lengths; each answer is a digit that the first token decides."""

    groups = None

    def __init__(self, size: int = 70, longest: int = 12, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        lengths = torch.randint(2, longest + 1, (size,), generator=generator).tolist()
        self.sources = [torch.randint(20, 8000, (n,), generator=generator).tolist() for n in lengths]
        self.texts = [str(s[0] % 4) for s in self.sources]
        self.targets = [[30 + int(t), 1] for t in self.texts]

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(source) for source in self.sources])

    def __len__(self) -> int:
        return len(self.sources)

    def batch(self, rows: Sequence[int]) -> tuple[list[list[int]], list[list[int]], list[str]]:
        return [self.sources[i] for i in rows], [self.targets[i] for i in rows], [self.texts[i] for i in rows]


def gradients(stack: Stack, trials: list[Trial]) -> list[dict[str, torch.Tensor]]:
    """Each trial's gradients of the next update, without making it."""
    _, by_group, _ = stack.gradients(trials)
    found: dict[int, dict[str, torch.Tensor]] = {}
    for group, stacked in zip(stack.groups(trials), by_group, strict=True):
        for k, member in enumerate(group.members):
            found[member] = {name: g[k].clone() for name, g in stacked.items()}
    return [found[k] for k in range(len(trials))]


@contextmanager
def without_dropout(backbone: Backbone) -> Iterator[None]:
    """The backbone's own dropout off."""
    holder, name, off = (backbone.t5, "p", 0.0) if isinstance(backbone, T5Backbone) else _stock_dropout(backbone)
    before = getattr(holder, name)
    setattr(holder, name, off)
    yield
    setattr(holder, name, before)


def _stock_dropout(backbone: Backbone) -> tuple[Any, str, Any]:
    assert isinstance(backbone, StockBackbone)
    return backbone.stock, "drops", False


def relative_error(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm().clamp(min=1e-20))
