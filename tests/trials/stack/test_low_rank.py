"""LoRA trials that share passes of T5: the numbers of each alone, whatever their ranks, neighbours and passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.launches import Launches, trials_without_numbers, without_numbers
from benchmarks.same_numbers import as_an_accelerator
from tests.trials.making import STRONG, Rows, config, gradients, relative_error, trial
from tests.trials.test_engine import data, engine, numbers, run
from trials.backbones.loading import T5Backbone
from trials.batching.passes import ANY, Grain, PassCost, passes_by_trial
from trials.config import TrialConfig
from trials.engine import Engine, EngineSettings
from trials.methods import get_method
from trials.stack import measuring
from trials.stack.low_rank_updates import LowRankUpdates
from trials.stack.measuring import Measured
from trials.stack.step import Stack
from trials.trial import Trial

RANKS = (3, 5, 3, 1)


def shaken(backbone: T5Backbone, ranks: tuple[int, ...] = RANKS) -> list[Trial]:
    """Trials away from the start, of other alphas and seeds, one at the last batch of its epoch, which is short."""
    found = []
    for seed, rank in enumerate(ranks):
        made = trial(backbone, config("lora", {"lr": 0.01, "rank": rank, "alpha": 2 + seed}, seed=seed))
        for parameter in made.method.parameters():
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
        made.step = 8 if seed == 2 else seed  # 70 rows in eights
        found.append(made)
    return found


def flat(gradient: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([g.flatten() for g in gradient.values()])


@pytest.mark.parametrize("device", ["cpu", "accelerator"])
@pytest.mark.parametrize("folded", [True, False], ids=["short answers", "long answers"])
def test_gradients_are_those_of_merged_weights(
    t5: T5Backbone, rows: Rows, device: str, folded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout on, several passes, packed and as rectangles, values projected before and behind the attention."""
    monkeypatch.setattr(t5.t5, "folded", t5.t5.folded if folded else 0)
    monkeypatch.setattr(t5, "facts", replace(t5.facts, lane="stock"))  # where LoRA is merged, one trial at a time
    merged = [gradients(Stack(t5, rows), [one])[0] for one in shaken(t5)]
    monkeypatch.setattr(t5, "facts", replace(t5.facts, lane="fast"))
    with as_an_accelerator("cpu" if device == "accelerator" else ""):
        together = gradients(Stack(t5, rows, PassCost(16, 120, t5.grain)), shaken(t5))
    for ours, expected in zip(together, merged, strict=True):
        assert ours.keys() == expected.keys() and all(g.any() for g in ours.values() if g.numel())
        assert relative_error(flat(ours), flat(expected)) <= 1e-5


def test_a_neighbour_that_is_not_finite_changes_nothing(t5: T5Backbone, rows: Rows) -> None:
    for device in ("", "cpu"):
        with as_an_accelerator(device):
            well, broken, other = shaken(t5, (3, 5, 3))
            expected = gradients(Stack(t5, rows, PassCost(grain=t5.grain)), [well])[0]
            for parameter in broken.method.parameters():
                parameter.data.fill_(float("nan"))
            stack = Stack(t5, rows, PassCost(grain=t5.grain))
            assert relative_error(flat(gradients(stack, [broken, well, other])[1]), flat(expected)) <= 1e-5


@pytest.mark.parametrize("grain", [ANY, Grain(packed=True)], ids=["rectangles", "packed"])
def test_rows_of_a_trial_stand_together_in_each_pass(grain: Grain) -> None:
    generator = np.random.default_rng(3)
    places = np.repeat([0, 1, 2, 3, 4], [8, 8, 3, 8, 8])
    lengths = generator.integers(3, 60, len(places))
    cost = PassCost(32, 300, grain)
    found = passes_by_trial(lengths, places, cost)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(places)))
    for these in found:
        assert (np.diff(places[these]) >= 0).all()
        padded = lengths[these].sum() if grain.packed else len(these) * lengths[these].max()
        assert padded <= cost.most
        if not grain.packed:
            assert len(set(np.unique(places[these], return_counts=True)[1])) == 1
    assert len(found) < 15 and max(len(set(places[these])) for these in found) > 2


def few(rank: int, seed: int) -> TrialConfig:
    return config("lora", {**STRONG, "rank": rank}, seed=seed, steps=6, eval_every=3, warmup_steps=1)


def test_beside_another_it_resumes_to_the_last_bit(t5: T5Backbone, tmp_path: Path) -> None:
    rows = Rows(size=16, longest=6)
    beside, alone, again = (engine(t5, rows, deterministic=True) for _ in range(3))
    beside.start("0", few(3, seed=0))
    beside.start("1", few(5, seed=1))
    alone.start("1", few(5, seed=1))
    expected = run(alone, "1")
    got = [beside.next_report("1")]
    beside.save("1", tmp_path)
    again.start("1", few(5, seed=1), tmp_path)
    assert numbers([*got, *run(again, "1")]) == numbers(expected)
    assert numbers([*got, *run(beside, "1")]) == numbers(expected)


def test_an_engine_trains_as_many_side_by_side_as_it_has_slots(t5: T5Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one stack, where each learns what it does alone: to rounding, whatever the ranks."""
    rows, measured = data(Rows(size=16, longest=6)), Measured(PassCost(16, 200, t5.grain), 5, 1e3, 0)
    assert Engine(t5, rows, EngineSettings(slots=7), few(3, seed=0), measured).slots_to_fill == 7
    together, alone = (Engine(t5, rows, typical=few(3, seed=0), measured=measured) for _ in range(2))
    assert together.slots_to_fill == 5
    steps: list[int] = []
    step = together.stack.step

    def counted(trials: list[Trial]) -> None:
        steps.append(len(trials))
        step(trials)

    monkeypatch.setattr(together.stack, "step", counted)
    for seed, rank in enumerate((3, 5)):
        together.start(str(seed), few(rank, seed))
    losses = [report.train_loss for report in run(together, "1")]
    alone.start("1", few(5, seed=1))
    assert losses == pytest.approx([report.train_loss for report in run(alone, "1")], rel=1e-3)
    assert steps[0] == 2


def test_measuring_has_as_many_trials_as_bring_the_rows(t5: T5Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    make = LowRankUpdates.__init__

    def noted(self: LowRankUpdates, backbone: Any, groups: Any, methods: Any) -> None:
        seen.append(len(methods))
        make(self, backbone, groups, methods)

    monkeypatch.setattr(LowRankUpdates, "__init__", noted)
    found = measuring.measure(t5, Rows(40), config("lora"))
    assert found.slots >= measuring.FEWEST_SLOTS and max(seen) > 1


def test_a_second_trial_costs_an_accelerator_few_launches() -> None:
    """Four trials of two ranks launch less than half as much again as one."""
    on = without_numbers("t5-base", "bfloat16", num_layers=2, num_decoder_layers=2)
    totals = []
    for count in (1, 4):
        made = [config("lora", {"lr": 1e-3, "rank": 8 * (1 + seed % 2)}, seed=seed) for seed in range(count)]
        trials, stack = trials_without_numbers(on, made), Stack(on, Rows(longest=8), PassCost(256, 4000))
        stack.step(trials)
        with Launches() as seen:
            stack.step(trials)
        assert (seen.waits, seen.mixed) == ([], [])
        totals.append(seen.total)
    assert totals[1] < 1.5 * totals[0]


def test_only_the_fast_lane_shares_passes() -> None:
    shared = {(name, lane) for name in ("pt", "lora", "bitfit") for lane in ("fast", "stock")
              if get_method(name).shares_passes(lane)}  # fmt: skip
    assert shared == {("pt", "fast"), ("pt", "stock"), ("lora", "fast")}


def test_an_accelerator_with_fused_kernels_adds_what_the_plain_way_adds(
    t5: T5Backbone, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(t5, "t5", t5.plain)
    with as_an_accelerator("cpu"):
        plain = gradients(Stack(t5, rows, PassCost(16, 120, t5.grain)), shaken(t5))
        t5.use_fused(True)
        fused = gradients(Stack(t5, rows, PassCost(16, 120, t5.grain)), shaken(t5))
    for ours, expected in zip(fused, plain, strict=True):
        assert torch.equal(flat(ours), flat(expected))
