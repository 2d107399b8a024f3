"""A backbone that is not computed as transformers does is refused in one sentence, and is looked at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.trials.backbones import families
from tests.trials.making import save
from trials.backbones import decoder_only, stock
from trials.backbones import loading as backbones
from trials.backbones.base import Inputs
from trials.backbones.loading import load_backbone
from trials.batching.dropout import Dropout, row_keys
from trials.errors import BackboneError


def folder(name: str, tmp_path: Path) -> str:
    """A family's small model as a user has it."""
    return save(tmp_path / "model", families.build(families.config(name), "decoder-only"))


def test_a_scale_that_is_lost_refuses_the_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Gemma does to its embeddings inside the module."""
    gemma = folder("gemma", tmp_path)
    load_backbone(gemma, cache_dir=tmp_path / "cache")
    monkeypatch.setattr("trials.backbones.base.embedding_table", lambda module: module.weight)
    with pytest.raises(BackboneError, match="'gemma' are not supported: training losses differ by") as error:
        load_backbone(gemma, cache_dir=tmp_path / "another")
    assert len(error.value.problems) == 1 and "\n" not in str(error.value)


def test_a_model_that_looks_ahead_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="no causal model"):
        load_backbone(folder("bert", tmp_path), cache_dir=tmp_path / "cache")


def test_whatever_a_model_raises_becomes_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object, **more: object) -> None:
        raise KeyError("sizes of\nseveral lines")

    llama = folder("llama", tmp_path)
    monkeypatch.setattr(stock.StockModel, "logits", fail)
    with pytest.raises(BackboneError, match="transformers' KeyError") as error:
        load_backbone(llama, cache_dir=tmp_path / "cache")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_finding_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """Also how the model is to be used: Mamba has neither positions nor masks."""
    mamba, cache = folder("mamba", tmp_path), tmp_path / "cache"
    first = load_backbone(mamba, precision=precision, cache_dir=cache)  # type: ignore[arg-type]
    monkeypatch.delattr(backbones, "check")
    again = load_backbone(mamba, precision=precision, cache_dir=cache)  # type: ignore[arg-type]
    assert isinstance(first, decoder_only.DecoderOnly) and isinstance(again, decoder_only.DecoderOnly)
    assert (first.trees, again.trees) == (False, False)
    assert (first.stock.drops, again.stock.drops) == (False, False)


def test_a_cache_that_cannot_be_written_costs_a_check_only(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    load_backbone(folder("llama", tmp_path), cache_dir=tmp_path / "cache")


def test_weights_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    llama = Path(folder("llama", tmp_path))
    weights = load_file(llama / "model.safetensors")
    gone = next(name for name in weights if "mlp" in name)
    save_file({k: v for k, v in weights.items() if k != gone}, llama / "model.safetensors", {"format": "pt"})
    with pytest.raises(BackboneError, match=f"1 weights are missing, such as {gone}"):
        load_backbone(str(llama), cache_dir=tmp_path / "cache")


def test_dropout_that_is_called_as_a_function_drops_by_row(tmp_path: Path) -> None:
    """OPT's; the masks of a row are its own, whoever is beside it."""
    backbone = load_backbone(folder("opt", tmp_path), cache_dir=tmp_path / "cache")
    x = backbone.embedding[torch.tensor([[20, 30, 40, 50], [60, 70, 80, 90]])].detach()
    inputs = Inputs(x, torch.tensor([4, 4]), torch.tensor([3, 3]))
    targets, keys = torch.tensor([[50], [90]]), torch.from_numpy(row_keys(1, 2, 2))
    calm, dropped = backbone.token_losses(inputs, targets), backbone.token_losses(inputs, targets, Dropout(keys))
    assert not torch.allclose(calm, dropped)
    alone = Inputs(x[1:], torch.tensor([4]), torch.tensor([3]))
    torch.testing.assert_close(backbone.token_losses(alone, targets[1:], Dropout(keys[1:])), dropped[1:])
    torch.testing.assert_close(backbone.token_losses(inputs, targets), calm)
