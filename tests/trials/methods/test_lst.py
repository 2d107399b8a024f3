"""Ladder Side Tuning against its formulas written by hand on transformers' own T5; its start against its source's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, MT5Config, MT5ForConditionalGeneration, T5Config

from tests.trials.making import Rows, config
from tests.trials.methods.test_inside import model_of, of_trial, our_loss, shaken
from tests.trials.methods.test_lora import peft_loss
from trials.backbones.loading import Backbone, load_backbone
from trials.errors import UserError
from trials.methods import Sizes, get_method
from trials.methods.base.pruning import pruned
from trials.methods.lst import Lst

VALUES: dict[str, Any] = {"lr": 0.1, "reduction": 2, "side_layers": 4}


@pytest.fixture(scope="module")
def t5(t5_folder: str) -> Backbone:
    return load_backbone(t5_folder, lane="stock")


def laddered(backbone: Backbone, weights: dict[str, Tensor]) -> Any:
    """Transformers' own model with a side network of these weights, outside of any trial."""
    network = Lst().change(model_of(backbone), VALUES).eval()
    network.load_state_dict(weights, strict=False)
    return network.requires_grad_(False)


def by_hand(model: Any, t: dict[str, Tensor], sources: Tensor, answers: Tensor) -> Tensor:
    """Logits of rows without padding, from T5's hidden states and a second T5 of half its width."""
    narrow = T5Config(**{**model.config.to_dict(), "d_model": 16, "d_kv": 4, "d_ff": 24})
    side = AutoModelForSeq2SeqLM.from_config(narrow).eval()
    outputs: dict[str, list[Tensor]] = {"encoder": [], "decoder": []}
    for name, found in outputs.items():
        for block in getattr(model, name).block:
            block.register_forward_hook(lambda _, __, out, found=found: found.append(out[0]))
    model(input_ids=sources, decoder_input_ids=answers)
    encoded: Tensor | None = None
    for name, tokens in (("encoder", sources), ("decoder", answers)):
        own = {of.removeprefix(f"{name}.ladder."): w for of, w in t.items() if of.startswith(f"{name}.ladder.")}
        stack = getattr(side, name)
        stack.load_state_dict(own, strict=False)
        causal = torch.full((len(tokens[0]),) * 2, float("-inf")).triu(1)[None, None] if name == "decoder" else None
        s = model.shared(tokens) @ own["first.weight"].T + own["first.bias"]
        bias, cross = None, None
        for i, h in enumerate(outputs[name]):
            g = 1 / (1 + torch.exp(-own[f"gates.{i}"] / 0.1))
            s = g * s + (1 - g) * (h @ own[f"down.{i}.weight"].T + own[f"down.{i}.bias"])
            s, bias, cross = stack.block[i](s, causal, bias, encoded, None, cross)
        encoded = stack.final_layer_norm(s)
    assert encoded is not None
    last = encoded @ t["decoder.ladder.up.weight"].T + t["decoder.ladder.up.bias"]
    return last * 32**-0.5 @ model.shared.weight.T


def test_it_is_a_narrow_t5_that_climbs_beside_the_frozen_one(t5: Backbone, rows: Rows) -> None:
    made = shaken(t5, "lst", hyperparameters=VALUES)
    weights = of_trial(made)
    sources, answers = torch.randint(20, 8000, (3, 7)), torch.tensor([[0, 40, 41]] * 3)
    network = laddered(t5, weights)
    expected = by_hand(model_of(t5).requires_grad_(False), weights, sources, answers)
    given = {"input_ids": sources, "decoder_input_ids": answers}
    assert torch.allclose(network(**given).logits, expected, rtol=1e-4, atol=1e-4)
    # The same with padding, in a stack's pass.
    loss = peft_loss(network, t5, rows, made.next_rows(len(rows)))
    assert our_loss(t5, made, rows) == pytest.approx(float(loss), rel=1e-5)


def test_no_gradient_goes_through_the_frozen_network(t5: Backbone) -> None:
    network = Lst().change(model_of(t5).requires_grad_(False), VALUES)
    assert all(".ladder." in name for name, p in network.named_parameters() if p.requires_grad)
    seen: list[bool] = []
    for stack in (network.encoder, network.decoder):
        for block in stack.block:
            block.register_forward_hook(lambda _, __, out: seen.append(out[0].requires_grad))
    logits = network(input_ids=torch.tensor([[30, 31, 1]]), decoder_input_ids=torch.tensor([[0, 40]])).logits
    assert seen == [False] * 4 and logits.requires_grad


def test_it_starts_as_t5_with_its_largest_weights_left(t5: Backbone) -> None:
    """As the source prunes: a result's rows are the next projection's columns; queries, keys, values share theirs."""
    model = model_of(t5)
    found, w = pruned(model, 16, 16, 24), {name: p.detach() for name, p in model.named_parameters()}

    def kept(importance: Tensor, count: int) -> list[int]:
        return sorted(sorted(range(len(importance)), key=lambda i: float(importance[i].abs().sum()))[-count:])

    first = kept(w["shared.weight"].T, 16)
    place = "encoder.block.0.layer.0"
    q, k, v = (w[f"{place}.SelfAttention.{name}.weight"][:, first] for name in "qkv")
    features = kept(q * k * v, 16)
    second = kept(w[f"{place}.SelfAttention.o.weight"][:, features], 16)
    hidden = kept(w["encoder.block.0.layer.1.DenseReluDense.wi.weight"][:, second], 24)
    for name, expected in {
        f"{place}.layer_norm.weight": w[f"{place}.layer_norm.weight"][first],
        f"{place}.SelfAttention.k.weight": k[features],
        f"{place}.SelfAttention.o.weight": w[f"{place}.SelfAttention.o.weight"][second][:, features],
        "encoder.block.0.layer.1.DenseReluDense.wi.weight": w["encoder.block.0.layer.1.DenseReluDense.wi.weight"][
            hidden
        ][:, second],
    }.items():
        assert torch.equal(found[name], expected), name
    network = Lst().change(model, VALUES)
    own = network.state_dict()
    assert torch.equal(own["encoder.ladder.block.0.layer.0.SelfAttention.k.weight"], k[features])
    bias = "layer.0.SelfAttention.relative_attention_bias.weight"
    assert torch.equal(own[f"decoder.ladder.block.0.{bias}"], w[f"decoder.block.0.{bias}"])
    assert torch.equal(
        own["decoder.ladder.block.1.layer.1.EncDecAttention.q.weight"],
        found["decoder.block.1.layer.1.EncDecAttention.q.weight"],
    )


def test_parameters_on_t5_base_are_the_papers(tmp_path: Path) -> None:
    """3.8M in ADePT's Table 3, with side layers 1, 2, 3, 5, 6, 7, 9, 10 and 11."""
    T5Config(d_model=768, d_kv=64, num_heads=12, d_ff=3072, num_layers=12, vocab_size=32_128).save_pretrained(tmp_path)
    method, sizes = get_method("lst"), Sizes(768, location=str(tmp_path))
    stack = 384 + 96 + 10 * 73_824 + 9
    assert method.parameter_count({"lr": 3e-3}, sizes) == 9 * (110_784 + 147_744) + 2 * stack + 74_496 == 3_878_706
    assert method.parameter_count({"lr": 3e-3, "side_layers": 1}, sizes) < 3_878_706 / 2


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"reduction": 9}, "reduction 9 leaves no width: the backbone's smallest is 8"),
        (
            {"side_layers": 2},
            r"side_layers 2 .* leave none beside the encoder \(2 layers\) and the decoder \(2 layers\)",
        ),
    ],
)
def test_what_leaves_nothing_is_refused_in_the_plan(t5: Backbone, values: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError, match=f"lst: {why}"):
        get_method("lst").parameter_count({"lr": 0.1, **values}, Sizes.of(t5.facts))


def test_gated_layers_and_a_head_of_its_own_are_known(tmp_path: Path) -> None:
    mt5 = MT5Config(vocab_size=99, d_model=32, d_kv=8, d_ff=48, num_layers=4, num_heads=4)
    network = Lst().change(MT5ForConditionalGeneration(mt5), {"lr": 0.1, "reduction": 4})
    logits = network(input_ids=torch.tensor([[30, 31, 1]]), decoder_input_ids=torch.tensor([[0]])).logits
    assert logits.shape == (1, 1, 99)
    assert {n.split(".")[3] for n in Lst().trains(network) if ".block." in n} == {"1", "2", "3"}


def test_other_families_are_refused(bart_folder: str) -> None:
    with pytest.raises(UserError, match="lst: its side network is T5's, and this is a bart; choose a method at"):
        get_method("lst").parameter_count(config("lst").hyperparameters, Sizes(32, location=bart_folder))
