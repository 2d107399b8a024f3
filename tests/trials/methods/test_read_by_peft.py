"""Adapters of methods that PEFT has: read by PEFT itself, which gives the same losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from tests.trials.making import SMALL, Rows, config, trial
from tests.trials.methods.test_peft import described, our_losses, peft_losses
from trials.backbones.loading import Backbone, load_backbone
from trials.export.adapters import load_adapter, save_adapter
from trials.export.files import WEIGHTS
from trials.methods import get_method
from trials.trial import Trial

READ: dict[str, tuple[str, dict[str, Any]]] = {
    "pt": ("pt", {}),
    "p_tuning": ("p_tuning", {}),
    "spot": ("spot", {}),
    "ia3": ("ia3", {}),
    "ia3, keys and values": ("ia3", {"lr": 0.1}),
    "prefix": ("prefix", {}),
    "prefix, made by a network": ("prefix", {"lr": 0.1, "prefix_length": 3, "hidden": 5}),
}
"""Configurations of methods whose adapters PEFT reads."""


@pytest.fixture(scope="module")
def folders(t5_folder: str, llama_folder: str) -> dict[str, str]:
    return {"t5": t5_folder, "llama": llama_folder}


def shaken(backbone: Backbone, name: str, values: dict[str, Any]) -> Trial:
    """A trial away from its start."""
    made = trial(backbone, config(name, values or dict(SMALL[name])))
    generator = torch.Generator().manual_seed(1)
    for parameter in made.method.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return made


def saved(folder: Path, made: Trial, backbone: Backbone) -> Path:
    save_adapter(folder, made.method.to_file(made.method.state_dict()), described(made.config, backbone))
    return folder


@pytest.mark.parametrize("of", READ)
@pytest.mark.parametrize("on", ["t5", "llama"])
def test_peft_reads_the_adapter_and_gives_the_same_losses(
    of: str, on: str, folders: dict[str, str], rows: Rows, tmp_path: Path
) -> None:
    name, values = READ[of]
    backbone = load_backbone(folders[on], lane="stock" if get_method(name).kind == "modules" else None)
    made = shaken(backbone, name, values)
    ours = our_losses(backbone, made.method, rows)
    assert ours != pytest.approx(our_losses(backbone, trial(backbone, made.config).method, rows), rel=2e-4)
    saved(tmp_path, made, backbone)
    loader = AutoModelForCausalLM if backbone.embeds_answers else AutoModelForSeq2SeqLM
    theirs = PeftModel.from_pretrained(loader.from_pretrained(folders[on], dtype=torch.float32), tmp_path).eval()
    assert peft_losses(theirs, backbone, rows) == pytest.approx(ours, rel=1e-4)


def test_adapters_of_before_that_call_the_rows_prompt_are_still_read(t5: Backbone, tmp_path: Path) -> None:
    made = shaken(t5, "pt", {})
    file = saved(tmp_path, made, t5) / WEIGHTS
    save_file({"prompt": load_file(file)["prompt_embeddings"]}, file)
    assert torch.equal(load_adapter(tmp_path, t5).method.soft_prompt, made.method.soft_prompt)
