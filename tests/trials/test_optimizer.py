"""The stacked update against torch's own optimizer and clipping, one trial after the other."""

from __future__ import annotations

import pytest
import torch
from making import Rows, config, mixed, trial

from trials.backbones import Backbone
from trials.config import RECIPES
from trials.stack import Stack, TrainingGroup
from trials.trial import Trial


def shaken(made: Trial, scale: float, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: scale * torch.randn(p.shape, generator=generator) for name, p in made.method.named_parameters()}


@pytest.mark.parametrize("recipe", list(RECIPES))
@pytest.mark.parametrize("scale", [1e-3, 100.0], ids=["small", "clipped"])
def test_updates_are_those_of_torch_alone(t5: Backbone, recipe: str, scale: float) -> None:
    """Three trials with their own rates, at different steps, for five updates."""
    rates = [(0.3, 0.01), (0.1, 0.001), (0.5, 0.1)]
    made, reference = [], []
    for seed, (prompt_lr, mlp_lr) in enumerate(rates):
        chosen = {"prompt_lr": prompt_lr, "mlp_lr": mlp_lr, "prompt_length": 5, "bottleneck": 3}
        of_trial = config(recipe=recipe, hyperparameters=chosen, seed=seed, warmup_steps=0)
        made.append(trial(t5, of_trial))
        alone = trial(t5, of_trial).method
        constants = RECIPES[recipe]
        optimizer = torch.optim.AdamW(
            [{"params": alone.parameter_groups()[group]} for group in ("prompt", "mlp")],
            betas=constants.betas,
            eps=constants.eps,
            weight_decay=constants.weight_decay,
        )
        reference.append((alone, optimizer))
    group = TrainingGroup([0, 1, 2], made)
    for update in range(5):
        gradients = [shaken(t, scale, 10 * k + update) for k, t in enumerate(made)]
        group.update({name: torch.stack([g[name] for g in gradients]) for name in gradients[0]})
        for t, (alone, optimizer), of_trial in zip(made, reference, gradients, strict=True):
            for of_group, rate in zip(optimizer.param_groups, t.learning_rates().values(), strict=True):
                of_group["lr"] = rate
            for name, parameter in alone.named_parameters():
                parameter.grad = of_trial[name].clone()
            torch.nn.utils.clip_grad_norm_(alone.parameters(), 1.0)
            optimizer.step()
            t.advance(torch.tensor(1.0), 0.0)
            for name, parameter in alone.named_parameters():
                assert torch.allclose(t.method.get_parameter(name), parameter, rtol=1e-5, atol=1e-6), (update, name)


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
