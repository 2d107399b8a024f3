"""The methods as the paper and its repositories define them: sizes, starts, formulas."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.trials.making import ADEPT, DEPT, PT, SMALL, config
from trials.backbones.loading import Inputs
from trials.batching.dropout import row_keys
from trials.config import RECIPES
from trials.errors import UserError
from trials.methods import Sizes, get_method, method_names
from trials.methods.base.module import MethodModule, Surroundings, make_method
from trials.methods.base.registry import problems
from trials.stack.embedding_table import EmbeddingTable, Group, Part

TEXT = [11, 12, 13, 1]
PROJECTIONS = {"0.q": (16, 24), "0.v": (8, 24), "1.q": (16, 24)}


def around(width: int = 24, length: int = 16, vocabulary: int = 6000) -> Surroundings:
    embedding = torch.randn(vocabulary, width, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(5)
    sources = {name: torch.randn(6, width, generator=generator) for name in ("sst2", "mnli")}
    return Surroundings(embedding, TEXT, length, PROJECTIONS, sources=sources)


OWN = [name for name in method_names() if get_method(name).kind != "modules"]
"""PEFT's tuners need a whole model of `transformers`: `test_peft`."""


@pytest.mark.parametrize(
    ("width", "m", "r", "count"),
    [
        (768, 20, 39, 76_071),
        (768, 40, 29, 76_061),
        (768, 60, 19, 76_051),
        (768, 80, 9, 76_041),
        (768, 120, 39, 152_871),
        (768, 0, 49, 76_081),
        (1024, 60, 19, 101_395),
        (1024, 7, 1, 10_241),
        (4096, 7, 1, 40_961),
    ],
)
def test_adept_has_the_papers_parameter_counts(width: int, m: int, r: int, count: int) -> None:
    made = make_method(config("adept", {**ADEPT, "prompt_length": m, "bottleneck": r}), around(width))
    assert made.parameter_count() == count


@pytest.mark.parametrize(
    ("m", "r", "length", "count"),
    [(60, 30, 256, 76_800), (80, 15, 256, 76_800), (60, 24, 512, 76_800), (60, 30, 348, 79_560)],
)
def test_dept_has_its_published_parameter_counts(m: int, r: int, length: int, count: int) -> None:
    made = make_method(config("dept", {**DEPT, "prompt_length": m, "rank": r}), around(768, length))
    assert made.parameter_count() == count


def test_pt_has_100_rows_unless_told_otherwise() -> None:
    assert make_method(config("pt", {"prompt_lr": 0.3}), around(768)).parameter_count() == 76_800


@pytest.mark.parametrize("method", ["adept", "dept"])
@pytest.mark.parametrize("recipe", list(RECIPES))
def test_the_offset_is_exactly_zero_before_training(method: str, recipe: str) -> None:
    made = make_method(config(method, recipe=recipe), around())
    e = torch.randn(3, 7, 24)
    assert torch.equal(made.offset(e), e)


def test_adept_computes_equation_3() -> None:
    made = make_method(config("adept"), around())
    for p in made.parameters():
        p.data.normal_()
    e = torch.randn(3, 7, 24)
    state = dict(made.named_parameters())
    expected = e.clone()
    for i in range(3):
        for t in range(7):
            hidden = torch.relu(e[i, t] @ state["down"] + state["down_bias"])
            expected[i, t] += hidden @ state["up"] + state["up_bias"]
    assert torch.allclose(made.offset(e), expected, atol=1e-5)


def shifted(made: MethodModule, e: torch.Tensor, keys: np.ndarray | None = None) -> torch.Tensor:
    """Rows of one embedded token each, of ids 0, 1, ..., through the table in front of the backbone."""
    rows = [np.arange(e.shape[1]) + i * e.shape[1] for i in range(len(e))]
    table = EmbeddingTable([Group([0], [made])], [Part(rows, keys)], e.flatten(0, 1))
    m = made.prompt_length
    assert torch.equal(table.values[table.row(0, 0)[:m]], made.prompt)
    return torch.stack([table.values[table.row(0, i)[m:]] for i in range(len(e))])


def test_the_released_code_drops_the_pre_activation_and_the_paper_does_not() -> None:
    e, keys = torch.ones(4, 50, 24), row_keys(0, 0, 4)
    for recipe, drops in [("released_code", True), ("paper", False)]:
        made = make_method(config("adept", {**ADEPT, "bottleneck": 8}, recipe=recipe), around())
        state = dict(made.named_parameters())
        state["down"].data.zero_()
        state["down_bias"].data.fill_(1.0)
        state["up"].data.fill_(1.0)
        hidden_kept = (shifted(made, e, keys) - e)[..., 0]
        shares = hidden_kept * (0.9 if drops else 1.0)  # kept units are scaled by 1 / 0.9
        assert torch.allclose(shares, shares.round(), atol=1e-4)
        assert (float(shares.mean()) < 7.9) == drops
        assert 6.8 < float(shares.mean()) <= 8.0
        assert torch.equal(made.offset(e) - e, torch.full_like(e, 8.0))  # never in evaluation


@pytest.mark.parametrize(("recipe", "bound"), [("released_code", 9**-0.5), ("paper", 400**-0.5)])
def test_the_down_projection_starts_at_the_recipes_scale(recipe: str, bound: float) -> None:
    made = make_method(config("adept", {**ADEPT, "bottleneck": 9}, recipe=recipe), around(400))
    largest = float(dict(made.named_parameters())["down"].abs().max())
    assert 0.98 * bound < largest <= bound


def test_the_released_code_starts_from_its_text_repeated_and_cut() -> None:
    s = around()
    made = make_method(config("adept", {**ADEPT, "prompt_length": 6}), s)
    assert torch.equal(made.prompt, s.embedding[[11, 12, 13, 1, 11, 12]])


def test_the_paper_starts_from_frequent_vocabulary_rows() -> None:
    s = around()
    made = make_method(config("adept", recipe="paper"), s)
    rows = [int((s.embedding == row).all(1).nonzero()) for row in made.prompt]
    assert len(set(rows)) == 5 and max(rows) < 5000


def test_pts_two_starts() -> None:
    s = around()
    sampled = make_method(config("pt", PT), s)
    assert all(bool((s.embedding[:5000] == row).all(1).any()) for row in sampled.prompt)
    random = make_method(config("pt", {**PT, "prompt_length": 500, "prompt_init": "uniform"}), s)
    assert 0.49 < float(random.prompt.abs().max()) <= 0.5


def test_seeds_decide_the_start() -> None:
    def start(seed: int) -> torch.Tensor:
        return make_method(config("pt", seed=seed), around()).prompt

    assert torch.equal(start(1), start(1)) and not torch.equal(start(1), start(2))


def test_dept_equals_the_original_padded_to_its_fixed_length(t5: Any) -> None:
    """The original adds all of A B to batches padded to the maximum; the first rows alone give the same numbers."""
    made = make_method(config("dept"), t5.surroundings(16))
    for p in made.parameters():
        p.data.normal_(std=0.3, generator=torch.Generator().manual_seed(2))
    sources, targets = [[5, 6, 7, 1], [8, 9, 1]], torch.tensor([[30, 1], [31, 1]])
    gradients = []
    for length in (4, 16):
        ids = torch.tensor([[*s, *[0] * (length - len(s))] for s in sources])
        tokens = made.offset(t5.embedding[ids])
        lengths = torch.tensor([made.prompt_length + len(s) for s in sources])
        inputs = Inputs(torch.cat([made.prompt.expand(2, -1, -1), tokens], dim=1), lengths, lengths)
        losses = t5.token_losses(inputs, targets)
        gradients.append(list(torch.autograd.grad(losses.sum(), list(made.parameters()))))
        gradients[-1].append(losses.detach())
    for a, b in zip(*gradients, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OWN)
def test_a_stack_of_methods_shifts_as_each_does_alone(name: str) -> None:
    made = [make_method(config(name, seed=seed), around()) for seed in range(3)]
    for i, method in enumerate(made):
        for p in method.parameters():
            p.data.normal_(generator=torch.Generator().manual_seed(i))
    embedding = around().embedding
    rows = [[np.array([5, 9, 5, 11]), np.array([7])], [np.array([1, 2])], [np.array([3, 3, 3])]]
    table = EmbeddingTable([Group([0, 1, 2], made)], [Part(tokens) for tokens in rows], embedding)
    for k, method in enumerate(made):
        for i, row in enumerate(rows[k]):
            ids = torch.from_numpy(row)[None]
            alone = {n: tensor[None] for n, tensor in method.state_tensors()}
            greatest = embedding[ids].amax(1)[None]
            prompt = method.method.row_prompts(alone, greatest)[0, 0]
            expected = torch.cat([prompt, method.offset(embedding[ids], tokens=ids)[0]])
            assert torch.allclose(table.values[table.row(k, i)], expected, atol=1e-5)


@pytest.mark.parametrize("method", OWN)
def test_every_parameter_has_a_learning_rate(method: str) -> None:
    made = make_method(config(method), around())
    groups = made.parameter_groups()
    assert groups.keys() == made.peak_rates().keys()
    assert sum(p.numel() for group in groups.values() for p in group) == made.parameter_count()


@pytest.mark.parametrize("name", OWN)
def test_what_is_planned_without_torch_is_what_is_trained(name: str) -> None:
    made, method = make_method(config(name), around()), get_method(name)
    shapes = Sizes(24, 16, {str(place): shape for place, shape in enumerate(PROJECTIONS.values())}, vocabulary=6000)
    assert method.parameter_count(config(name).hyperparameters, shapes) == made.parameter_count()
    assert config(name).prompt_length == made.prompt_length
    assert config(name).inner == made.inner


@pytest.mark.parametrize("name", method_names())
def test_the_declarations_are_whole(name: str) -> None:
    assert problems(get_method(name)) == []


def test_a_prompt_length_that_is_left_out_is_the_declared_one() -> None:
    assert config("pt", {"prompt_lr": 0.3}).prompt_length == 100
    with pytest.raises(ValueError, match="adept needs a prompt_length"):
        make_method(config("adept", {"prompt_lr": 0.1, "mlp_lr": 0.1, "bottleneck": 2}), around())


def test_lamp_starts_at_its_decomposed_prompt_and_pools_it() -> None:
    """Of full rank it is the mean of each block of the prompt that is decomposed, here PT's start."""
    whole = make_method(config("pt", {"prompt_lr": 0.1, "prompt_length": 12}), around())
    chosen = {"prompt_lr": 0.1, "prompt_length": 4, "pool": 3, "rank": 12}
    pooled = make_method(config("lamp", chosen), around())
    assert torch.allclose(pooled.soft_prompt, whole.prompt.view(4, 3, 24).mean(1), atol=1e-5)
    for p in pooled.parameters():
        p.data.normal_(generator=torch.Generator().manual_seed(3))
    state = dict(pooled.named_parameters())
    expected = torch.zeros(4, 24)
    for block in range(4):
        for row in range(3):
            for k in range(12):
                expected[block] += state["left"][block, row, k] * state["singular"][k] * state["right"][k] / 3
    assert torch.allclose(pooled.soft_prompt, expected, atol=1e-4)


def test_a_rank_that_no_matrix_of_the_size_has_is_refused() -> None:
    with pytest.raises(UserError, match="lamp: rank 9 is more than the 8 that 8 rows of width 24 have"):
        make_method(config("lamp", {"prompt_lr": 0.1, "prompt_length": 4, "pool": 2, "rank": 9}), around())
    with pytest.raises(UserError, match="lora: rank 17 is larger than 16"):
        make_method(config("lora", {"lr": 0.1, "rank": 17}), around())
    for length, width, rank in ((16, 24, 17), (32, 24, 25)):
        there, most = around(width=width, length=length), rank - 1
        make_method(config("dept", {**DEPT, "rank": most}), there)
        why = rf"dept: rank {rank} is more than {most}, .* {length} places of width {width}.*; give at most {most}"
        with pytest.raises(UserError, match=why):
            make_method(config("dept", {**DEPT, "rank": rank}), there)


@pytest.mark.parametrize(
    ("method", "values", "recipe", "refusal"),
    [
        ("pt", {}, "released_code", "pt: prompt_length 41 is more than the 40 rows .* or prompt_init: uniform"),
        ("adept", {}, "paper", "adept: prompt_length 41 is more .* give at most 40, or prompt_init: text"),
        ("adept", {"prompt_init": "vocabulary"}, "released_code", "adept: prompt_length 41 is more than the 40 rows"),
        ("adept", {"prompt_init": "text"}, "paper", ""),
        ("adept", {}, "released_code", ""),
        ("lamp", {"pool": 2}, "paper", "lamp: prompt_length x pool are 82 rows, more than the 40 rows .* uniform"),
        ("lamp", {"pool": 2, "prompt_init": "uniform"}, "paper", ""),
        (
            "lamp",
            {"pool": 100, "prompt_length": 51, "prompt_init": "uniform"},
            "paper",
            "5,100 rows, and at most 5,000",
        ),
        ("spot", {}, "paper", "spot: prompt_length 41 is more than the 40 rows .*, or another --recipe"),
        ("mpt_t", {}, "paper", "mpt_t: prompt_length 41 is more than the 40 rows .*, or another --recipe"),
    ],
)
def test_a_prompt_starts_with_no_more_vocabulary_rows_than_there_are(
    method: str, values: dict[str, Any], recipe: str, refusal: str
) -> None:
    chosen = {**SMALL[method], "prompt_length": 41, **values}
    there = around(vocabulary=40)
    longer = {name: torch.randn(41, 24) for name in there.sources}
    try:
        make_method(config(method, chosen, recipe=recipe), replace(there, sources=longer))
        assert not refusal
    except UserError as error:
        assert refusal and re.search(refusal, str(error))


def test_the_embedding_matrix_starts_as_the_backbones_and_looks_tokens_up() -> None:
    s = around()
    made = make_method(config("embedding_matrix"), s)
    ids = torch.tensor([[5, 9, 5]])
    assert torch.equal(made.offset(s.embedding[ids], tokens=ids), s.embedding[ids])
    made.get_parameter("matrix").data[9] = 7.0
    expected = torch.stack([s.embedding[5], torch.full((24,), 7.0), s.embedding[5]])
    assert torch.equal(made.offset(s.embedding[ids], tokens=ids)[0], expected)
