"""SPoT, ATTEMPT and MPT against formulas written by hand and against PEFT's own model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from tests.trials.making import ATTEMPT, Rows, config, source_prompts, trial
from tests.trials.methods.test_peft import our_losses, peft_losses
from tests.trials.methods.test_read_by_peft import saved, shaken
from trials.backbones.loading import Backbone, load_backbone
from trials.errors import UserError
from trials.methods import Sizes, get_method
from trials.methods.base.module import make_method
from trials.methods.mpt_t import decomposed
from trials.stack.embedding_table import EmbeddingTable, Group, Part
from trials.stack.step import Stack


def by_hand(tensors: dict[str, torch.Tensor], sources: list[torch.Tensor], row: torch.Tensor) -> torch.Tensor:
    """ATTEMPT's prompt of one row, out of torch's layers: `row` is the source as embedded, shape (length, d)."""
    d, h = tensors["down"].shape
    down, up, norm = nn.Linear(d, h, bias=False), nn.Linear(h, d, bias=False), nn.LayerNorm(d)
    down.weight.data, up.weight.data = tensors["down"].T, tensors["up"].T
    norm.weight.data, norm.bias.data = tensors["scale"], tensors["bias"]
    query = norm(up(nn.SiLU()(down(row.max(dim=0).values))))
    prompts = [*sources, tensors["prompt"]]
    temperature = 2087 / 768 * d
    weights = torch.tensor([float(query @ prompt.max(dim=0).values) / temperature for prompt in prompts]).softmax(0)
    mixed = sum(weight * prompt for weight, prompt in zip(weights, prompts, strict=True))
    return mixed + tensors["prompt"]


@torch.no_grad()
def test_attempts_prompt_of_each_row_is_that_of_the_formula(t5: Backbone) -> None:
    """Whatever stands beside the row, and though an answer stands behind it."""
    made = shaken(t5, "attempt", {})
    made.method.get_parameter("down").data *= 30  # else all prompts weigh the same
    rows = [np.array([5, 9, 11, 700]), np.array([44, 8]), np.array([1000, 3, 5])]
    lengths = [4, 2, 2]  # the last row's third token is its answer
    table = EmbeddingTable([Group([0], [made.method])], [Part(rows, lengths=lengths)], t5.embedding)
    tensors = {name: tensor.detach() for name, tensor in made.method.state_tensors()}
    sources = list(source_prompts(t5).values())
    prompts = []
    for i, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        expected = by_hand(tensors, sources, t5.embedding[torch.from_numpy(row[:length])].float())
        got = table.values[table.row(0, i)[:6]]
        assert torch.allclose(got, expected, atol=1e-5)
        prompts.append(got)
    assert not torch.allclose(prompts[0], prompts[1], atol=1e-3)


def test_attempt_trains_the_target_prompt_and_leaves_the_sources(t5: Backbone, rows: Rows) -> None:
    made = trial(t5, config("attempt", {**ATTEMPT, "temperature": 3.0}))
    assert torch.equal(made.method.prompt, source_prompts(t5)["sst2"])  # it starts at the first
    before = {name: tensor.detach().clone() for name, tensor in made.method.state_tensors()}
    stack = Stack(t5, rows)
    for _ in range(3):
        stack.step([made])
    after = dict(made.method.state_tensors())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"prompt", "down", "up", "scale", "bias"}
    assert torch.equal(after["source_prompts"], torch.stack(list(source_prompts(t5).values())))


def test_spot_starts_at_its_source_and_mpt_at_one_source_as_well(t5: Backbone) -> None:
    source = source_prompts(t5)["mnli"]
    for name in ("spot", "mpt_t"):
        made = trial(t5, config(name, sources=("mnli",)))
        assert torch.allclose(made.method.soft_prompt, source, atol=1e-6)


def test_source_prompts_that_have_a_decomposition_are_taken_apart_exactly() -> None:
    generator = torch.Generator().manual_seed(3)
    shared = torch.randn(5, 8, generator=generator)
    u, v = (torch.rand(3, n, generator=generator) + 0.5 for n in (5, 8))
    prompts = shared * u[:, :, None] * v[:, None]
    found, columns, rows = decomposed(prompts)
    assert torch.allclose(found * columns[:, :, None] * rows[:, None], prompts, atol=1e-3)
    assert float(columns.square().mean()) == pytest.approx(1.0, rel=1e-4)


def test_a_decomposition_is_nearer_to_the_sources_than_their_mean() -> None:
    prompts = torch.randn(4, 6, 10, generator=torch.Generator().manual_seed(0))
    found, columns, rows = decomposed(prompts)
    error = (found * columns[:, :, None] * rows[:, None] - prompts).square().sum()
    assert error < 0.9 * (prompts.mean(0) - prompts).square().sum()
    whole, ones, others = decomposed(torch.zeros(2, 3, 4))
    assert not whole.any() and ones.isfinite().all() and others.isfinite().all()


@pytest.mark.parametrize("on", ["t5", "llama"])
def test_peft_reads_mpts_adapter_and_gives_the_same_losses(
    on: str, t5_folder: str, llama_folder: str, rows: Rows, tmp_path: Path
) -> None:
    folder = {"t5": t5_folder, "llama": llama_folder}[on]
    backbone = load_backbone(folder)
    made = shaken(backbone, "mpt", {})
    ours = our_losses(backbone, made.method, rows)
    saved(tmp_path, made, backbone)
    loader = AutoModelForCausalLM if backbone.embeds_answers else AutoModelForSeq2SeqLM
    theirs: Any = PeftModel.from_pretrained(loader.from_pretrained(folder, dtype=torch.float32), tmp_path).eval()
    first = torch.tensor([0])

    def of_the_first_task(**inputs: Any) -> Any:
        return theirs(**inputs, task_ids=first)

    assert peft_losses(of_the_first_task, backbone, rows) == pytest.approx(ours, rel=1e-4)


def test_the_counts_are_those_of_the_papers_tables() -> None:
    values, sizes = {"prompt_length": 100}, Sizes(768)
    counts = {name: get_method(name).parameter_count(values, sizes) for name in ("spot", "attempt", "mpt", "mpt_t")}
    assert counts == {"spot": 76_800, "attempt": 231_936, "mpt": 77_668, "mpt_t": 77_668}


def test_sources_that_are_missing_too_many_or_of_another_length_are_refused(t5: Backbone) -> None:
    around = replace(t5.surroundings(16), sources=source_prompts(t5))
    with pytest.raises(UserError, match=r"source prompts rte, which are not at hand"):
        make_method(config("spot", sources=("rte",)), around)
    with pytest.raises(UserError, match=r"spot starts from one source prompt, and 2 are given"):
        make_method(config("spot", sources=("sst2", "mnli")), around)
    with pytest.raises(UserError, match=r"attempt starts from 1 to 64 source prompts, and none is given"):
        make_method(config("attempt", sources=()), around)
    longer = {"prompt_lr": 0.1, "prompt_length": 7}
    with pytest.raises(UserError, match=r"prompt_length 7 is not that of its source prompts: sst2 \(6\)"):
        make_method(config("spot", longer), around)
    with pytest.raises(UserError, match="lamp starts from no source prompts"):
        make_method(config("lamp", sources=("sst2",)), around)
