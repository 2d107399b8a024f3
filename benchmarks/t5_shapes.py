"""T5 in its published sizes with random weights, for timing where the weights cannot be had.

    python -m benchmarks.t5_shapes t5-small FOLDER [--tokenizer FOLDER]

The numbers of a step do not depend on the weights' values, so a random T5 takes the time and the memory of the real
one; its scores mean nothing. The tokenizer is t5-nano's unless another is given; T5's own gives a task's real lengths,
while t5-nano's 8,128 pieces cut the same text into a few more tokens. The vocabulary has T5's size either way.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from trials.backbone_facts import EMBEDDED

# Raffel et al. 2020 (the T5 paper), sections 3.1.1 and 3.7; layers are those of the encoder, and of the decoder again.
SHAPES: dict[str, dict[str, int]] = {
    "t5-small": {"d_model": 512, "d_ff": 2048, "num_heads": 8, "num_layers": 6},
    "t5-base": {"d_model": 768, "d_ff": 3072, "num_heads": 12, "num_layers": 12},
    "t5-large": {"d_model": 1024, "d_ff": 4096, "num_heads": 16, "num_layers": 24},
}
VOCABULARY = 32_128
SEED = 0


def write_shape(name: str, folder: Path, tokenizer: Path | None = None) -> Path:
    """Write a T5 of that shape into a folder that transformers loads; a folder that holds one is left as it is.

    Raises:
        SystemExit: no such shape.
    """
    if name not in SHAPES:
        raise SystemExit(f"error: no shape '{name}'; there is {', '.join(SHAPES)}")
    if (folder / "model.safetensors").exists():
        return folder
    import torch
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    torch.manual_seed(SEED)
    common = {"vocab_size": VOCABULARY, "d_kv": 64, "dropout_rate": 0.1, "decoder_start_token_id": 0}
    config = T5Config.from_dict(common | SHAPES[name])
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")  # a killed process leaves no half a model
    T5ForConditionalGeneration(config).save_pretrained(partial)
    AutoTokenizer.from_pretrained(tokenizer or EMBEDDED / "t5-nano").save_pretrained(partial)
    partial.rename(folder)
    return folder


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
