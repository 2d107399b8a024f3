"""A trial in a stack gets the numbers that it gets alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.trials.making import Rows, config, gradients, mixed, relative_error, trial, without_dropout
from trials.backbones.loading import Backbone, Inputs, StockBackbone
from trials.batching.passes import PassCost
from trials.errors import UserError
from trials.evaluation import answers
from trials.stack.step import Stack


@pytest.mark.parametrize("count", [2, 6, 24])
@pytest.mark.parametrize("recipe", ["released_code", "paper"])
def test_gradients_in_a_stack_equal_those_alone(backbone: Backbone, rows: Rows, count: int, recipe: str) -> None:
    """With dropout on, in method and backbone: masks must not depend on neighbours or on their padding either."""
    stack = Stack(backbone, rows)
    trials = mixed(backbone, count, recipe=recipe)
    for t in trials:  # away from the start, where many gradients are exactly zero
        for parameter in t.method.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    together = gradients(stack, trials)
    for t, in_stack in zip(trials, together, strict=True):
        (alone,) = gradients(stack, [t])
        assert alone.keys() == in_stack.keys() and alone
        total = torch.cat([g.flatten() for g in alone.values()])
        assert relative_error(torch.cat([g.flatten() for g in in_stack.values()]), total) <= 1e-5
        for name in alone:  # a tensor whose sums cancel out keeps the rounding of their terms
            assert alone[name].norm() > 0 or not alone[name].numel(), name  # LAMP trains no row of prompt
            assert (in_stack[name] - alone[name]).norm() <= 1e-5 * max(alone[name].norm(), 0.01 * total.norm()), name


def test_a_diverged_neighbour_changes_nothing(backbone: Backbone, rows: Rows) -> None:
    stack = Stack(backbone, rows)
    well, broken = mixed(backbone, 2)
    (alone,) = gradients(stack, [well])
    broken.method.prompt.data.fill_(float("nan"))
    in_stack, _ = gradients(stack, [well, broken])
    for name in alone:
        assert relative_error(in_stack[name], alone[name]) <= 1e-5


@pytest.mark.slow
def test_losses_over_80_updates_are_those_alone(backbone: Backbone, rows: Rows) -> None:
    """Without dropout in the method or the backbone, eight trials beside each other and some of them alone."""
    chosen = [0, 3, 5, 7]  # of each kind of method, and the last
    together = mixed(backbone, 8, recipe="paper", steps=80, batch_size=4, warmup_steps=20)
    alone = mixed(backbone, 8, recipe="paper", steps=80, batch_size=4, warmup_steps=20)
    stack, single = Stack(backbone, rows), Stack(backbone, rows)
    curves: dict[int, list[tuple[float, float]]] = {k: [] for k in chosen}
    with without_dropout(backbone):
        for _ in range(80):
            before = [float(t.loss_sum) for t in (*together, *alone)]
            stack.step(together)
            for k in chosen:
                single.step([alone[k]])
                curves[k].append((float(together[k].loss_sum) - before[k], float(alone[k].loss_sum) - before[8 + k]))
    for k, curve in curves.items():
        a, b = torch.tensor(curve).unbind(1)
        assert float((a[:20] - b[:20]).abs().max()) < 1e-4, k
        assert float((a - b).abs().mean()) < 0.02 * float(b.mean()), k


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
    from trials.backbones.loading import load_backbone
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
    embedding = backbone.embedding.clone()
    Stack(backbone, rows).step(mixed(backbone, 3))
    assert backbone.embedding.grad is None and torch.equal(backbone.embedding, embedding)
    if isinstance(backbone, StockBackbone):
        assert all(p.grad is None for p in backbone.model.parameters())


@pytest.mark.parametrize("most", [1, 40, 10_000])
def test_the_size_of_passes_changes_nothing(backbone: Backbone, rows: Rows, most: int) -> None:
    """With dropout on: masks belong to rows, whichever pass computes them."""
    trials = mixed(backbone, 6)
    expected = gradients(Stack(backbone, rows), trials)
    got = gradients(Stack(backbone, rows, PassCost(fixed=8, most=most)), trials)
    for a, b in zip(got, expected, strict=True):
        for name in b:
            assert relative_error(a[name], b[name]) <= 1e-5 or float(b[name].norm()) < 1e-8, name


def test_a_stack_that_does_not_fit_is_halved_and_loses_nothing(
    t5: Backbone, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, got = mixed(t5, 6), mixed(t5, 6)
    Stack(t5, rows).step(expected)
    whole = Backbone.token_losses
    refused = []

    def too_large(self: Backbone, inputs: Inputs, *rest: Any) -> torch.Tensor:
        if inputs.embeddings.shape[0] * inputs.embeddings.shape[1] > 128:
            refused.append(inputs.embeddings.shape)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, inputs, *rest)

    monkeypatch.setattr(Backbone, "token_losses", too_large)
    stack = Stack(t5, rows, PassCost(fixed=64, most=2048))
    stack.step(got)
    assert refused and stack.cost.most <= 128
    for a, b in zip(got, expected, strict=True):
        assert a.step == 1 and float(a.loss_sum) == pytest.approx(float(b.loss_sum), rel=1e-5)


def test_a_row_that_does_not_fit_is_said(t5: Backbone, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Backbone, "token_losses", never)
    with pytest.raises(UserError, match="one row alone"):
        Stack(t5, rows).step(mixed(t5, 2))


def test_answers_come_back_in_the_order_of_the_rows(backbone: Backbone, rows: Rows) -> None:
    t = trial(backbone, config())
    t.method.prompt.data.normal_(generator=torch.Generator().manual_seed(3))
    one_by_one = [answers(backbone, [t.method], [source], 4)[0][0] for source in rows.sources[:20]]
    assert answers(backbone, [t.method], rows.sources[:20], 4) == [one_by_one]
    assert len(set(one_by_one)) > 1
