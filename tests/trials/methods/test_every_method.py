"""What every method of this project does on T5 and on a decoder-only model: train, go on, answer, and fail alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.trials.making import SMALL, Rows, config
from tests.trials.test_engine import engine, numbers
from trials.backbones.loading import Backbone, load_backbone
from trials.config import TrialConfig
from trials.errors import UserError
from trials.export.adapters import load_adapter
from trials.methods import Sizes, get_method, method_names

TEXTS = ["arcade game", "mail server", "a library of functions"]
REFUSED = {("lst", "llama")}
ON = [(name, on) for name in SMALL for on in ("t5", "llama") if (name, on) not in REFUSED]


def test_every_method_is_here() -> None:
    assert sorted(SMALL) == sorted(method_names())


@pytest.fixture(scope="module")
def backbones(t5_folder: str, llama_folder: str) -> dict[tuple[str, bool], Backbone]:
    """By name, and by whether transformers' own model computes."""
    folders = {"t5": t5_folder, "llama": llama_folder}
    return {
        (name, stock): load_backbone(folder, lane="stock" if stock else None)
        for name, folder in folders.items()
        for stock in (False, True)
    }


@pytest.fixture(scope="module")
def rows() -> Rows:
    return Rows(size=16, longest=6)


def made(name: str) -> TrialConfig:
    return config(name, steps=9, eval_every=3, warmup_steps=1)


@pytest.mark.parametrize(("name", "on"), ON)
def test_it_trains_goes_on_and_answers(
    name: str, on: str, backbones: dict[tuple[str, bool], Backbone], rows: Rows, tmp_path: Path
) -> None:
    """Its loss falls; from a checkpoint it gives the same numbers to the last bit; its adapter the same answers."""
    backbone = backbones[on, get_method(name).kind == "modules"]
    whole, first, second = (engine(backbone, rows, deterministic=True) for _ in range(3))
    for e in (whole, first):
        e.start("a", made(name))
    expected = [whole.next_report("a") for _ in range(3)]
    assert expected[-1].train_loss < expected[0].train_loss
    got = [first.next_report("a")]
    (tmp_path / "checkpoint").mkdir()
    first.save("a", tmp_path / "checkpoint")
    second.start("a", made(name), tmp_path / "checkpoint")
    got += [second.next_report("a") for _ in range(2)]
    assert numbers(got) == numbers(expected)
    trained, again = whole.slots["a"].method, second.slots["a"].method
    for parameter, other in zip(trained.parameters(), again.parameters(), strict=True):
        assert torch.equal(parameter, other)

    whole.save("a", tmp_path)
    trained.load_state_dict(whole.slots["a"].best.state)
    loaded = load_adapter(tmp_path / "adapter", backbone)
    assert loaded.method.parameter_count() == trained.parameter_count()
    answers = [row.probabilities for row in loaded.predict_rows(TEXTS)]
    loaded.method = trained
    assert answers == [row.probabilities for row in loaded.predict_rows(TEXTS)]


@pytest.mark.parametrize(("name", "on"), ON)
def test_what_is_not_finite_stays_in_its_trial(
    name: str, on: str, backbones: dict[tuple[str, bool], Backbone], rows: Rows
) -> None:
    """It ends as diverged; a trial after it on the same backbone is as one before it."""
    e = engine(backbones[on, get_method(name).kind == "modules"], rows, deterministic=True)
    e.start("before", made(name))
    before = e.next_report("before")
    for parameter in e.slots["before"].method.parameters():
        parameter.data.fill_(float("nan"))
    assert e.next_report("before").status == "diverged"
    e.stop("before")
    e.start("after", made(name))
    assert numbers([e.next_report("after")]) == numbers([before])


@pytest.mark.parametrize(("name", "on"), ON)
def test_a_plan_counts_what_is_trained(name: str, on: str, backbones: dict[tuple[str, bool], Backbone]) -> None:
    backbone, method = backbones[on, get_method(name).kind == "modules"], get_method(name)
    e = engine(backbone, Rows(size=8), deterministic=True)
    e.start("a", made(name))
    planned = method.parameter_count(made(name).hyperparameters, Sizes.of(backbone.facts, 16))
    assert planned == e.slots["a"].method.parameter_count() > 0


@pytest.mark.parametrize(("name", "on"), sorted(REFUSED))
def test_a_plan_refuses_a_backbone_that_it_cannot_change(
    name: str, on: str, backbones: dict[tuple[str, bool], Backbone]
) -> None:
    with pytest.raises(UserError, match=rf"{name}: .* {on}; choose a method at the input \(adept"):
        get_method(name).parameter_count(made(name).hyperparameters, Sizes.of(backbones[on, True].facts, 16))
