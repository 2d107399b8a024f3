"""Schedule, optimizer, order of the data, best checkpoint."""

from __future__ import annotations

import pytest
import torch
from transformers import get_linear_schedule_with_warmup

from tests.trials.making import config, trial
from trials.backbones.loading import Backbone
from trials.batching.randomness import batch_rows, epoch_order, stream
from trials.trial import rate_factor


@pytest.mark.parametrize(("warmup", "total"), [(500, 30_000), (0, 10), (30, 300)])
def test_the_schedule_is_that_of_the_released_code(warmup: int, total: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = get_linear_schedule_with_warmup(optimizer, warmup, total)
    for update in range(min(total, 700)):
        assert 0.3 * rate_factor(update, warmup, total) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert rate_factor(total, warmup, total) == 0


def test_each_pass_visits_every_row_once_in_its_own_order() -> None:
    size, batch = 70, 16
    passes = [[batch_rows(1, epoch * 5 + i, size, batch) for i in range(5)] for epoch in range(2)]
    for batches in passes:
        assert [len(b) for b in batches] == [16, 16, 16, 16, 6]
        assert sorted(row for rows in batches for row in rows) == list(range(size))
    assert passes[0] != passes[1]
    assert batch_rows(2, 0, size, batch) != passes[0][0]


def test_a_pass_is_ordered_once_and_rows_are_those_of_an_order_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    permute = torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda size, **how: (drawn.append(size), permute(size, **how))[1])
    epoch_order.cache_clear()
    rows = [batch_rows(7, step, 50, 8) for step in (0, 1, 6, 7, 13)] + [batch_rows(7, 0, 50, 8)]
    assert drawn == [50, 50]
    orders = [permute(50, generator=stream(7, "order", epoch)).tolist() for epoch in range(2)]
    assert rows == [orders[0][:8], orders[0][8:16], orders[0][48:], orders[1][:8], orders[1][48:], orders[0][:8]]


def test_streams_are_apart_and_repeatable() -> None:
    def draw(*key: object) -> list[float]:
        return torch.rand(4, generator=stream(*key)).tolist()  # type: ignore[arg-type]

    assert draw(1, "initialisation", 3) == draw(1, "initialisation", 3)
    assert (
        len(
            {
                tuple(draw(*k))
                for k in [(1, "initialisation", 3), (1, "initialisation", 4), (1, "order", 3), (2, "initialisation", 3)]
            }
        )
        == 4
    )


def test_the_first_strictly_best_checkpoint_is_kept(t5: Backbone) -> None:
    t = trial(t5, config())
    kept = []
    for step, value in enumerate([50.0, 60.0, 60.0, 55.0], start=1):
        t.step = step
        t.method.prompt.data.fill_(step)
        report = t.report({"accuracy": value}, "accuracy")
        kept.append((report.best_score, report.best_step, float(t.best.state["prompt"][0, 0])))
    assert kept == [(50.0, 1, 1.0), (60.0, 2, 2.0), (60.0, 2, 2.0), (60.0, 2, 2.0)]


def test_a_score_of_zero_counts_as_a_score(t5: Backbone) -> None:
    """CoLA's winner stands at 0.0 for thousands of steps: that is a first best, not none."""
    t = trial(t5, config())
    t.step = 10
    assert t.report({"matthews_correlation": 0.0}, "matthews_correlation").best_step == 10
