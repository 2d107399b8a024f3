"""The methods as the paper and its repositories define them: sizes, starts, formulas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from making import ADEPT, DEPT, PT, config

from trials.config import RECIPES
from trials.methods import METHODS, Surroundings, make_method

TEXT = [11, 12, 13, 1]


def around(width: int = 24, length: int = 16, vocabulary: int = 6000) -> Surroundings:
    embedding = torch.randn(vocabulary, width, generator=torch.Generator().manual_seed(0))
    return Surroundings(embedding, TEXT, length)


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
    inputs = made.inputs(e)
    assert torch.equal(inputs[:, :5], made.prompt.expand(3, -1, -1))
    assert torch.allclose(inputs[:, 5:], expected, atol=1e-5)


def test_the_released_code_drops_the_pre_activation_and_the_paper_does_not() -> None:
    e = torch.ones(4, 50, 24)
    for recipe, drops in [("released_code", True), ("paper", False)]:
        made = make_method(config("adept", {**ADEPT, "bottleneck": 8}, recipe=recipe), around())
        made.down.data.zero_()
        made.down_bias.data.fill_(1.0)
        made.up.data.fill_(1.0)
        hidden_kept = (made.offset(e, dropout=torch.Generator().manual_seed(0)) - e)[..., 0]
        shares = hidden_kept * (0.9 if drops else 1.0)  # kept units are scaled by 1 / 0.9
        assert torch.allclose(shares, shares.round(), atol=1e-4)
        assert (float(shares.mean()) < 7.9) == drops
        assert 6.8 < float(shares.mean()) <= 8.0
        assert torch.equal(made.offset(e) - e, torch.full_like(e, 8.0))  # never in evaluation


@pytest.mark.parametrize(("recipe", "bound"), [("released_code", 9**-0.5), ("paper", 400**-0.5)])
def test_the_down_projection_starts_at_the_recipes_scale(recipe: str, bound: float) -> None:
    made = make_method(config("adept", {**ADEPT, "bottleneck": 9}, recipe=recipe), around(400))
    largest = float(made.down.abs().max())
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
    sources, targets = [[5, 6, 7, 1], [8, 9, 1]], [[30, 1], [31, 1]]
    short = t5.inputs(made, t5.batch(sources, targets))
    batch = t5.batch([[*s, *[0] * (16 - len(s))] for s in sources], targets)
    batch.real = torch.tensor([[1] * 4 + [0] * 12, [1] * 3 + [0] * 13])
    padded = t5.inputs(made, batch)
    gradients = []
    for inputs in (short, padded):
        losses = t5.token_losses(inputs)
        made.zero_grad()
        losses.sum().backward()
        gradients.append([p.grad.clone() for p in made.parameters()])
        gradients[-1].append(losses.detach())
    for a, b in zip(*gradients, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", list(METHODS))
def test_every_parameter_has_a_learning_rate(method: str) -> None:
    made = make_method(config(method), around())
    groups = made.parameter_groups()
    assert groups.keys() == made.peak_rates().keys()
    assert sum(p.numel() for group in groups.values() for p in group) == made.parameter_count()


def test_the_search_spaces_know_the_same_methods() -> None:
    from search_spaces import hyperparameters, methods, parameter_count

    assert set(methods()) == set(METHODS)
    for method, values in [("adept", ADEPT), ("dept", DEPT), ("pt", PT)]:
        made = make_method(config(method), around(24, 16))
        assert set(METHODS[method].GROUPS.values()) <= set(hyperparameters(method))
        assert parameter_count(method, values, 24, 16) == made.parameter_count()
