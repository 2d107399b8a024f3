"""A step and an evaluation never wait for an accelerator and never mix devices: seen on one that has no numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks.launches import Launches, trials_without_numbers, without_numbers
from tests.trials.making import Rows, config, stackable
from trials.backbones.base import Backbone
from trials.batching.passes import PassCost
from trials.batching.transfers import Reading
from trials.evaluation import score
from trials.stack.step import Stack
from trials.trial import Trial

LABELS = [[30 + digit, 1] for digit in range(4)]


@pytest.fixture(scope="module", params=["t5-base", "llama-3-8b"])
def published(request: pytest.FixtureRequest) -> Backbone:
    """A published size on the device ``meta``, its layers but two left out: all of them are alike."""
    few = ("num_layers", "num_decoder_layers") if request.param == "t5-base" else ("num_hidden_layers",)
    sizes: dict[str, Any] = dict.fromkeys(few, 2)
    return without_numbers(request.param, "float32", **sizes)


@pytest.fixture(scope="module")
def trials(published: Backbone) -> list[Trial]:
    """One of every method that is stacked."""
    return trials_without_numbers(
        published, [config(m, dict(h), seed=i) for i, (m, h) in enumerate(stackable(published))]
    )


def test_a_step_never_waits_and_never_mixes_devices(published: Backbone, trials: list[Trial]) -> None:
    stack = Stack(published, Rows(), PassCost(fixed=64, most=1000))
    with Launches() as seen:
        stack.step(trials)
    assert (seen.waits, seen.mixed) == ([], [])
    assert seen.kernels["mm"] > 0 and seen.copies > 0
    assert all(trial.step > 0 for trial in trials)


@pytest.mark.parametrize("labels", [LABELS, []])
def test_an_evaluation_reads_nothing_before_the_next_pass_is_queued(
    published: Backbone, trials: list[Trial], labels: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values are asked for where they are made, and looked at when the device has other work: a pass, or a token."""
    asked: list[Reading] = []
    looked: list[int] = []  # how many others had been asked for since

    def look(self: Reading) -> Any:
        looked.append(len(asked) - 1 - asked.index(self))
        return torch.ones(self._values.shape, dtype=torch.int64).tolist()  # every answer leaves the tree, and goes on

    made = Reading.__init__
    monkeypatch.setattr(Reading, "__init__", lambda self, values: (made(self, values), asked.append(self))[0])
    monkeypatch.setattr(Reading, "look", look)
    with Launches() as seen:
        score(
            published,
            [t.method for t in trials if not t.method.inner],
            Rows(20),
            ["accuracy"],
            3,
            labels,
            PassCost(64, 400),
        )
    assert (seen.waits, seen.mixed) == ([], [])
    assert seen.kernels["mm"] > 0 and len(looked) > 4
    if labels:
        assert looked[0] >= 2  # what the second pass asks for
    else:
        assert all(others > 0 for others in looked[:-1])  # nothing comes after the last
