"""PEFT's tuners: trained here, saved as PEFT has it, and read by PEFT itself with the same losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from tests.trials.making import Rows, config, trial
from trials.backbones.loading import Backbone, load_backbone
from trials.checkpoint import restore_trial, save_trial
from trials.errors import UserError
from trials.evaluation import score
from trials.export.adapters import describe_adapter, save_adapter
from trials.methods import get_method
from trials.methods.peft import TUNERS, Peft
from trials.stack.step import Stack

SETTINGS: dict[str, dict[str, Any]] = {
    **{tuner: {"r": 4} for tuner in ("LORA", "LOHA", "LOKR", "HRA", "HIRA", "DELORA", "GRALORA", "MISS", "RANDLORA")},
    "BOFT": {"boft_block_size": 4, "boft_block_num": 0},
    "C3A": {"block_size": 8},
    "FOURIERFT": {"n_frequency": 20},
    "GRALORA": {"r": 4, "gralora_k": 2},
    "OFT": {"r": 0, "oft_block_size": 8},
    "ROAD": {"group_size": 8},
    "VBLORA": {"r": 2, "num_vectors": 8, "vector_length": 8},
    "VERA": {"r": 4},
    "WAVEFT": {"n_frequency": 20},
}


@pytest.fixture(scope="module")
def stock_t5(t5_folder: str) -> Backbone:
    return load_backbone(t5_folder, lane="stock")


def weights_of(backbone: Backbone) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}  # type: ignore[attr-defined]


def peft_losses(model: Any, backbone: Backbone, rows: Rows) -> list[float]:
    found = []
    for source, target in zip(rows.sources[:5], rows.targets, strict=False):
        tokens = [*source, *target] if backbone.embeds_answers else source
        labels = [*[-100] * len(source), *target] if backbone.embeds_answers else target
        with torch.no_grad():
            found.append(float(model(input_ids=torch.tensor([tokens]), labels=torch.tensor([labels])).loss))
    return found


def our_losses(backbone: Backbone, method: Any, rows: Rows) -> list[float]:
    labels = sorted({tuple(target) for target in rows.targets})
    found = []
    for i in range(5):
        one = Rows()
        one.sources, one.targets, one.texts = [rows.sources[i]], [rows.targets[i]], [rows.texts[i]]
        found.append(score(backbone, [method], one, ["accuracy"], 4, labels)[0].loss or 0.0)
    return found


@pytest.mark.parametrize("tuner", TUNERS)
def test_a_tuner_trains_and_is_read_by_peft(
    tuner: str, t5_folder: str, stock_t5: Backbone, rows: Rows, tmp_path: Path
) -> None:
    """And the backbone's weights stay as they were; dropout of the backbone is on."""
    from transformers import AutoModelForSeq2SeqLM

    before = weights_of(stock_t5)
    chosen = {"lr": 0.05, "tuner": tuner, **SETTINGS.get(tuner, {})}
    made = trial(stock_t5, config("peft", chosen))
    start = our_losses(stock_t5, made.method, rows)
    stack = Stack(stock_t5, rows)
    for _ in range(6):
        stack.step([made])
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights_of(stock_t5).items())
    ours = our_losses(stock_t5, made.method, rows)
    assert ours != pytest.approx(start, rel=1e-4)
    save_adapter(tmp_path, made.method.to_file(made.method.state_dict()), described(made.config, stock_t5))
    model = AutoModelForSeq2SeqLM.from_pretrained(t5_folder, dtype=torch.float32)
    assert peft_losses(PeftModel.from_pretrained(model, tmp_path).eval(), stock_t5, rows) == pytest.approx(
        ours, rel=1e-4
    )


def described(made_of: Any, backbone: Backbone) -> dict[str, Any]:
    from trials.tasks import get_task

    return describe_adapter(made_of, get_task("debsec"), backbone, 16, 4)


@pytest.mark.parametrize("name", ["llama", "bart"])
def test_lora_resumes_on_other_backbones(name: str, request: pytest.FixtureRequest, rows: Rows, tmp_path: Path) -> None:
    """Three steps, a checkpoint and three more are six, to the last bit."""
    backbone = request.getfixturevalue(name)
    chosen = config("peft", {"lr": 0.05, "tuner": "LORA", "r": 4, "lora_dropout": 0.3, "target_modules": ".*q_proj"})
    whole, first, second = (trial(backbone, chosen) for _ in range(3))
    stack = Stack(backbone, rows)
    for _ in range(6):
        stack.step([whole])
    for _ in range(3):
        stack.step([first])
    save_trial(tmp_path, first, {})
    restore_trial(tmp_path, second)
    for _ in range(3):
        stack.step([second])
    for parameter, other in zip(second.method.parameters(), whole.method.parameters(), strict=True):
        assert torch.equal(parameter, other)


def test_what_is_counted_is_what_is_trained(t5_folder: str, stock_t5: Backbone) -> None:
    from trials.methods import Sizes

    made = trial(stock_t5, config("peft", {"lr": 0.05, "r": 3}))
    counted = get_method("peft").parameter_count({"r": 3}, Sizes.of(stock_t5.facts))
    assert counted == sum(p.numel() for p in made.method.parameters()) > 0


def test_mistakes_are_said_in_one_sentence(t5: Backbone, stock_t5: Backbone) -> None:
    with pytest.raises(UserError, match=r"VERA has no hyperparameter 'vera_droput' \(did you mean 'vera_dropout'"):
        Peft().settings({"tuner": "VERA", "lr": 0.1, "vera_droput": 0.1})
    with pytest.raises(UserError, match=r"peft: LORA on this backbone: .*Target modules"):
        trial(stock_t5, config("peft", {"lr": 0.05, "target_modules": ".*nowhere"}))
    with pytest.raises(UserError, match="lane='stock'"):
        trial(t5, config("peft", {"lr": 0.05}))
