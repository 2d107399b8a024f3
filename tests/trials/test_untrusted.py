"""What comes from others is read, never run: models with code of their own, pickles in the place of adapter files."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
from safetensors import SafetensorError

from tests.trials.making import config, trial
from trials.backbones.describe import from_hub, load_tokenizer
from trials.backbones.loading import load_backbone
from trials.checkpoint import TENSORS, restore_trial, save_trial
from trials.errors import BackboneError, UserError
from trials.export.adapters import describe_adapter, load_adapter, save_adapter
from trials.export.files import CONFIG, WEIGHTS
from trials.tasks import get_task


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self.file), os.O_CREAT)


@pytest.fixture
def sprung(tmp_path: Path) -> Path:
    """The file that a trap makes."""
    return tmp_path / "sprung"


def test_the_trap_works(sprung: Path) -> None:
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()


def with_own_code(folder: Path, target: Path, sprung: Path, model_type: str | None) -> str:
    """A copy of a model whose config points to a module that makes a file when it is imported."""
    shutil.copytree(folder, target)
    (target / "own.py").write_text(
        f"open({str(sprung)!r}, 'w').close()\n"
        "from transformers import LlamaConfig as C, LlamaForCausalLM as M, PreTrainedTokenizerFast as T\n"
    )
    described = json.loads((target / "config.json").read_text())
    described["auto_map"] = {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"}
    described["model_type"] = model_type or described["model_type"]
    (target / "config.json").write_text(json.dumps(described))
    tokenizer = json.loads((target / "tokenizer_config.json").read_text())
    tokenizer["auto_map"] = {"AutoTokenizer": ["own.T", "own.T"]}
    (target / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return str(target)


def test_a_models_own_code_is_not_run_where_transformers_knows_the_architecture(
    llama_folder: Path, tmp_path: Path, sprung: Path
) -> None:
    backbone = load_backbone(with_own_code(llama_folder, tmp_path / "model", sprung, None))
    assert backbone.facts.architecture == "decoder-only"
    assert not sprung.exists()


def test_a_model_that_needs_its_own_code_is_refused_without_a_question(
    llama_folder: Path, tmp_path: Path, sprung: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # what transformers would ask
    folder = with_own_code(llama_folder, tmp_path / "model", sprung, "thing")
    for load in (load_backbone, from_hub):
        with pytest.raises(BackboneError, match="Python code of its own"):
            load(folder)
    assert not sprung.exists()


def test_a_tokenizer_that_needs_its_own_code_is_refused(
    llama_folder: Path, tmp_path: Path, sprung: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    folder = Path(with_own_code(llama_folder, tmp_path / "model", sprung, "thing"))
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer | {"tokenizer_class": "T"}))
    facts = load_backbone(str(llama_folder)).facts
    with pytest.raises(BackboneError):
        load_tokenizer(type(facts)(**{**vars(facts), "location": str(folder)}))
    assert not sprung.exists()


def test_a_pickle_in_place_of_an_adapter_is_not_run(t5_folder: Path, tmp_path: Path, sprung: Path) -> None:
    backbone = load_backbone(str(t5_folder))
    made = trial(backbone, config("pt"))
    folder = tmp_path / "adapter"
    save_adapter(folder, made.method.state_dict(), describe_adapter(made.config, get_task("debsec"), backbone, 64, 2))
    assert load_adapter(folder, backbone).description["peft_type"] == "PROMPT_TUNING"
    (folder / WEIGHTS).write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(UserError, match="damaged"):
        load_adapter(folder, backbone)
    (folder / CONFIG).write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(UserError, match="damaged"):
        load_adapter(folder, backbone)
    assert not sprung.exists()


def test_a_pickle_in_place_of_a_checkpoint_is_not_run(t5_folder: Path, tmp_path: Path, sprung: Path) -> None:
    backbone = load_backbone(str(t5_folder))
    made = trial(backbone, config("pt"))
    save_trial(tmp_path, made, {})
    restore_trial(tmp_path, made)
    (tmp_path / TENSORS).write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(SafetensorError):
        restore_trial(tmp_path, made)
    assert not sprung.exists()
