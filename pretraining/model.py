"""The small T5: its shape, its initial weights, how fast each matrix may learn, and its files."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

from pretraining.corruption import EOS, PAD, Tokens

WIDTH = 256


def cooccurrence_embeddings(pieces: list[Tokens], vocabulary: int, width: int, window: int = 8) -> torch.Tensor:
    """Initial embeddings (vocabulary, width): half PPMI singular vectors, half noise, entries of unit size.

    They hold which words go together before the first step, what an hour of training on a CPU would hardly reach.
    Positive pointwise mutual information with counts weighted 1/distance and contexts smoothed by the power 0.75
    (Levy, Goldberg and Dagan 2015, sections 3.1 and 3.2).
    """
    stream = np.concatenate([np.concatenate([p, np.full(window, PAD)]) for p in pieces])
    flat = np.zeros(vocabulary * vocabulary, np.float32)
    for distance in range(1, window + 1):
        pairs = stream[:-distance] * vocabulary + stream[distance:]
        flat += np.bincount(pairs, minlength=vocabulary * vocabulary) / distance
    counts = flat.reshape(vocabulary, vocabulary)
    counts[PAD] = counts[:, PAD] = 0
    both = torch.from_numpy(counts + counts.T)
    row = both.sum(1, keepdim=True).clamp(min=1e-6)
    context = row.pow(0.75) / row.pow(0.75).sum()
    ppmi = (both / row / context.T).clamp(min=1).log()
    u, s, _ = torch.svd_lowrank(ppmi, q=width, niter=2)
    e = u * s.sqrt()
    e = e / e.pow(2).mean(1, keepdim=True).sqrt().clamp(min=1e-3)
    return (e + torch.randn(vocabulary, width)) / 2**0.5


def new_model(pieces: list[Tokens]) -> T5ForConditionalGeneration:
    """The untrained t5-nano: 4 encoder and 2 decoder layers of width 256, embeddings from co-occurrences."""
    shape: dict[str, Any] = {
        "vocab_size": 8128, "d_model": WIDTH, "d_kv": 64, "num_heads": 4, "d_ff": 512, "num_layers": 4,
        "num_decoder_layers": 2, "feed_forward_proj": "relu", "dropout_rate": 0.0, "tie_word_embeddings": True,
        "decoder_start_token_id": PAD, "pad_token_id": PAD, "eos_token_id": EOS, "n_positions": 512,
    }  # fmt: skip
    config = T5Config(**shape)
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        model.shared.weight.copy_(cooccurrence_embeddings(pieces, config.vocab_size, config.d_model))
    return model


def step_size(name: str, parameter: torch.Tensor, free_attention: bool) -> float:
    """What a learning rate of 1 means for a parameter: Adam's step is scaled to its size, as Adafactor does.

    T5's query matrices start 8 times smaller than the others, its embeddings 16 times larger, and one rate for all
    saturates the attention. With ``free_attention`` the queries move three times as fast, and the position biases by
    whole units: they are attention logits, and a rate in proportion to their small start leaves them near zero.
    """
    size = parameter.detach().pow(2).mean().sqrt().item()
    if free_attention and "relative_attention_bias" in name:
        return 1.0
    if free_attention and name.endswith("Attention.q.weight"):
        return 3 * size
    return min(max(size, 1e-3), 1.0 if parameter.dim() > 1 else 0.1)


@torch.no_grad()
def seed_heads(model: T5ForConditionalGeneration, gain: float = 0.12) -> None:
    """Give encoder heads a job to start from, which a short pretraining does not find by itself.

    Head 0 looks at the three tokens before, head 1 at the three after, and the last head, in the first three layers,
    at distant tokens with a like embedding: its queries and keys share one projection, so that a text can be compared
    with another one. Starting attention near a multiple of the identity is Trockman and Kolter's mimetic
    initialisation (2023), here for one head.
    """
    attentions: list[Any] = [block.layer[0].SelfAttention for block in cast("Any", model.encoder.block)]
    first = attentions[0]
    heads, width = first.n_heads, first.key_value_proj_dim
    last = slice((heads - 1) * width, heads * width)
    for attention in attentions[:3]:
        match, copy_of = (torch.linalg.qr(torch.randn(model.config.d_model, width))[0].T for _ in range(2))
        attention.q.weight[last], attention.k.weight[last] = gain * match, match
        attention.v.weight[last], attention.o.weight[:, last] = copy_of, copy_of.T
    bias = (
        first.relative_attention_bias.weight
    )  # (buckets, heads); the first half is for tokens before, one each up to 7
    half = bias.shape[0] // 2
    bias[:, -1] = 0.0
    bias[:8, -1] = bias[half : half + 8, -1] = -4.0
    bias[:, :-1] *= 0.3
    bias[1:4, 0] = bias[half + 1 : half + 4, 1] = 3.0


def save(model: T5ForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write float16 weights, config and tokenizer to ``folder`` at once.

    The config says float32, so that they load as that.
    """
    fresh = folder.with_name(folder.name + ".new")
    fresh.mkdir(parents=True, exist_ok=True)
    half = copy.deepcopy(model).half()
    half.generation_config = GenerationConfig(
        decoder_start_token_id=PAD, pad_token_id=PAD, eos_token_id=EOS, max_new_tokens=40
    )
    half.save_pretrained(fresh)
    config = json.loads((fresh / "config.json").read_text(encoding="utf-8"))
    (fresh / "config.json").write_text(json.dumps({**config, "dtype": "float32"}, indent=2) + "\n", encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(fresh.iterdir()):
        file.replace(folder / file.name)
    fresh.rmdir()
