"""A tiny decoder-only model whose tokenizer spells programs as they stand: blanks and line ends are tokens."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END = "<|endoftext|>"


def code_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, as byte-level BPE begins, and the end."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({END: 0, **{c: n for n, c in enumerate(alphabet, 1)}}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END, pad_token=END)


def save_code_model(folder: Path, width: int = 32, positions: int = 1_024) -> str:
    """Llama's shape with random weights, in a folder as a user's would be."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=257, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=None, eos_token_id=0, pad_token_id=0, tie_word_embeddings=True,
        max_position_embeddings=positions,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    code_tokenizer().save_pretrained(folder)
    return str(folder)
