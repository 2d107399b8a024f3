"""Two tiny random backbones, one of each architecture, saved in folders and loaded as a user's would be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from trials.backbone_facts import EMBEDDED
from trials.backbones import Backbone, load_backbone


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


def save(folder: Path, model: torch.nn.Module) -> str:
    model.save_pretrained(folder)  # type: ignore[operator]
    AutoTokenizer.from_pretrained(EMBEDDED / "t5-nano").save_pretrained(folder)
    return str(folder)


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
def t5(t5_folder: str) -> Backbone:
    return load_backbone(t5_folder)


@pytest.fixture(scope="session")
def llama(llama_folder: str) -> Backbone:
    return load_backbone(llama_folder)


@pytest.fixture(params=["t5", "llama"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return request.getfixturevalue(request.param)


class Rows:
    """A split of made-up rows of many lengths; each answer is a digit that the first token decides."""

    def __init__(self, size: int = 70, longest: int = 12, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        lengths = torch.randint(2, longest + 1, (size,), generator=generator).tolist()
        self.sources = [torch.randint(20, 8000, (n,), generator=generator).tolist() for n in lengths]
        self.texts = [str(s[0] % 4) for s in self.sources]
        self.targets = [[30 + int(t), 1] for t in self.texts]

    def __len__(self) -> int:
        return len(self.sources)

    def batch(self, rows: Sequence[int]) -> tuple[list[list[int]], list[list[int]], list[str]]:
        return [self.sources[i] for i in rows], [self.targets[i] for i in rows], [self.texts[i] for i in rows]


@pytest.fixture(scope="session")
def rows() -> Rows:
    return Rows()
