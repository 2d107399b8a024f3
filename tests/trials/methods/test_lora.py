"""LoRA, which changes weights inside the backbone, against PEFT's on transformers' own models."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, CodeGenConfig, Qwen3Config

from search_spaces import parameter_count
from tests.trials.making import STRONG, Rows, config, gradients, relative_error, save, shaken, trial, without_dropout
from tests.trials.test_engine import engine, run
from tests.trials.transformers_adamw import optimizer_of
from trials.backbones.describe import describe
from trials.backbones.loading import Backbone, load_backbone
from trials.batching.passes import PassCost
from trials.errors import UserError
from trials.export.adapters import load_adapter, save_adapter
from trials.export.files import CONFIG, WEIGHTS
from trials.methods.base.module import make_method
from trials.stack.step import Stack
from trials.trial import Trial


def stock(backbone: Backbone) -> Any:
    """The backbone as transformers loads it."""
    loader = AutoModelForCausalLM if backbone.embeds_answers else AutoModelForSeq2SeqLM
    return loader.from_pretrained(backbone.facts.location, dtype=torch.float32).eval()


def peft_model(model: Any, made: Trial, backbone: Backbone) -> Any:
    """PEFT's LoRA on transformers' model with the factors of a trial."""
    chosen = made.config.hyperparameters
    wanted = LoraConfig(
        r=int(chosen["rank"]), lora_alpha=int(chosen["alpha"]), target_modules=list(backbone.facts.projections)
    )
    theirs = get_peft_model(model, wanted)
    loaded: Any = set_peft_model_state_dict(theirs, made.method.to_file(made.method.state_dict()))
    assert not loaded.unexpected_keys
    return theirs.eval()


def peft_loss(model: Any, backbone: Backbone, rows: Rows, numbers: list[int]) -> torch.Tensor:
    """The mean over a batch's target tokens, of rows padded to the longest."""
    sources, targets, _ = rows.batch(numbers)
    tokens = [[*s, *t] for s, t in zip(sources, targets, strict=True)] if backbone.embeds_answers else sources
    labels = [[*[-100] * len(s), *t] for s, t in zip(sources, targets, strict=True)]
    ids = backbone.padded(tokens, 0)
    mask = torch.tensor([[1] * len(row) + [0] * (ids.shape[1] - len(row)) for row in tokens])
    wanted = backbone.padded(labels if backbone.embeds_answers else targets, -100)
    return model(input_ids=ids, attention_mask=mask, labels=wanted).loss


def factors(model: Any, *, gradients: bool) -> dict[str, torch.Tensor]:
    """PEFT's factors, or their gradients, by the names of its files."""
    return {
        name.replace(".default.", "."): parameter.grad if gradients else parameter.detach()
        for name, parameter in model.named_parameters()
        if "lora_" in name
    }


def test_gradients_equal_those_of_peft(model_and_backbone: tuple[Any, Backbone], rows: Rows) -> None:
    """Over several passes of different lengths, in float32 and without dropout."""
    model, backbone = model_and_backbone
    made = shaken(backbone)
    theirs = peft_model(model, made, backbone)
    loss = peft_loss(theirs, backbone, rows, made.next_rows(len(rows)))
    loss.backward()
    stack = Stack(backbone, rows, PassCost(fixed=8, most=24))
    with without_dropout(backbone):
        (ours,) = gradients(stack, [made])
        losses, _, _ = stack.gradients([made])
    assert float(losses) == pytest.approx(float(loss.detach()), rel=1e-5)
    expected = factors(theirs, gradients=True)
    found = made.method.to_file(ours)
    assert found.keys() == expected.keys()
    total = torch.cat([g.flatten() for g in expected.values()])
    assert relative_error(torch.cat([found[name].flatten() for name in expected]), total) <= 1e-5
    for name, gradient in expected.items():
        assert float((found[name] - gradient).norm()) <= 1e-5 * max(float(gradient.norm()), 0.01 * float(total.norm()))


def test_updates_are_those_of_the_recipes_adamw_on_peft(backbone: Backbone, rows: Rows) -> None:
    made = shaken(backbone)
    theirs = peft_model(stock(backbone), made, backbone)
    trained = [p for name, p in theirs.named_parameters() if "lora_" in name]
    recipe = made.config.constants
    optimizer = optimizer_of(recipe, trained)
    stack = Stack(backbone, rows)
    with without_dropout(backbone):
        for _ in range(6):
            for group in optimizer.param_groups:
                group["lr"] = made.learning_rates()["lora"]
            optimizer.zero_grad()
            peft_loss(theirs, backbone, rows, made.next_rows(len(rows))).backward()
            torch.nn.utils.clip_grad_norm_(trained, recipe.max_grad_norm)
            optimizer.step()
            stack.step([made])
    found = made.method.to_file(made.method.state_dict())
    start = shaken(backbone).method
    for name, expected in factors(theirs, gradients=False).items():
        assert torch.allclose(found[name], expected, rtol=1e-3, atol=1e-4), name
        assert not torch.allclose(found[name], start.to_file(start.state_dict())[name], atol=1e-3), name


def test_a_fresh_trial_changes_nothing(backbone: Backbone, rows: Rows) -> None:
    fresh = trial(backbone, config("lora"))
    assert fresh.method.prompt_length == 0
    additions = fresh.method.additions(dict(fresh.method.named_parameters()))
    assert additions.keys() == backbone.projections.keys()
    with without_dropout(backbone):
        losses = [Stack(backbone, rows).gradients([t])[0] for t in (fresh, trial(backbone, config("adept", EMPTY)))]
    assert torch.equal(*losses)


EMPTY = {"prompt_lr": 0.1, "mlp_lr": 0.01, "prompt_length": 0, "bottleneck": 1}


def test_factors_start_as_pefts_do(backbone: Backbone) -> None:
    """kaiming_uniform_ with a = sqrt(5) draws A from U(-1/sqrt(inputs), 1/sqrt(inputs)); B is zero."""
    made = make_method(config("lora", {"lr": 0.1, "rank": 32}), backbone.surroundings(16))
    for name, parameter in made.named_parameters():
        if name.startswith("down"):
            theirs = torch.nn.init.kaiming_uniform_(torch.empty_like(parameter[0]), a=5**0.5)
            assert float(parameter.detach().abs().max()) == pytest.approx(float(theirs.abs().max()), rel=0.02)
            assert float(parameter.detach().std()) == pytest.approx(float(theirs.std()), rel=0.05)
        elif name.startswith("up"):
            assert not parameter.any()


@pytest.mark.parametrize(
    ("name", "rank", "count"),
    [
        ("t5-base", 32, 3_538_944),
        ("t5-3b", 35, 25_804_800),
        ("codegen-350m", 16, 1_310_720),
        ("llama3-8b", 16, 9_437_184),
    ],
)
def test_published_numbers_of_parameters(name: str, rank: int, count: int) -> None:
    """ADePT's Tables 3, 5 and 7: 3.8M with LST's biases, 25.8M, 1.3M, 9.4M."""
    facts = describe(name)
    chosen = {"lr": 1e-3, "rank": rank}
    assert parameter_count("lora", chosen, facts.width, projections=facts.projection_shapes()) == count


def test_what_a_config_says_of_projections_is_what_the_model_has(model_and_backbone: tuple[Any, Backbone]) -> None:
    _, backbone = model_and_backbone
    assert sorted(backbone.facts.projection_shapes()) == sorted(backbone.projections.values())
    made = trial(backbone, config("lora"))
    shapes = backbone.facts.projection_shapes()
    count = parameter_count("lora", made.config.hyperparameters, backbone.facts.width, projections=shapes)
    assert count == made.method.parameter_count()


@pytest.mark.parametrize(
    "made",
    [
        CodeGenConfig(
            vocab_size=8128, n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=64, bos_token_id=None,
            eos_token_id=1,
        ),
        Qwen3Config(
            vocab_size=8128, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=16, bos_token_id=None, eos_token_id=1,
        ),
    ],
    ids=["one matrix for queries, keys and values", "heads wider than the model"],
)  # fmt: skip
def test_other_decoder_only_models(made: Any, rows: Rows, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(made)
    backbone = load_backbone(save(tmp_path / "model", model))
    assert sorted(backbone.facts.projection_shapes()) == sorted(backbone.projections.values())
    t = shaken(backbone)
    loss = peft_loss(peft_model(model.eval(), t, backbone), backbone, rows, t.next_rows(len(rows)))
    losses, _, _ = Stack(backbone, rows).gradients([t])
    assert float(losses) == pytest.approx(float(loss.detach()), rel=1e-5)


def test_a_backbone_with_other_projections_than_expected_is_refused(llama: Backbone, t5_folder: str) -> None:
    """Keys under another name, as in models with latent attention: LoRA would change less than the plan counts."""
    odd = copy.copy(llama)
    odd.facts = replace(llama.facts, projections=("q_proj", "keys", "v_proj"))
    assert llama.projections and not odd.projections
    with pytest.raises(UserError, match="projections are not kept in a way that is known here"):
        trial(odd, config("lora"))


def test_llamas_keys_are_adapted_and_an_adapter_without_them_still_loads(
    llama: Backbone, rows: Rows, tmp_path: Path
) -> None:
    """Those of before changed queries and values alone, and say so in `target_modules`."""
    made = shaken(llama)
    assert {name.rpartition(".")[2] for name in llama.projections} == {"q_proj", "k_proj", "v_proj"}
    e = engine(llama, rows)
    e.start("a", config("lora", STRONG))
    e.next_report("a")
    e.save("a", tmp_path)
    of_before = tmp_path / "before"
    tensors = load_file(tmp_path / "adapter" / WEIGHTS)
    description = json.loads((tmp_path / "adapter" / CONFIG).read_text())
    assert description["target_modules"] == ["q_proj", "k_proj", "v_proj"]
    save_adapter(
        of_before,
        {name: tensor for name, tensor in tensors.items() if ".k_proj." not in name},
        {**description, "target_modules": ["q_proj", "v_proj"]},
    )
    found = load_adapter(of_before, llama)
    assert found.method.parameter_count() < made.method.parameter_count()
    without = {n: t * (0 if ".k_proj." in n else 1) for n, t in tensors.items()}
    made.method.load_state_dict(made.method.from_file(without))
    numbers = list(range(9))
    with without_dropout(llama):
        losses = []
        for method in (found.method, made.method):
            t = Trial(made.config, method)
            t.next_rows = lambda size: numbers  # type: ignore[method-assign]
            losses.append(float(Stack(llama, rows).gradients([t])[0]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_stock_peft_loads_the_adapter(backbone: Backbone, rows: Rows, tmp_path: Path) -> None:
    """The same loss, which is not that of the model without it."""
    e = engine(backbone, rows)
    e.start("a", config("lora", STRONG))
    run(e)
    e.save("a", tmp_path)
    base = stock(backbone)
    with torch.no_grad():
        plain = peft_loss(base, backbone, rows, list(range(9)))
        with pytest.warns(UserWarning, match="Unexpected keyword arguments"):  # ours: they are ignored
            theirs = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
        loss = peft_loss(theirs, backbone, rows, list(range(9)))
    made = e.slots["a"]
    made.method.load_state_dict(made.best.state)
    made.next_rows = lambda size: list(range(9))  # type: ignore[method-assign]
    with without_dropout(backbone):
        losses, _, _ = Stack(backbone, rows).gradients([made])
    assert float(losses) == pytest.approx(float(loss), rel=1e-5)
    assert float(losses) != pytest.approx(float(plain), rel=1e-3)
