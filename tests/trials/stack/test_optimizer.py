"""The stacked update against each recipe's own optimizer and clipping, one trial after the other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.trials.making import Rows, config, mixed, trial
from tests.trials.transformers_adamw import optimizer_of
from trials.backbones.loading import Backbone
from trials.config import RECIPES
from trials.stack.optimizer import adamw
from trials.stack.step import Stack, TrainingGroup
from trials.trial import Trial


def shaken(made: Trial, scale: float, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: scale * torch.randn(p.shape, generator=generator) for name, p in made.method.named_parameters()}


RATES = [(0.3, 0.01), (0.1, 0.001), (0.5, 0.1)]


@pytest.mark.parametrize("recipe", list(RECIPES))
@pytest.mark.parametrize("scale", [1e-7, 1e-3, 100.0], ids=["below eps", "small", "clipped"])
@pytest.mark.parametrize("decay", [None, 0.01])
def test_updates_are_those_of_the_recipes_optimizer(
    t5: Backbone, recipe: str, scale: float, decay: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three trials with their own rates, for 60 updates of a warm-up of 500, at and below the size of eps, too.

    There the recipes' optimizers part by a large part of the way that a parameter goes; rounding is 1e-5 of it.
    """
    constants = RECIPES[recipe]
    if decay is not None:
        constants = replace(constants, weight_decay=decay)
        monkeypatch.setitem(RECIPES, recipe, constants)
    made, reference = [], []
    for seed, (prompt_lr, mlp_lr) in enumerate(RATES):
        chosen = {"prompt_lr": prompt_lr, "mlp_lr": mlp_lr, "prompt_length": 5, "bottleneck": 3}
        of_trial = config(recipe=recipe, hyperparameters=chosen, seed=seed, steps=1000, warmup_steps=500)
        made.append(trial(t5, of_trial))
        alone = trial(t5, of_trial).method
        groups = [{"params": alone.parameter_groups()[group]} for group in ("prompt", "mlp")]
        reference.append((alone, optimizer_of(constants, groups)))
    starts = [{name: p.detach().clone() for name, p in t.method.named_parameters()} for t in made]
    group = TrainingGroup([0, 1, 2], made)
    for update in range(60):
        gradients = [shaken(t, scale, 10 * k + update) for k, t in enumerate(made)]
        group.update({name: torch.stack([g[name] for g in gradients]) for name in gradients[0]})
        for t, (alone, optimizer), gradient in zip(made, reference, gradients, strict=True):
            for of_group, rate in zip(optimizer.param_groups, t.learning_rates().values(), strict=True):
                of_group["lr"] = rate
            for name, parameter in alone.named_parameters():
                parameter.grad = gradient[name].clone()
            torch.nn.utils.clip_grad_norm_(alone.parameters(), 1.0)
            optimizer.step()
            t.advance(torch.tensor(1.0), 0.0)
    for t, (alone, _), start in zip(made, reference, starts, strict=True):
        for name, expected in alone.named_parameters():
            found, way = t.method.get_parameter(name), float((expected.detach() - start[name]).abs().max())
            rounding = 1e-5 * way + 60 * torch.finfo(torch.float32).eps * float(start[name].abs().max())
            assert way > 1e-6 and float((found - expected).detach().abs().max()) <= rounding, name


def test_the_recipes_optimizers_differ_where_gradients_are_small() -> None:
    """By a factor of 32 at the first update, where a gradient is far below eps: eps counts against sqrt(v) there."""
    moved = {}
    for order in ("transformers", "torch"):
        recipe = replace(RECIPES["released_code"], adamw=order)
        parameter, moments = torch.zeros(1, 1), {"p": (torch.zeros(1, 1), torch.zeros(1, 1))}
        adamw({"p": parameter}, {"p": torch.full((1, 1), 1e-9)}, moments, {"p": torch.ones(1)}, [1], recipe)
        moved[order] = -float(parameter)
    assert moved["torch"] == pytest.approx(1e-9 / (1e-9 + 1e-6), rel=1e-4)
    assert moved["transformers"] == pytest.approx(0.001**0.5 * 1e-9 / (0.001**0.5 * 1e-9 + 1e-6), rel=1e-4)


def test_a_trial_that_joins_later_starts_its_own_count(t5: Backbone, rows: Rows) -> None:
    """Bias correction counts a trial's own updates: a newcomer is not taken for one with a history."""
    old, new, alone = trial(t5, config()), trial(t5, config(seed=1)), trial(t5, config(seed=1))
    stack = Stack(t5, rows)
    for _ in range(6):
        stack.step([old])
    for _ in range(6):
        stack.step([old, new])
        Stack(t5, rows).step([alone])
    assert (old.step, new.step) == (12, 6)
    for name, parameter in alone.method.named_parameters():
        assert torch.allclose(new.method.get_parameter(name), parameter, rtol=1e-3, atol=1e-4), name


def test_a_trial_keeps_its_numbers_when_it_leaves_a_stack(t5: Backbone, rows: Rows) -> None:
    stack, trials = Stack(t5, rows), mixed(t5, 6)
    for _ in range(3):
        stack.step(trials)
    left = trials.pop(1)
    before = {name: p.detach().clone() for name, p in left.method.named_parameters()}
    moments = {name: m.clone() for name, (m, _) in left.moments.items()}
    for _ in range(3):
        stack.step(trials)
    assert all(torch.equal(p, before[name]) for name, p in left.method.named_parameters())
    assert all(torch.equal(m, moments[name]) for name, (m, _) in left.moments.items())
