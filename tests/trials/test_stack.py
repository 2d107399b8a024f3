"""A trial in a stack gets the numbers that it gets alone."""

from __future__ import annotations

import pytest
import torch
from conftest import Rows
from making import config, mixed, trial

from trials.backbones import Backbone
from trials.stack import Stack, answers
from trials.trial import Trial


def gradients(stack: Stack, trials: list[Trial], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Each trial's gradients of the next update, without making it."""
    found: list[dict[str, torch.Tensor]] = []

    def note(self: Trial, loss: torch.Tensor) -> None:
        found.append({name: p.grad.clone() for name, p in self.method.named_parameters() if p.grad is not None})
        self.optimizer.zero_grad()

    with monkeypatch.context() as patch:
        patch.setattr(Trial, "update", note)
        stack.step(trials)
    return found


def relative_error(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm().clamp(min=1e-20))


@pytest.mark.parametrize("count", [2, 6, 24])
@pytest.mark.parametrize("recipe", ["released_code", "paper"])
def test_gradients_in_a_stack_equal_those_alone(
    backbone: Backbone, rows: Rows, count: int, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout on, in method and backbone: masks must not depend on neighbours or on their padding either."""
    stack = Stack(backbone, rows)
    trials = mixed(backbone, count, recipe=recipe)
    for t in trials:  # away from the start, where many gradients are exactly zero
        for parameter in t.method.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    together = gradients(stack, trials, monkeypatch)
    for t, in_stack in zip(trials, together, strict=True):
        (alone,) = gradients(stack, [t], monkeypatch)
        assert alone.keys() == in_stack.keys() and alone
        for name in alone:
            assert alone[name].norm() > 0, name
            assert relative_error(in_stack[name], alone[name]) <= 1e-5, name


def test_a_diverged_neighbour_changes_nothing(backbone: Backbone, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack(backbone, rows)
    well, broken = mixed(backbone, 2)
    (alone,) = gradients(stack, [well], monkeypatch)
    broken.method.prompt.data.fill_(float("nan"))
    in_stack, _ = gradients(stack, [well, broken], monkeypatch)
    for name in alone:
        assert relative_error(in_stack[name], alone[name]) <= 1e-5


def test_neighbours_may_come_and_go(backbone: Backbone, rows: Rows) -> None:
    """Thirty updates beside changing neighbours, against thirty alone."""
    stack = Stack(backbone, rows)
    alone, watched = trial(backbone, config()), trial(backbone, config())
    others = mixed(backbone, 4)
    for step in range(30):
        stack.step([alone])
        neighbours = others[: step // 10 + 1] if step % 2 else others[step // 10 :]
        stack.step([*neighbours, watched])
    for (name, a), b in zip(alone.method.named_parameters(), watched.method.parameters(), strict=True):
        # AdamW divides by the gradients' size: where that is rounding noise, so is the update.
        assert torch.allclose(a, b, rtol=2e-3, atol=2e-3), name
    assert float(watched.loss_sum) == pytest.approx(float(alone.loss_sum), rel=1e-3)


def test_masks_differ_between_trials_and_steps(t5: Backbone, rows: Rows) -> None:
    """Dropout is really drawn: the same weights and rows give other losses at other steps."""
    losses = set()
    for seed, start in [(0, 0), (0, 1), (1, 0)]:
        t = trial(t5, config("pt", seed=seed))
        t.step = start
        t.next_rows = lambda size: list(range(8))  # type: ignore[method-assign]
        before = t.method.prompt.detach().clone()
        t.method.prompt.data = torch.ones_like(before)
        Stack(t5, rows).step([t])
        losses.add(round(float(t.loss_sum), 6))
    assert len(losses) == 3


def test_training_lowers_the_loss_of_the_embedded_backbone() -> None:
    from trials.backbones import load_backbone
    from trials.data import prepare
    from trials.tasks import get_task

    nano = load_backbone("t5-nano")
    data = prepare(get_task("debsec"), nano.tokenizer, architecture="encoder-decoder")
    chosen = {"prompt_lr": 0.1, "mlp_lr": 0.01, "prompt_length": 10, "bottleneck": 20}
    t = trial(nano, config("adept", chosen, steps=50))
    stack, losses = Stack(nano, data.split("train")), []
    for _ in range(50):
        before = float(t.loss_sum)
        stack.step([t])
        losses.append(float(t.loss_sum) - before)
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_frozen_weights_get_no_gradient(backbone: Backbone, rows: Rows) -> None:
    before = {name: p.clone() for name, p in backbone.model.named_parameters()}
    Stack(backbone, rows).step(mixed(backbone, 3))
    for name, p in backbone.model.named_parameters():
        assert p.grad is None and torch.equal(p, before[name]), name


def test_answers_come_back_in_the_order_of_the_rows(backbone: Backbone, rows: Rows) -> None:
    t = trial(backbone, config())
    t.method.prompt.data.normal_(generator=torch.Generator().manual_seed(3))
    one_by_one = [answers(backbone, t.method, [source], 4)[0] for source in rows.sources[:20]]
    assert answers(backbone, t.method, rows.sources[:20], 4) == one_by_one
    assert len(set(one_by_one)) > 1
