"""Keys and values before each row, and their weights by token and layer, against transformers' own caches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DynamicCache, EncoderDecoderCache, Gemma3nTextConfig, MambaConfig, T5Config

from tests.trials.making import Rows, config, trial
from tests.trials.methods.test_inside import model_of
from tests.trials.methods.test_peft import our_losses
from trials.backbones.loading import Backbone, load_backbone
from trials.errors import UserError
from trials.evaluation import answers
from trials.methods import Sizes, get_method
from trials.trial import Trial


@pytest.fixture(scope="module", params=["t5", "llama", "bart"])
def stock(request: pytest.FixtureRequest) -> Backbone:
    return load_backbone(request.getfixturevalue(f"{request.param}_folder"), lane="stock")


def shaken(backbone: Backbone, name: str) -> Trial:
    made = trial(backbone, config(name))
    generator = torch.Generator().manual_seed(1)
    for parameter in made.method.parameters():
        parameter.data += 0.5 * torch.randn(parameter.shape, generator=generator)
    return made


def states_of(made: Trial) -> torch.Tensor:
    """Keys and values, shape (layers, 2, 1, heads, m, width), of 2 layers and heads 8 wide."""
    rows = made.method.get_parameter("prefix/rows").detach()
    return rows.view(len(rows), 2, 2, -1, 8).permute(1, 2, 3, 0, 4)[:, :, None]


def cache_of(states: torch.Tensor, *, both: bool) -> Any:
    cache = DynamicCache([(keys, values) for keys, values in states])
    return EncoderDecoderCache(cache, DynamicCache()) if both else cache


def of_row(model: Any, backbone: Backbone, states: torch.Tensor, source: list[int], target: list[int]) -> Any:
    """transformers' own output for one row behind a prefix."""
    if backbone.embeds_answers:
        ids = torch.tensor([[*source, *target]])
        given = {"input_ids": ids, "labels": torch.tensor([[*[-100] * len(source), *target]])}
    else:
        given = {"input_ids": torch.tensor([source]), "labels": torch.tensor([target])}
    cache = cache_of(states, both=not backbone.embeds_answers)
    with torch.no_grad():
        return model(**given, past_key_values=cache, output_hidden_states=True)


def weighed(model: Any, backbone: Backbone, made: Trial, source: list[int], target: list[int]) -> torch.Tensor:
    """The prefix of a row as APT weighs it: layer by layer, from the states that transformers' model gives."""
    states = states_of(made).clone()
    gate, scale = (made.method.get_parameter(f"prefix/{name}").detach() for name in ("gate", "scale"))
    for layer in range(len(states)):
        out = of_row(model, backbone, states, source, target)
        hidden = out.hidden_states if backbone.embeds_answers else out.decoder_hidden_states
        h = hidden[layer][0, len(source) - 1 if backbone.embeds_answers else 0]
        a = 1 / (1 + torch.exp(-(h @ gate[layer])))
        states[layer] = states[layer] * scale[layer] * a[:, None]
    return states


@pytest.mark.parametrize("name", ["prefix", "apt"])
def test_a_prefix_is_what_transformers_keeps_before_the_row(stock: Backbone, name: str, rows: Rows) -> None:
    """Losses from one reading for all labels, and greedy answers token by token."""
    made, model = shaken(stock, name), model_of(stock)
    ours = our_losses(stock, made.method, rows)
    theirs, texts = [], []
    for source, target in zip(rows.sources[:5], rows.targets, strict=False):
        states = weighed(model, stock, made, source, target) if name == "apt" else states_of(made)
        theirs.append(float(of_row(model, stock, states, source, target).loss))
        texts.append(stock.text([greedy(model, stock, states, source)])[0])
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert ours != pytest.approx(our_losses(stock, trial(stock, config(name)).method, rows), rel=1e-3)
    assert answers(stock, [made.method], rows.sources[:5], 4)[0] == texts


def greedy(model: Any, backbone: Backbone, states: torch.Tensor, source: list[int]) -> list[int]:
    """Four tokens at most, each from the start."""
    answer: list[int] = []
    while len(answer) < 4 and 1 not in answer:
        target = [*answer, 5]  # the last is not read
        logits = of_row(model, backbone, states, source, target).logits[0]
        place = len(source) + len(answer) - 1 if backbone.embeds_answers else len(answer)
        answer.append(int(logits[place].argmax()))
    return answer


def test_their_numbers_of_parameters_on_t5_base(tmp_path: Path) -> None:
    T5Config(d_model=768, d_kv=64, num_heads=12, d_ff=3072, num_layers=12, vocab_size=32_128).save_pretrained(tmp_path)
    sizes, chosen = Sizes(768, location=str(tmp_path)), {"lr": 0.01, "prefix_length": 10}
    prefix = 10 * 12 * 2 * 768
    assert get_method("prefix").parameter_count(chosen, sizes) == prefix
    assert get_method("apt").parameter_count(chosen, sizes) == prefix + 12 * (768 * 10 + 1)
    made = 10 * 768 + (768 + 1) * 32 + (32 + 1) * 12 * 2 * 768
    assert get_method("prefix").parameter_count({**chosen, "hidden": 32}, sizes) == made


@pytest.mark.parametrize("name", ["prefix", "apt"])
def test_a_model_that_keeps_no_keys_and_values_is_refused_in_the_plan(name: str, tmp_path: Path) -> None:
    MambaConfig(hidden_size=32, state_size=8, num_hidden_layers=2, vocab_size=99).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=f"{name}: keys and values cannot stand before the rows of model type 'mamba'"):
        get_method(name).parameter_count({"lr": 0.1}, Sizes(32, location=str(tmp_path)))


def test_layers_of_several_streams_take_a_prefix_without_gates(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {
        "hidden_size": 32, "intermediate_size": 64, "vocab_size": 99, "vocab_size_per_layer_input": 99,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "num_kv_shared_layers": 0,
        "num_hidden_layers": 2, "layer_types": ["full_attention"] * 2, "laurel_rank": 4,
        "hidden_size_per_layer_input": 8, "altup_num_inputs": 2, "activation_sparsity_pattern": None,
    }  # fmt: skip
    Gemma3nTextConfig(**sizes).save_pretrained(tmp_path)
    where = Sizes(32, location=str(tmp_path))
    assert get_method("prefix").parameter_count({"lr": 0.1, "prefix_length": 3}, where) == 3 * 2 * 2 * 16
    with pytest.raises(UserError, match=r"apt: .*'gemma3n_text': its layers take several streams of hidden states"):
        get_method("apt").parameter_count({"lr": 0.1, "prefix_length": 3}, where)
