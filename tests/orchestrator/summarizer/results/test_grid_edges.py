"""What a summary says of learning rates at the edge of a grid, and where it says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.record.selection import choose_winner
from orchestrator.summarizer.results.grid_edges import edges, is_learning_rate
from orchestrator.summarizer.summary import markdown
from tests.orchestrator.made_records import make_record, make_trial, right


def said(*trials: tuple[int, dict[str, Any]], diverged: dict[str, Any] | None = None) -> list[str]:
    """Of finished trials with so many right answers and these configurations, and of one without a score."""
    made = [make_trial(n, [right(count)], configuration=values) for n, (count, values) in enumerate(trials, start=1)]
    if diverged is not None:
        made.append(make_trial(len(made) + 1, [], "diverged", configuration=diverged))
    record = make_record(*made)
    return edges(record, choose_winner(record))


def test_the_winners_rate_is_the_largest_or_the_smallest() -> None:
    assert said((60, {"lr": 1e-3}), (100, {"lr": 1e-2})) == ["lr 0.01 is the largest of 2: a larger one may be better"]
    assert said((60, {"lr": 1e-2}), (70, {"lr": 1e-3}), (100, {"lr": 1e-4})) == [
        "lr 1e-4 is the smallest of 3: a smaller one may be better"
    ]
    both = said((50, {"prompt_lr": 0.1, "mlp_lr": 1e-3}), (100, {"prompt_lr": 0.3, "mlp_lr": 1e-4}))
    assert [sentence.split()[0] for sentence in both] == ["prompt_lr", "mlp_lr"]


def test_it_stands_in_the_summary() -> None:
    trials = [make_trial(n, [right(40 + 40 * n)], configuration={"lr": 0.1 * n}) for n in (1, 2)]
    record = make_record(*trials)
    text = markdown(record, choose_winner(record))
    assert "- At the edge: lr 0.2 is the largest of 2: a larger one may be better\n" in text


@pytest.mark.parametrize(
    "trials",
    [
        [(60, {"lr": 1e-3}), (100, {"lr": 1e-2}), (50, {"lr": 1e-1})],  # the winner's is inside
        [(99, {"lr": 1e-3}), (100, {"lr": 1e-2})],  # not distinguishable from one inside
        [(100, {"lr": 1e-3})],  # nothing was searched
        [(60, {"prompt_length": 20}), (100, {"prompt_length": 40})],  # no rate
        [(100 - 9 * n, {"lr": 0.1 / (n + 1)}) for n in range(9)],  # drawn from a range
    ],
)
def test_nothing_is_said(trials: list[tuple[int, dict[str, Any]]]) -> None:
    assert said(*trials) == []


def test_a_rate_at_which_a_trial_diverged_was_searched() -> None:
    assert said((60, {"lr": 1e-3}), (100, {"lr": 1e-2}), diverged={"lr": 1e-1}) == []


def test_learning_rates_are_known_by_their_names() -> None:
    assert all(map(is_learning_rate, ["lr", "prompt_lr", "learning_rate", "mlp_learning_rate"]))
    assert not any(map(is_learning_rate, ["rank", "color", "lr_decay", "prompt_length"]))
