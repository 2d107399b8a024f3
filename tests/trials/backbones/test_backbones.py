"""The two architectures against transformers itself, and folders that are no backbones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from tests.trials.making import Rows, config, inputs_of, trial
from trials.backbones.describe import backbone_names, describe, load_tokenizer
from trials.backbones.loading import IGNORED, Backbone, load_backbone
from trials.errors import BackboneError


def test_losses_and_gradients_equal_those_of_transformers(model_and_backbone: tuple[Any, Backbone], rows: Rows) -> None:
    """PT without training: the prompt's rows are ordinary embeddings, so the model can compute the same itself."""
    model, backbone = model_and_backbone
    sources, targets, _ = rows.batch(range(6))
    t = trial(backbone, config("pt"))
    inputs = inputs_of(backbone, t.method, sources, targets)
    inputs.embeddings.requires_grad_()
    ours = backbone.token_losses(inputs, backbone.padded(targets, IGNORED))
    ours.sum().backward()
    for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
        tokens = [*source, *target] if backbone.embeds_answers else source
        embedded = torch.cat([t.method.prompt, backbone.embedding[torch.tensor(tokens)]])[None].detach()
        embedded.requires_grad_()
        labels = torch.tensor([target])
        if backbone.embeds_answers:
            ignored = torch.full((1, embedded.shape[1] - len(target)), -100)
            labels = torch.cat([ignored, labels], dim=1)
        theirs = model(inputs_embeds=embedded, labels=labels).loss
        assert float(ours[i].detach().mean()) == pytest.approx(float(theirs.detach()), rel=1e-4)
        (theirs * len(target)).backward()
        assert inputs.embeddings.grad is not None and embedded.grad is not None
        gradient = inputs.embeddings.grad[i, : embedded.shape[1]]
        assert float((gradient - embedded.grad[0]).norm() / embedded.grad.norm()) < 1e-4


def test_a_long_answer_gives_the_same_losses(model_and_backbone: tuple[Any, Backbone], rows: Rows) -> None:
    """Beyond a head's width cross-attention projects keys and values after all."""
    model, backbone = model_and_backbone
    if backbone.embeds_answers:
        pytest.skip("no cross-attention in a decoder-only model")
    answer = torch.randint(20, 8000, (12,), generator=torch.Generator().manual_seed(0)).tolist()
    inputs = inputs_of(backbone, trial(backbone, config("pt")).method, rows.sources[:2], [answer, answer])
    ours = backbone.token_losses(inputs, torch.tensor([answer, answer]))
    theirs = model(inputs_embeds=inputs.embeddings, attention_mask=inputs.mask, labels=torch.tensor([answer, answer]))
    assert float(ours.detach().mean()) == pytest.approx(float(theirs.loss), rel=1e-4)


@torch.no_grad()
def test_greedy_answers_equal_those_of_generate(model_and_backbone: tuple[Any, Backbone], rows: Rows) -> None:
    model, backbone = model_and_backbone
    sources, _, _ = rows.batch(range(8))
    t = trial(backbone, config("pt"))
    t.method.prompt.data.normal_(generator=torch.Generator().manual_seed(5))
    inputs = inputs_of(backbone, t.method, sources, [[] for _ in sources])
    ours = backbone.greedy(inputs, 6, lambda tokens, number: backbone.embedding[tokens[:, None]])
    for i, source in enumerate(sources):
        embedded = torch.cat([t.method.prompt, backbone.embedding[torch.tensor(source)]])[None]
        theirs = model.generate(
            inputs_embeds=embedded,
            attention_mask=torch.ones(embedded.shape[:2], dtype=torch.long),
            max_new_tokens=6,
            do_sample=False,
            num_beams=1,
        )[0]
        if not backbone.embeds_answers:
            theirs = theirs[1:]  # without the start token
        assert ours[i][: len(theirs)].tolist() == theirs.tolist()


def test_decoder_only_offsets_reach_generated_tokens(llama: Backbone, rows: Rows) -> None:
    """What training adds to an answer's embeddings must be added while answering, or the two see different inputs."""
    t = trial(llama, config("adept"))
    for parameter in t.method.parameters():
        parameter.data.normal_(std=0.3, generator=torch.Generator().manual_seed(1))
    source = rows.sources[0]
    with torch.no_grad():
        inputs = inputs_of(llama, t.method, [source], [[]])
        answer = llama.greedy(inputs, 4, lambda tokens, _: t.method.offset(llama.embedding[tokens[:, None]]))
        told = answer[0].tolist()
        forced = inputs_of(llama, t.method, [source], [told])
        assert llama.answer_logits(forced, answer)[0].argmax(-1).tolist() == told


def test_an_answer_ends_where_targets_end_and_where_the_config_says(llama_folder: str, tmp_path: Path) -> None:
    """As of Llama 3.1 Instruct: its config names three ends, and its tokenizer ends targets with the last of them."""
    copy = broken(llama_folder, tmp_path)
    config = json.loads((copy / "config.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(copy)
    own: int = tokenizer.eos_token_id
    first, second = (int(tokenizer.convert_tokens_to_ids(f"<extra_id_{n}>")) for n in (0, 1))
    changes = {"eos_token_id": [first, second], "pad_token_id": -1}  # -1: none, in configs of the first Llama's copies
    (copy / "config.json").write_text(json.dumps({**config, **changes}))
    backbone = load_backbone(str(copy))
    assert backbone.ends == {own, first, second}
    written = torch.tensor([[10, own, 20, 20], [10, second, 20, 20], [10, 11, 12, first]])
    logits = torch.nn.functional.one_hot(written, len(tokenizer)).float()
    found = backbone._greedy(logits[:, 0], 4, lambda _, number: logits[:, number + 1])
    assert found[:, :2].tolist() == written[:, :2].tolist() and found.min() >= 0
    assert backbone.text(found) == tokenizer.batch_decode([[10], [10], [10, 11, 12]])


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


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("model.safetensors.index.json", b'{"weight_map": {"a": "mod', "index.json is truncated or damaged"),
        ("model.safetensors.index.json", b"version https://git-lfs.github.com/spec/v1", "index.json is truncated"),
        ("model.safetensors.index.json", b"{}", "index.json is truncated or damaged"),
        ("model.safetensors", b"\x02" + b"\0" * 7 + b"xy", "model.safetensors is truncated or damaged"),
        ("config.json", b"[]", "config.json is not JSON .it holds list"),
    ],
)
def test_a_damaged_file_is_named(t5_folder: str, tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    copy = broken(t5_folder, tmp_path)
    (copy / name).write_bytes(content)
    with pytest.raises(BackboneError, match=problem):
        describe(str(copy))


def test_weights_of_other_shapes_than_the_config_are_named(t5_folder: str, tmp_path: Path) -> None:
    copy = broken(t5_folder, tmp_path)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "vocab_size": 9000}))
    with pytest.raises(BackboneError, match=r"1 weights are of another shape than its config says, such as \S*weight;"):
        load_backbone(str(copy))


def test_words_that_the_model_has_no_embeddings_for_are_refused(t5_folder: str, tmp_path: Path) -> None:
    """As where words were added to a tokenizer alone: the first text with one would end in an IndexError of torch."""
    copy = broken(t5_folder, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(copy)
    tokenizer.add_tokens([f"<mark{n}>" for n in range(40)], special_tokens=True)
    tokenizer.save_pretrained(copy)
    assert len(load_tokenizer(describe(str(copy)))) == 8140  # no text is read as a control token
    tokenizer.add_tokens(["refund", "invoice"])
    tokenizer.save_pretrained(copy)
    with pytest.raises(
        BackboneError, match="2 words beyond the 8,128 rows of the model's embeddings, such as 'refund'"
    ):
        load_backbone(str(copy))


def test_a_missing_shard_is_named(t5_folder: str, tmp_path: Path) -> None:
    copy = broken(t5_folder, tmp_path)
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(BackboneError, match="model-00002-of-00002"):
        describe(str(copy))


def test_other_models_are_refused(t5_folder: str, tmp_path: Path) -> None:
    copy = broken(t5_folder, tmp_path)
    (copy / "config.json").write_text(json.dumps({"model_type": "vit", "hidden_size": 8}))
    with pytest.raises(BackboneError, match="'vit' is not a language model"):
        describe(str(copy))


@pytest.mark.parametrize(("name", "hint"), [("t5-bse", "did you mean 't5-base'"), ("./nowhere", "an existing folder")])
def test_an_unknown_name_says_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(BackboneError, match=hint):
        describe(name)
