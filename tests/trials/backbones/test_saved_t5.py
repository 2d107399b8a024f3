"""A T5 read straight from its file is the one that transformers loads, to the bit."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from trials.backbones import loading
from trials.backbones.describe import describe
from trials.backbones.facts import EMBEDDED, Facts
from trials.backbones.loading import _decides, load_backbone, load_model
from trials.backbones.t5.saved import saved_t5


def folder_of(path: Path, **more: Any) -> Facts:
    """A small T5 of twelve blocks, so that block 10 must not come before block 2."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "d_model": 16,
        "d_kv": 4,
        "d_ff": 8,
        "num_heads": 2,
        "num_layers": 12,
        "num_decoder_layers": 2,
        "decoder_start_token_id": 0,
    }
    model = T5ForConditionalGeneration(T5Config(vocab_size=8128, **sizes, **more))
    model.save_pretrained(path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (path / name).write_bytes((EMBEDDED / "t5-nano" / name).read_bytes())
    return describe(str(path))


@pytest.mark.parametrize("projection", ["relu", "gated-gelu"])
def test_weights_and_config_are_those_of_transformers(tmp_path: Path, projection: str) -> None:
    facts = folder_of(tmp_path / "t5", feed_forward_proj=projection)
    ours, theirs = saved_t5(facts), load_model(facts)
    assert ours is not None
    assert _decides(ours.config, facts, "float32") == _decides(theirs.config, facts, "float32")
    weights = theirs.state_dict()
    found = ours.state_dict()
    assert sorted(found) == sorted(weights)
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    blocks = zip(ours.get_submodule("encoder.block").children(), theirs.encoder.block, strict=True)
    for mine, block in blocks:
        assert torch.equal(mine.get_parameter("layer.0.SelfAttention.q.weight"), block.layer[0].SelfAttention.q.weight)


def test_the_second_load_computes_what_the_first_did_without_a_model_of_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = folder_of(tmp_path / "t5")
    first = load_backbone(facts.location, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(loading, "load_model", lambda *_: pytest.fail("transformers loads the model again"))
    again = load_backbone(facts.location, cache_dir=tmp_path / "cache")
    assert again.facts == first.facts
    assert torch.equal(again.embedding, first.embedding)
    rows = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(1))
    inputs = loading.Inputs(rows, torch.tensor([5, 3]), torch.tensor([5, 3]))
    targets = torch.tensor([[5, 1], [7, 1]])
    assert torch.equal(again.token_losses(inputs, targets), first.token_losses(inputs, targets))


def test_one_process_compares_while_others_wait_and_read(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "t5").location
    loads = tmp_path / "loads"
    loads.mkdir()
    code = (
        "import os, pathlib, sys\n"
        "from trials.backbones import loading\n"
        "load = loading.load_model\n"
        f"loading.load_model = lambda *of: (pathlib.Path({str(loads)!r}, str(os.getpid())).touch(), load(*of))[1]\n"
        f"print(loading.load_backbone({folder!r}, cache_dir=pathlib.Path({str(tmp_path / 'cache')!r})).embedding.sum())"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert printed[0] == printed[1]
    assert len(list(loads.iterdir())) == 1


def test_others_are_left_to_transformers(tmp_path: Path) -> None:
    facts = folder_of(tmp_path / "t5")
    assert saved_t5(replace(facts, lane="stock")) is None
    config = Path(facts.location) / "config.json"
    found = json.loads(config.read_text())
    config.write_text(json.dumps(found | {"model_type": "umt5"}))
    assert saved_t5(facts) is None
    config.write_text(json.dumps(found | {"tie_word_embeddings": False}))
    assert saved_t5(facts) is None
