"""T5 in its published sizes with the weights of t5-nano, grown, for timing where the real weights cannot be had.

    python -m benchmarks.t5_shapes t5-small FOLDER [--tokenizer FOLDER]

The time and the memory of a step do not depend on the weights' values, those of a search do: whose scores tie is not
stopped. So the weights are those of a model that can learn. Growing keeps its function (after Chen et al. 2016,
Net2Net): features, heads and hidden units are repeated and what reads them divided by their number, and further layers
add nothing to the residual stream. Without dropout the grown model has t5-nano's logits; dropout is T5's own, 0.1.

The tokenizer is t5-nano's unless another is given; T5's own gives a task's real lengths, while t5-nano's 8,128 pieces
cut the same text into a few more tokens. With another one ids mean other words, and scores nothing. The vocabulary has
T5's size either way: the embeddings beyond t5-nano's are those of its unknown token.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from trials.backbones.facts import EMBEDDED

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import T5ForConditionalGeneration

# Raffel et al. 2020 (the T5 paper), sections 3.1.1 and 3.7; layers are those of the encoder, and of the decoder again.
SHAPES: dict[str, dict[str, int]] = {
    "t5-small": {"d_model": 512, "d_ff": 2048, "num_heads": 8, "num_layers": 6},
    "t5-base": {"d_model": 768, "d_ff": 3072, "num_heads": 12, "num_layers": 12},
    "t5-large": {"d_model": 1024, "d_ff": 4096, "num_heads": 16, "num_layers": 24},
}
VOCABULARY = 32_128
SUFFIX = "-shape"
SOURCE = EMBEDDED / "t5-nano"
UNKNOWN = 2  # the token's id


def shape_of(name: str) -> str | None:
    """The shape that a backbone's name asks for, ``t5-small-shape`` for ``t5-small``; None where it asks for none."""
    shape = name.removesuffix(SUFFIX)
    return shape if name.endswith(SUFFIX) and shape in SHAPES else None


def write_shape(name: str, folder: Path, tokenizer: Path | None = None) -> Path:
    """Write a T5 of that shape into a folder that transformers loads; a folder that holds one is left as it is.

    Raises:
        SystemExit: no such shape.
        ValueError: its sizes are no multiples of t5-nano's.
    """
    if name not in SHAPES:
        raise SystemExit(f"error: no shape '{name}'; there is {', '.join(SHAPES)}")
    if (folder / "model.safetensors").exists():
        return folder
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    small = T5ForConditionalGeneration.from_pretrained(SOURCE)
    common = {"vocab_size": VOCABULARY, "dropout_rate": 0.1, "num_decoder_layers": SHAPES[name]["num_layers"]}
    model = T5ForConditionalGeneration(T5Config.from_dict(small.config.to_dict() | common | SHAPES[name]))
    model.load_state_dict(grown(small, model))
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")  # a killed process leaves no half a model
    model.save_pretrained(partial)
    AutoTokenizer.from_pretrained(tokenizer or SOURCE).save_pretrained(partial)
    partial.rename(folder)
    return folder


def grown(small: T5ForConditionalGeneration, large: T5ForConditionalGeneration) -> dict[str, Tensor]:
    """Weights with which the large model computes what the small one does; its own where they do not matter.

    Raises:
        ValueError: its sizes are no multiples of the small one's.
    """
    import torch

    given, found = small.state_dict(), large.state_dict()
    wider = large.config.d_model // small.config.d_model
    if large.config.d_kv != small.config.d_kv:
        raise ValueError(f"heads of width {large.config.d_kv} cannot be grown from those of {small.config.d_kv}")
    layers = {"encoder": len(small.encoder.block), "decoder": len(small.decoder.block)}
    for name, there in found.items():
        part, _, block = name.partition(".block.")
        number, _, inner = block.partition(".")
        if number and int(number) >= layers[part]:
            if name.endswith((".o.weight", ".wo.weight")):
                there.zero_()  # such a layer adds nothing to the residual stream
            continue
        weight = given[name]
        if name in ("shared.weight", "lm_head.weight") or name.endswith("embed_tokens.weight"):
            weight = torch.cat([weight, weight[UNKNOWN].expand(len(there) - len(weight), -1)])
        times = [large_size // size for large_size, size in zip(there.shape, weight.shape, strict=True)]
        if [n * size for n, size in zip(times, weight.shape, strict=True)] != list(there.shape):
            raise ValueError(f"{name}: {tuple(there.shape)} is no multiple of {tuple(weight.shape)}")
        there.copy_(weight.repeat(*times))
        if inner.endswith((".q.weight", ".k.weight", ".v.weight", ".o.weight", ".wi.weight", ".wo.weight")):
            there.div_(times[1])  # each input is there so many times
    found["decoder.final_layer_norm.weight"].mul_(wider**-0.5)  # logits are sums over d, divided by its root
    return found


def main() -> None:
    """Write one shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=list(SHAPES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokenizer", type=Path, help="folder of another tokenizer, e.g. T5's own")
    args = parser.parse_args()
    args.folder.parent.mkdir(parents=True, exist_ok=True)
    print(write_shape(args.shape, args.folder, args.tokenizer))


if __name__ == "__main__":
    main()
