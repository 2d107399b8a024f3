"""Methods that change modules of transformers' model, against formulas written by hand on that model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, CodeGenConfig, LlamaConfig, T5Config

from tests.trials.making import Rows, config, gradients, trial
from tests.trials.methods.test_lora import peft_loss
from trials.backbones.loading import Backbone, load_backbone
from trials.backbones.stock_model import StockModel
from trials.errors import UserError
from trials.methods import Sizes, get_method
from trials.methods.ia3 import Ia3
from trials.stack.step import Stack
from trials.trial import Trial


@pytest.fixture(scope="module", params=["t5", "llama", "bart"])
def stock(request: pytest.FixtureRequest) -> Backbone:
    return load_backbone(request.getfixturevalue(f"{request.param}_folder"), lane="stock")


def model_of(backbone: Backbone) -> Any:
    """As transformers loads it."""
    loader = AutoModelForCausalLM if backbone.embeds_answers else AutoModelForSeq2SeqLM
    return loader.from_pretrained(backbone.facts.location, dtype=torch.float32).eval()


def shaken(backbone: Backbone, name: str, **changes: Any) -> Trial:
    made = trial(backbone, config(name, **changes))
    generator = torch.Generator().manual_seed(1)
    for parameter in made.method.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return made


def of_trial(made: Trial) -> dict[str, torch.Tensor]:
    """Its parameters by transformers' names."""
    named = made.method.named_parameters()
    return {name.replace("/", "."): parameter.detach() for name, parameter in named if name != "prompt"}


def without_dropout(made: Trial) -> Trial:
    """The trial with its changed model's dropout off."""
    module: Any = made.method
    module._stock = StockModel(module.network)
    module._stock.drops = False
    return made


def our_loss(backbone: Backbone, made: Trial, rows: Rows) -> float:
    losses, _, _ = Stack(backbone, rows).gradients([without_dropout(made)])
    return float(losses)


def test_full_finetuning_has_the_gradients_of_the_whole_model(stock: Backbone, rows: Rows) -> None:
    """Embeddings included, wherever they are read: at the input, in the decoder, in a tied head."""
    made, model = trial(stock, config("full_finetuning")), model_of(stock)
    loss = peft_loss(model, stock, rows, made.next_rows(len(rows)))
    loss.backward()
    (found,) = gradients(Stack(stock, rows), [without_dropout(made)])
    expected = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert {name.replace("/", ".") for name in found} - {"prompt"} == expected.keys()
    for name, gradient in expected.items():
        got = found[name.replace(".", "/")]
        assert gradient is None or torch.allclose(got, gradient, rtol=1e-3, atol=1e-6), name


def test_bitfit_adds_a_bias_to_each_linear_layer_and_to_the_norms_of_the_blocks(stock: Backbone, rows: Rows) -> None:
    made, model = shaken(stock, "bitfit"), model_of(stock)
    biases = of_trial(made)
    assert biases and all(name.endswith(".bias") for name in biases)
    modules = dict(model.named_modules())
    own = {name for name, parameter in model.named_parameters() if name.endswith(".bias")}
    for name, bias in biases.items():
        if name in own:
            model.get_parameter(name).data = bias
        else:
            modules[name.removesuffix(".bias")].register_forward_hook(lambda _, __, y, bias=bias: y + bias)
    expected = peft_loss(model, stock, rows, made.next_rows(len(rows)))
    assert our_loss(stock, made, rows) == pytest.approx(float(expected.detach()), rel=1e-5)
    linear = {name for name, module in modules.items() if isinstance(module, nn.Linear)}
    assert {f"{name}.bias" for name in linear} | own <= biases.keys()
    ends = {"encoder.final_layer_norm.bias", "decoder.final_layer_norm.bias", "model.norm.bias"}
    assert not ends & biases.keys()  # the last norms of T5 and Llama, as in the source


class Adapted(nn.Module):
    """h + U gelu(D h + a) + b by hand, behind a projection."""

    def __init__(self, projection: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.projection, self.tensors = projection, tensors

    @property
    def weight(self) -> torch.Tensor:
        return self.projection.weight  # type: ignore[return-value]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, t = self.projection(x), self.tensors
        z = h @ t["0.weight"].T + t["0.bias"]
        gelu = 0.5 * z * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (z + 0.044715 * z**3)))
        return h + gelu @ t["2.weight"].T + t["2.bias"]


@pytest.mark.parametrize(("name", "share"), [("adapter", 1.0), ("adapterdrop", 0.5)])
def test_adapters_stand_behind_attention_and_feed_forward_layers(
    stock: Backbone, rows: Rows, name: str, share: float
) -> None:
    made, model = shaken(stock, name), model_of(stock)
    by_place: dict[str, dict[str, torch.Tensor]] = {}
    norms = 0
    for parameter, tensor in of_trial(made).items():
        place, _, of_adapter = parameter.partition(".adapter.")
        if of_adapter:
            by_place.setdefault(place, {})[of_adapter] = tensor
        else:
            assert "norm" in parameter.lower()
            model.get_parameter(parameter).data = tensor
            norms += 1
    layers = sum(stock.facts.layers)
    assert len(by_place) == 2 * layers * share and norms > layers
    for place, tensors in by_place.items():
        above, _, last = place.rpartition(".")
        setattr(model.get_submodule(above), last, Adapted(model.get_submodule(place), tensors))
    expected = peft_loss(model, stock, rows, made.next_rows(len(rows)))
    assert our_loss(stock, made, rows) == pytest.approx(float(expected.detach()), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("full_finetuning", 222_903_552),
        ("bitfit", 101_376 + 147_456 + 32_128),
        ("adapter", 48 * 37_656 + 47_616),
        ("adapterdrop", 28 * 37_656 + 47_616),
        ("ia3", 72 * 768),
    ],
)
def test_parameters_on_t5_base_are_the_papers(name: str, count: int, tmp_path: Path) -> None:
    """220M, 280K, 1.9M and 1.1M in ADePT's Table 3, 55.3K in Table 15."""
    T5Config(d_model=768, d_kv=64, num_heads=12, d_ff=3072, num_layers=12, vocab_size=32_128).save_pretrained(tmp_path)
    assert get_method(name).parameter_count({"lr": 3e-4}, Sizes(768, location=str(tmp_path))) == count


def test_what_cannot_be_changed_so_is_refused_in_the_plan(tmp_path: Path) -> None:
    LlamaConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, vocab_size=99).save_pretrained(tmp_path)
    sizes = Sizes(32, location=str(tmp_path))
    with pytest.raises(UserError, match="adapterdrop: first_layer 5 leaves none: the backbone has 2 layers"):
        get_method("adapterdrop").parameter_count({"lr": 3e-4}, sizes)
    CodeGenConfig(n_embd=32, n_layer=1, n_head=4, rotary_dim=8, vocab_size=99).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="ia3: PEFT names no keys and values for model type 'codegen'; --method peft"):
        get_method("ia3").parameter_count({"lr": 3e-3}, Sizes(32, location=str(tmp_path)))


def test_without_the_package_peft_it_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.methods.ia3.importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"--method ia3: the package peft is not installed; pip install 'adept-search"):
        Ia3().modules("t5", {"lr": 3e-3})


def test_layers_of_names_that_are_not_known_are_refused(stock: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.methods.adapter.OUTPUTS", (("attention.last", "dense.last"),))
    with pytest.raises(UserError, match=r"adapter: the layers of model type '\w+' have no names known here; choose a"):
        trial(stock, config("adapter"))
    with pytest.raises(UserError, match="lane='stock'"):
        trial(load_backbone("t5-nano"), config("bitfit"))
