"""Trials that change weights inside the backbone, where they share no pass: one at a time, and nothing left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trials.making import STRONG, Rows, config, gradients, relative_error, shaken, trial, without_dropout
from tests.trials.test_engine import data, engine, numbers, run
from trials.backbones.loading import Backbone, StockBackbone, T5Backbone, load_backbone
from trials.batching.passes import PassCost
from trials.data import encode_source
from trials.engine import Engine, EngineSettings
from trials.evaluation import answers
from trials.export.adapters import load_adapter
from trials.stack import measuring
from trials.stack.step import Stack
from trials.stack.weight_updates import WeightUpdates, weight_updates_of


def everything(backbone: Backbone) -> list[torch.Tensor]:
    """All tensors that a backbone computes with."""
    if isinstance(backbone, StockBackbone):
        return [*backbone.model.state_dict().values(), backbone.embedding]
    assert isinstance(backbone, T5Backbone)
    layers = [*backbone.t5.encoder, *backbone.t5.decoder]
    return [t for x in layers for t in (x.qkv, x.out, x.up, x.down, *x.cross)] + [backbone.embedding]


def test_the_backbone_is_left_as_it_was(backbone: Backbone, rows: Rows) -> None:
    """Its weights to the last bit, after training, answering and a pass that raises; a neighbour's numbers, too."""
    before = [t.clone() for t in everything(backbone)]
    first = engine(backbone, rows, deterministic=True)
    first.start("a", config())
    expected = numbers(run(first))
    between = engine(backbone, rows, deterministic=True)
    between.start("a", config("lora", STRONG))
    run(between)
    made = between.slots["a"].method
    with pytest.raises(RuntimeError, match="broken"), weight_updates_of(backbone, made).applied():
        raise RuntimeError("broken")
    assert all(torch.equal(a, b) for a, b in zip(everything(backbone), before, strict=True))
    again = engine(backbone, rows, deterministic=True)
    again.start("a", config())
    assert numbers(run(again)) == expected


def test_an_engine_holds_one(llama: Backbone, rows: Rows) -> None:
    e = Engine(llama, data(rows), EngineSettings(slots=7))
    assert e.slots_to_fill == 7
    e.start("a", config("lora"))
    assert e.slots_to_fill == 1
    assert Engine(llama, data(rows), EngineSettings(slots=7), typical=config("lora")).slots_to_fill == 1


def test_neighbours_of_any_method_change_no_bit(backbone: Backbone, rows: Rows) -> None:
    """Where a caller starts several all the same, each is computed for itself; where they could share, if asked to."""
    exact = backbone.facts.lane == "fast"
    alone, beside = (engine(backbone, rows, deterministic=exact) for _ in range(2))
    alone.start("a", config("lora", STRONG))
    for name, of in [("b", config("lora", STRONG, seed=3)), ("a", config("lora", STRONG)), ("c", config())]:
        beside.start(name, of)
    alone.stack.cost = beside.stack.cost = PassCost()  # measured, it could be another
    expected = numbers(run(alone))
    assert numbers(run(beside)) == expected
    assert numbers(run(beside, "b")) != expected
    if not exact:
        with pytest.raises(ValueError, match="lora changes weights that all rows of a pass share"):
            Stack(backbone, rows).step([trial(backbone, config("lora")), trial(backbone, config())])


def test_answers_are_those_of_the_changed_weights(backbone: Backbone, rows: Rows, tmp_path: Path) -> None:
    """Of the engine, of a loaded adapter and of its `predict`; not those of the backbone alone."""
    e = engine(backbone, rows)
    e.start("a", config("lora", STRONG))
    run(e)
    e.save("a", tmp_path)
    trained = e.slots["a"]
    trained.method.load_state_dict(trained.best.state)
    adapter = load_adapter(tmp_path / "adapter")
    fresh = trial(backbone, config("lora")).method
    told = [
        answers(b, [m, fresh], rows.sources, 3)
        for b, m in ((backbone, trained.method), (adapter.backbone, adapter.method))
    ]
    assert told[0] == told[1] and told[0][0] != told[0][1]
    texts = [f"arcade game number {i}" for i in range(20)]
    encoded = [encode_source(text, backbone.tokenizer, backbone.facts.architecture, 16) for text in texts]
    assert adapter.predict(texts) == answers(backbone, [trained.method], encoded, 2)[0]
    assert e.score(trained.method, "validation").metrics["accuracy"] == trained.best.score


def test_measuring_counts_the_gradients_of_weights(llama: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[WeightUpdates] = []

    def noted(*arguments: Any, **more: Any) -> WeightUpdates:
        seen.append(WeightUpdates(*arguments, **more))
        return seen[-1]

    monkeypatch.setattr(measuring, "WeightUpdates", noted)
    found = measuring.measure(llama, Rows(40), config("lora"))
    assert found.slots == 1 and found.cost.most >= 64
    assert all(weight.grad is not None and weight.grad.any() for weight in seen[0].weights.values())


@pytest.mark.parametrize("kind", ["t5", "llama"])
def test_in_half_the_bits(kind: str, request: pytest.FixtureRequest, rows: Rows) -> None:
    """Factors, their gradients and the sums over passes stay float32; the products are rounded."""
    whole = request.getfixturevalue(kind)
    half = load_backbone(whole.facts.location, precision="bfloat16")
    found = []
    for backbone in (whole, half):
        with without_dropout(backbone):
            (gradient,) = gradients(Stack(backbone, rows, PassCost(fixed=8, most=24)), [shaken(backbone)])
        assert {g.dtype for g in gradient.values()} == {torch.float32}
        found.append(torch.cat([g.flatten() for g in gradient.values()]))
    assert 0 < relative_error(found[1], found[0]) < 0.1
    e = engine(half, rows)
    e.start("a", config("lora", STRONG, steps=20))
    assert [report.status for report in run(e)] == ["running", "finished"]


@pytest.mark.parametrize("method", ["bitfit", "prefix"])
def test_weights_of_a_changed_model_are_kept_whole_and_rounded_for_each_pass(method: str, llama: Backbone) -> None:
    half = load_backbone(llama.facts.location, precision="bfloat16")
    made = trial(half, config(method)).method
    updates = WeightUpdates(half, made, {n: p.detach()[None] for n, p in made.named_parameters()}, gradients=True)
    assert {weight.dtype for weight in updates.weights.values()} == {torch.float32}
    assert isinstance(half, StockBackbone)
    with updates.applied():
        used = half.stock.replaced
        assert {tensor.dtype for tensor in used.values()} == {torch.bfloat16}
        for tensor in used.values():
            tensor.float().sum().backward()
    assert {weight.grad.dtype for weight in updates.weights.values() if weight.grad is not None} == {torch.float32}
