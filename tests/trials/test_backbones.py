"""The two architectures against transformers itself, and folders that are no backbones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import Rows
from making import config, trial

from trials.backbone_facts import backbone_names, describe
from trials.backbones import Backbone
from trials.errors import BackboneError


def test_losses_equal_those_of_transformers(backbone: Backbone, rows: Rows) -> None:
    """PT without training: the prompt's rows are ordinary embeddings, so the model can compute the same itself."""
    sources, targets, _ = rows.batch(range(6))
    t = trial(backbone, config("pt"))
    part = backbone.inputs(t.method, backbone.batch(sources, targets))
    ours = backbone.token_losses(part)
    for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
        tokens = source if backbone.facts.architecture == "encoder-decoder" else [*source, *target]
        embedded = torch.cat([t.method.prompt, backbone.embedding[torch.tensor(tokens)]])[None]
        labels = torch.tensor([target])
        if backbone.facts.architecture == "decoder-only":
            ignored = torch.full((1, embedded.shape[1] - len(target)), -100)
            labels = torch.cat([ignored, labels], dim=1)
        theirs = backbone.model(inputs_embeds=embedded, labels=labels).loss
        assert float(ours[i].detach().mean()) == pytest.approx(float(theirs), rel=1e-4)


@torch.no_grad()
def test_greedy_answers_equal_those_of_generate(backbone: Backbone, rows: Rows) -> None:
    sources, _, _ = rows.batch(range(8))
    t = trial(backbone, config("pt"))
    t.method.prompt.data.normal_(generator=torch.Generator().manual_seed(5))
    inputs = backbone.inputs(t.method, backbone.batch(sources, None))

    def embed(tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        return backbone.embedding[tokens[:, None]]

    ours = backbone.decode(inputs, 6, embed)
    for i, source in enumerate(sources):
        embedded = torch.cat([t.method.prompt, backbone.embedding[torch.tensor(source)]])[None]
        theirs = backbone.model.generate(
            inputs_embeds=embedded,
            attention_mask=torch.ones(embedded.shape[:2], dtype=torch.long),
            max_new_tokens=6,
            do_sample=False,
            num_beams=1,
        )[0]
        if backbone.facts.architecture == "encoder-decoder":
            theirs = theirs[1:]  # without the start token
        assert ours[i][: len(theirs)].tolist() == theirs.tolist()


def test_decoder_only_offsets_reach_generated_tokens(llama: Backbone, rows: Rows) -> None:
    """What training adds to an answer's embeddings must be added while answering, or the two see different inputs."""
    t = trial(llama, config("adept"))
    for parameter in t.method.parameters():
        parameter.data.normal_(std=0.3, generator=torch.Generator().manual_seed(1))
    source = rows.sources[0]
    with torch.no_grad():
        inputs = llama.inputs(t.method, llama.batch([source], None))
        m = t.method.prompt_length

        def embed(tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
            return t.method.offset(llama.embedding[tokens[:, None]], places[:, None] - m)

        answer = llama.decode(inputs, 4, embed)[0].tolist()
        forced = llama.inputs(t.method, llama.batch([source], [answer]))
        assert llama.answer_logits(forced)[0].argmax(-1).tolist() == answer


def test_published_backbones_are_described_without_a_network() -> None:
    assert describe("t5-base").width == 768
    assert describe("google-t5/t5-base") == describe("t5-base")
    assert describe("t5-3b").width == 1024
    assert "t5-nano" in backbone_names()


def test_the_embedded_backbone_is_whole_and_small() -> None:
    facts = describe("t5-nano")
    assert (facts.architecture, facts.width, facts.layers) == ("encoder-decoder", 256, (4, 2))
    assert sum(f.stat().st_size for f in Path(facts.location).glob("*.safetensors")) < 14_000_000


def broken(folder: str, tmp_path: Path) -> Path:
    copy = tmp_path / "backbone"
    shutil.copytree(folder, copy)
    return copy


def test_a_folder_without_weights_tokenizer_and_config_names_all_three(tmp_path: Path) -> None:
    with pytest.raises(BackboneError) as error:
        describe(str(tmp_path))
    assert len(error.value.problems) == 3
    assert all(word in str(error.value) for word in ("config.json", "tokenizer", "no weights"))


def test_truncated_weights_are_found_before_loading(t5_folder: str, tmp_path: Path) -> None:
    copy = broken(t5_folder, tmp_path)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BackboneError, match="truncated or damaged"):
        describe(str(copy))


def test_a_missing_shard_is_named(t5_folder: str, tmp_path: Path) -> None:
    copy = broken(t5_folder, tmp_path)
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(BackboneError, match="model-00002-of-00002"):
        describe(str(copy))


def test_other_models_are_refused(t5_folder: str, tmp_path: Path) -> None:
    copy = broken(t5_folder, tmp_path)
    (copy / "config.json").write_text(
        json.dumps({"model_type": "bart", "is_encoder_decoder": True, "d_model": 8, "vocab_size": 9})
    )
    with pytest.raises(BackboneError, match="other than T5's"):
        describe(str(copy))


@pytest.mark.parametrize(("name", "hint"), [("t5-bse", "did you mean 't5-base'"), ("./nowhere", "an existing folder")])
def test_an_unknown_name_says_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(BackboneError, match=hint):
        describe(name)
