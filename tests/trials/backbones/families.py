"""Every family of language models that transformers can build small, with random weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml
from transformers import CONFIG_MAPPING, PretrainedConfig
from transformers.models.auto import modeling_auto

from trials.backbones.check import check
from trials.backbones.facts import from_config
from trials.backbones.loading import MODELS, Backbone, DecoderOnly, made_of
from trials.config import Architecture
from trials.errors import BackboneError

CAUSAL: dict[str, Any] = dict(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
SEQ2SEQ: dict[str, Any] = dict(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)
MOST = 20_000_000  # weights: above this it is not small


@cache
def described() -> dict[str, Any]:
    """families.yaml."""
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())


@cache
def _sizes() -> dict[str, int]:
    return {name: size for size, names in described()["sizes"].items() for name in names}


def names() -> list[str]:
    """Families as transformers calls them, and the variants of some."""
    return sorted({*CAUSAL, *SEQ2SEQ}) + sorted(described()["variants"])


def config(name: str) -> PretrainedConfig:
    """A small config of a family or variant."""
    changes = dict(described()["variants"].get(name, {}))
    family = changes.pop("of", name)
    return _small(CONFIG_MAPPING[family], {**described()["more"].get(family, {}), **changes})


def _small(kind: type[PretrainedConfig], changes: dict[str, Any]) -> PretrainedConfig:
    sizes, own = _sizes(), {theirs: name for name, theirs in getattr(kind, "attribute_map", {}).items()}
    made: dict[str, Any] = {"bos_token_id": 3, "eos_token_id": 1, "pad_token_id": 0}
    for name, value in vars(kind()).items():
        size = sizes.get(name) or sizes.get(own.get(name, ""))
        if isinstance(value, PretrainedConfig):
            more = {"is_decoder": True, "add_cross_attention": True} if name == "decoder" else {}
            made[name] = _small(type(value), {**described()["more"].get(value.model_type, {}), **more})
        elif size and isinstance(value, int) and not isinstance(value, bool) and value > 0:
            made[name] = min(value, size)
    return kind(**{**made, **changes})


def build(small: PretrainedConfig, architecture: Architecture) -> Any:
    """A model with random weights, its norms away from 1, which would hide a forgotten one.

    Raises:
        BackboneError: transformers has no such model of the family.
        MemoryError: it is not small.
    """
    kind = getattr(transformers, MODELS[architecture])
    if type(small) not in kind._model_mapping:
        raise BackboneError("transformers cannot load it as a language model")
    with torch.device("meta"):
        weights = sum(p.numel() for p in kind.from_config(small).parameters())
    if weights > MOST:
        raise MemoryError(f"{weights / 1e6:.0f} million weights")
    torch.manual_seed(0)
    model = kind.from_config(small).eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
        ids = torch.tensor([[5, 6, 7]])
        model(input_ids=ids, **({"decoder_input_ids": ids} if small.is_encoder_decoder else {}))
    return model


@dataclass(frozen=True)
class Verdict:
    """What becomes of a family as a backbone.

    Attributes:
        state: ``right``, ``refused`` or ``apart`` (cannot be built small).
        why: in words without numbers; of one that is right, how its rows are read.
        backbone: and transformers' own model, untouched; of one that is right.
    """

    state: str
    why: str
    backbone: Backbone | None = None
    model: Any = None


def verdict(name: str, tokenizer: Any) -> Verdict:
    """Build a family and have it checked as `trials.backbones.loading.load_backbone` does."""
    try:
        small = config(name)
        facts = from_config(small.to_dict(), name, name)
        model = build(small, facts.architecture)
    except BackboneError as error:
        return Verdict("refused", _in_short(error))
    except Exception as error:  # of transformers, which wants a size or a package that is not here
        return Verdict("apart", type(error).__name__)
    try:
        untouched = deepcopy(model)
        backbone = made_of(model, tokenizer, facts)
        finding = check(backbone, model)
        finding.apply(backbone)
    except BackboneError as error:
        return Verdict("refused", _in_short(error))
    once = not isinstance(backbone, DecoderOnly) or backbone.trees
    return Verdict("right", "once" if once else "again", backbone, untouched)


def _in_short(error: BackboneError) -> str:
    """The reason alone, without names and numbers."""
    text = str(error).removesuffix("; choose another backbone (docs/backbones.md has the list)")
    text = re.sub(r"^--backbone .*?: (models of the type '.*?' are not supported: )?", "", text)
    text = re.sub(r"\(shape .*?\)|of shape \(.*?\) ", "", text)
    text = re.sub(r"transformers' (\w+): .*", r"transformers' own code raises \1", text)
    text = re.sub(r" differ by .* %.*", " differ", text)
    text = re.sub(r"of no row of \d+", "of no single row", text)
    return re.sub(r" of model type '.*?'|model type '.*?' | \('.*?'\)| \(\w*Error: .*\)", "", text).strip()


def page(verdicts: Mapping[str, Verdict]) -> str:
    """What docs/backbones.md lists."""
    right = {why: [n for n, v in verdicts.items() if (v.state, v.why) == ("right", why)] for why in ("once", "again")}
    lines = [f"Made with transformers {transformers.__version__}.", ""]
    lines += ["**Right**, a row is read once for all answers: " + _quoted(right["once"]) + ".", ""]
    lines += ["**Right**, a row is read again for each answer: " + _quoted(right["again"]) + ".", ""]
    lines += ["| refused | because |", "| --- | --- |"]
    refused = {v.why: None for v in verdicts.values() if v.state == "refused"}
    lines += [f"| {_quoted([n for n, v in verdicts.items() if v.why == why])} | {why} |" for why in refused]
    apart = [n for n, v in verdicts.items() if v.state == "apart"]
    return "\n".join([*lines, "", "**Not tried**, as no small one could be built here: " + _quoted(apart) + ".", ""])


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
