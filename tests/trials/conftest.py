"""Two tiny random backbones, one of each architecture, saved in folders and loaded as a user's would be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    MT5Config,
    T5Config,
    T5ForConditionalGeneration,
    UMT5Config,
)

from tests.trials.making import Rows, save
from trials.backbones.loading import Backbone, load_backbone


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is found out about dozens of made-up models is of no use to anybody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADEPT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def t5_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=8128, d_model=32, d_kv=8, num_heads=4, d_ff=48, num_layers=2, num_decoder_layers=2,
        dropout_rate=0.1, decoder_start_token_id=0,
    )  # fmt: skip
    return save(tmp_path_factory.mktemp("t5") / "tiny-t5", T5ForConditionalGeneration(config))


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=8128, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=None, eos_token_id=1, pad_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    return save(tmp_path_factory.mktemp("llama") / "tiny-llama", LlamaForCausalLM(config))


@pytest.fixture(scope="session")
def bart_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its embeddings are scaled, its positions have an offset, its vocabulary a bias."""
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=8128, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=300,
        scale_embedding=True, bos_token_id=3, eos_token_id=1, pad_token_id=0, decoder_start_token_id=1,
        forced_eos_token_id=None, encoder_layerdrop=0.5, init_std=0.2,
    )  # fmt: skip
    model = BartForConditionalGeneration(config)
    model.final_logits_bias.normal_(std=0.1)
    return save(tmp_path_factory.mktemp("bart") / "tiny-bart", model)


@pytest.fixture(scope="session")
def bart(bart_folder: str) -> Backbone:
    return load_backbone(bart_folder)


@pytest.fixture(scope="session")
def t5(t5_folder: str) -> Backbone:
    return load_backbone(t5_folder)


@pytest.fixture(scope="session")
def llama(llama_folder: str) -> Backbone:
    return load_backbone(llama_folder)


@pytest.fixture(params=["t5", "llama", "bart"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["t5", "gated", "mt5", "umt5", "llama", "bart"])
def model_and_backbone(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Backbone]:
    """Every kind of model, by transformers and by us."""
    if request.param in ("t5", "llama", "bart"):
        folder = request.getfixturevalue(f"{request.param}_folder")
    else:
        kind = {"gated": T5Config, "mt5": MT5Config, "umt5": UMT5Config}[request.param]
        made = kind(
            vocab_size=8128, d_model=32, d_kv=8, num_heads=4, d_ff=48, num_layers=3, num_decoder_layers=2,
            feed_forward_proj="gated-gelu", decoder_start_token_id=0,
        )  # fmt: skip
        torch.manual_seed(1)
        folder = save(tmp_path / "model", AutoModelForSeq2SeqLM.from_config(made))
    loader = AutoModelForCausalLM if request.param == "llama" else AutoModelForSeq2SeqLM
    model = loader.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():  # norms start at 1, which would hide a forgotten scale
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7))
    model.save_pretrained(tmp_path / "shaken")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "shaken")
    return model, load_backbone(str(tmp_path / "shaken"))


@pytest.fixture(scope="session")
def rows() -> Rows:
    return Rows()
