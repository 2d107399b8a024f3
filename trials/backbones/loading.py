"""The frozen models that trials share: loading them, in the lane that computes them.

The fast lane is T5's own forward pass of this project (`trials.backbones.t5`); the stock lane calls a model of
`transformers` as it is (`trials.backbones.stock`, `trials.backbones.decoder_only`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from trials.backbones.base import IGNORED, Backbone, Embed, Inputs
from trials.backbones.check import Finding, check, check_half, found_once, known, unsupported
from trials.backbones.decoder_only import DecoderOnly
from trials.backbones.describe import describe, hub_commit, load_tokenizer, refuse_own_code
from trials.backbones.facts import Facts, from_config
from trials.backbones.precision import Precision, in_halves, products_as
from trials.backbones.stock import Seq2Seq, StockBackbone
from trials.backbones.t5.backbone import T5Backbone
from trials.backbones.t5.saved import saved_t5
from trials.config import Architecture, Lane
from trials.errors import BackboneError
from trials.hub import explained, is_the_hubs

__all__ = [
    "IGNORED",
    "Backbone",
    "DecoderOnly",
    "Embed",
    "Inputs",
    "Seq2Seq",
    "StockBackbone",
    "T5Backbone",
    "load_backbone",
]

MODELS: dict[Architecture, str] = {"encoder-decoder": "AutoModelForSeq2SeqLM", "decoder-only": "AutoModelForCausalLM"}
"""The classes of transformers that load them, imported where one is needed: that takes seconds."""


def load_backbone(
    name: str,
    device: str | torch.device = "cpu",
    precision: Precision = "float32",
    cache_dir: Path | None = None,
    lane: Lane | None = None,
    revision: str = "",
) -> Backbone:
    """Load a backbone, frozen.

    Where it is seen for the first time, what it computes is compared with what transformers computes
    (`trials.backbones.check`); the finding is kept in the cache.

    Args:
        name: ``t5-nano`` (embedded), a folder, or a model id of the Hugging Face hub.
        device: where it goes.
        precision: of its arithmetic; float32-exact is that of the published runs (`products_as`). This process
            multiplies so from now on.
        cache_dir: where findings are kept; None: `trials.data.cache.default_cache_dir`.
        lane: ``stock`` to have transformers' own code compute it; None: the fastest there is (`Facts.lane`).
        revision: the commit of a model of the hub; empty: that of the copy on this machine, or else the newest.

    Raises:
        BackboneError: no such model, no weights, not a language model, or none that is computed right here.
    """
    device = torch.device(device)
    products_as("float32-exact", device)  # what is compared below is, without rounding of products
    facts = in_lane(describe(name), lane)
    tokenizer = load_tokenizer(facts, wanted=revision)
    backbone = _saved_backbone(facts, tokenizer, device, precision, cache_dir)
    if backbone is None:
        model = load_model(facts, revision).to(device)
        facts = loaded_facts(facts, model.config, hub_commit(facts.location, revision))
        compared = _Compared(lambda: model, tokenizer, facts, precision)
        finding = found_once(_decides(model.config, facts, precision), device, compared.find, cache_dir)
        backbone = compared.backbone or made_of(model, tokenizer, facts, precision)
        finding.apply(backbone)
    products_as(precision, device)
    return backbone


def _saved_backbone(
    facts: Facts, tokenizer: Any, device: torch.device, precision: Precision, cache_dir: Path | None
) -> Backbone | None:
    """A backbone whose weights are read without transformers; None: they cannot be.

    The first process to see it loads transformers' model as well, to compare the two; others wait for what it finds.
    """
    saved = saved_t5(facts)
    if saved is None:
        return None
    facts, described = loaded_facts(facts, saved.config, None), _decides(saved.config, facts, precision)
    finding = known(described, device, cache_dir)
    if finding is None:
        del saved  # not two models in memory
        compared = _Compared(lambda: load_model(facts).to(device), tokenizer, facts, precision)
        finding = found_once(described, device, compared.find, cache_dir)
        if compared.backbone is not None:
            finding.apply(compared.backbone)
            return compared.backbone
        saved = saved_t5(facts)
        assert saved is not None
    backbone = made_of(saved.to(device), tokenizer, facts, precision)
    finding.apply(backbone)
    return backbone


class _Compared:
    """A backbone that is compared with the model of transformers that it is made of.

    Attributes:
        backbone: None as long as they have not been compared.
    """

    def __init__(self, load: Callable[[], Any], tokenizer: Any, facts: Facts, precision: Precision) -> None:
        self._load, self._tokenizer, self._facts, self._precision = load, tokenizer, facts, precision
        self.backbone: Backbone | None = None

    def find(self) -> Finding:
        """Compare, in float32 and in the precision that is asked for."""
        model = self._load()
        whole = made_of(model, self._tokenizer, self._facts)
        finding = check(whole, model)
        if in_halves(self._precision):
            del whole  # which may be a copy of all weights
            whole = made_of(model, self._tokenizer, self._facts, self._precision)
            check_half(whole, model, finding)
        self.backbone = whole
        return finding


def _decides(config: Any, facts: Facts, precision: Precision) -> list[str]:
    """What the finding about a backbone depends on: one of the same files need not be compared again."""
    return [config.to_json_string(use_diff=False), str(facts.revision), precision, facts.lane]


def in_lane(facts: Facts, lane: Lane | None) -> Facts:
    """The facts of a backbone in the lane that is asked for."""
    return replace(facts, lane="stock") if lane == "stock" else facts


def load_model(facts: Facts, wanted: str = "") -> Any:
    """The model of transformers in float32, all of its weights read from files.

    Args:
        wanted: the commit of a model of the hub; see `hub_commit`.

    Raises:
        BackboneError: it cannot be loaded, or weights are missing.
    """
    import transformers

    kind, commit = getattr(transformers, MODELS[facts.architecture]), hub_commit(facts.location, wanted)
    try:  # weights that are no safetensors (on the hub) are read with torch's weights_only, which runs no code either
        model, info = kind.from_pretrained(
            facts.location, dtype=torch.float32, trust_remote_code=False, output_loading_info=True, revision=commit,
            ignore_mismatched_sizes=True,  # they are named below, and refused
        )  # fmt: skip
    except Exception as error:
        refuse_own_code(facts.location, error)
        if commit is not None and is_the_hubs(error):
            why = explained(error, "model", facts.location, wanted or None)
            raise BackboneError([f"--backbone {facts.name}: {why}; or give a folder"]) from error
        why = f"{type(error).__name__}: {(str(error).strip() or 'no words').splitlines()[0][:160]}"
        raise BackboneError([f"--backbone {facts.name}: transformers cannot load it ({why})"]) from error
    problems = [
        f"{len(info[kind])} weights are {word}, such as {min(k[0] if isinstance(k, tuple) else k for k in info[kind])}"
        for kind, word in (("missing_keys", "missing"), ("mismatched_keys", "of another shape than its config says"))
        if info[kind]
    ]
    if problems:  # transformers would make up what it does not find, anew each time
        rule = "give a folder that save_pretrained has written from the whole model"
        raise BackboneError([f"--backbone {facts.name}: {'; '.join(problems)}; {rule}"])
    return model


def backbone_class(facts: Facts) -> type[T5Backbone] | type[Seq2Seq] | type[DecoderOnly]:
    """What computes a model in its lane."""
    if facts.lane == "fast":
        return T5Backbone
    return Seq2Seq if facts.architecture == "encoder-decoder" else DecoderOnly


def made_of(model: Any, tokenizer: Any, facts: Facts, precision: Precision = "float32") -> Backbone:
    """A loaded model as a backbone.

    Raises:
        BackboneError: its parts are not where they are looked for.
    """
    kind = str(model.config.model_type)
    try:
        backbone = backbone_class(facts)(model, tokenizer, facts, precision)
    except BackboneError as error:
        raise unsupported(facts.name, kind, str(error)) from error
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise unsupported(facts.name, kind, f"its parts are not where they are looked for ({error})") from error
    width = backbone.embedding.shape[1]
    if width != facts.width:  # plans and budgets have been made with the other
        what = f"its embeddings are {width} wide, and its config lets expect {facts.width}"
        raise unsupported(facts.name, kind, what)
    return backbone


def loaded_facts(facts: Facts, config: Any, commit: str | None) -> Facts:
    """The facts with what only the loaded config knows (special tokens), and the commit of a model of the hub."""
    revision = commit or facts.revision
    return replace(from_config(config.to_dict(), facts.name, facts.location), revision=revision, lane=facts.lane)
