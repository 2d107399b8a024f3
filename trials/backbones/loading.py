"""The frozen models that trials share: loading, and the two architectures behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from trials.backbones.answers import AnswerTree
from trials.backbones.base import IGNORED, Backbone, Decode, Embed, Inputs
from trials.backbones.check import Finding, check, check_half, found_once, unsupported
from trials.backbones.decoder_only import DecoderOnly
from trials.backbones.facts import UNKNOWN_REVISION, Facts, describe, from_config, load_tokenizer, refuse_own_code
from trials.backbones.precision import DTYPES, Precision
from trials.backbones.t5 import weight_updates as t5_changes
from trials.backbones.t5.forward import T5, Encoded, Past
from trials.batching.dropout import Dropout
from trials.batching.passes import Grain
from trials.config import Architecture
from trials.errors import BackboneError

__all__ = ["IGNORED", "Backbone", "DecoderOnly", "Embed", "EncoderDecoder", "Inputs", "load_backbone", "loaded_facts"]


class EncoderDecoder(Backbone):
    """T5 and its like: prompt and offsets on the encoder's side only, the decoder as it is."""

    embeds_answers = False

    def __init__(self, model: Any, tokenizer: Any, facts: Facts, precision: Precision) -> None:
        super().__init__(model, tokenizer, facts, precision)
        self.t5 = T5(model, DTYPES[precision])
        start = getattr(model.config, "decoder_start_token_id", None)
        if start is None:
            raise BackboneError([f"--backbone {facts.name}: its config has no decoder_start_token_id (T5's is 0)"])
        self.start = int(start)

    @property
    def grain(self) -> Grain:
        """See `Backbone.grain`."""
        return self.t5.grain

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """See `Backbone.projections`."""
        return t5_changes.projections(self.t5)

    def changed(self, additions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Backbone.changed`."""
        return t5_changes.changed(self.t5, additions)

    def using(self, weights: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """See `Backbone.using`."""
        return t5_changes.using(self.t5, weights)

    def answer_logits(self, inputs: Inputs, targets: Tensor, dropout: Dropout | None = None) -> Tensor:
        """See `Backbone.answer_logits`."""
        shifted = nn.functional.pad(targets[:, :-1], (1, 0), value=self.start)
        n = targets.shape[1]
        encoded = self.t5.encode(inputs.embeddings, inputs.lengths, dropout)
        depths = torch.arange(n, device=self.device)
        tokens = shifted.masked_fill(shifted == IGNORED, self.facts.pad_token_id)
        return self.t5.logits(self.t5.decode(encoded, tokens, depths, depths <= depths[:, None], dropout))

    def tree_logits(self, inputs: Inputs, tree: AnswerTree) -> tuple[Tensor, Decode | None]:
        """See `Backbone.tree_logits`. The decoder's own tokens are never shifted."""
        encoded = self.t5.encode(inputs.embeddings, inputs.lengths)
        tokens = self.numbers([self.start, *tree.tokens]).expand(len(inputs.lengths), -1)
        visible = torch.from_numpy(tree.visible).to(self.device)
        logits = self.t5.logits(self.t5.decode(encoded, tokens, self.numbers(tree.depths), visible))
        return logits, lambda rows, most: self._decoded(encoded.rows(self.numbers(rows)), most)

    def greedy(self, inputs: Inputs, max_new_tokens: int, embed: Embed) -> Tensor:
        """See `Backbone.greedy`."""
        return self._decoded(self.t5.encode(inputs.embeddings, inputs.lengths), max_new_tokens)

    def _decoded(self, encoded: Encoded, max_new_tokens: int) -> Tensor:
        past, rows = Past(), len(encoded.states)

        def step(tokens: Tensor, number: int) -> Tensor:
            depths = torch.arange(number + 2, device=self.device)
            visible = torch.ones(1, number + 2, dtype=torch.bool, device=self.device)
            return self.t5.logits(self.t5.decode(encoded, tokens[:, None], depths, visible, past=past))[:, -1]

        first = torch.full((rows,), self.start, device=self.device)
        return self._greedy(step(first, -1), max_new_tokens, step)


MODELS: dict[Architecture, tuple[Any, type[EncoderDecoder] | type[DecoderOnly]]] = {
    "encoder-decoder": (AutoModelForSeq2SeqLM, EncoderDecoder),
    "decoder-only": (AutoModelForCausalLM, DecoderOnly),
}


def load_backbone(
    name: str, device: str | torch.device = "cpu", precision: Precision = "float32", cache_dir: Path | None = None
) -> Backbone:
    """Load a backbone, frozen.

    Where it is seen for the first time, what it computes is compared with what transformers computes
    (`trials.backbones.check`); the finding is kept in the cache.

    Args:
        name: ``t5-nano`` (embedded), a folder, or a model id of the Hugging Face hub.
        device: where it goes.
        precision: of its arithmetic; float32 is that of the published runs.
        cache_dir: where findings are kept; None: `trials.data.cache.default_cache_dir`.

    Raises:
        BackboneError: no such model, no weights, not a language model, or none that is computed right here.
    """
    facts = describe(name)
    tokenizer = load_tokenizer(facts)
    model = load_model(facts).to(device)
    facts = loaded_facts(facts, model.config)
    made: list[Backbone] = []

    def find() -> Finding:
        whole = made_of(model, tokenizer, facts)
        finding = check(whole, model)
        if precision != "float32":
            del whole  # which may be a copy of all weights
            made.append(made_of(model, tokenizer, facts, precision))
            check_half(made[0], model, finding)
        else:
            made.append(whole)
        return finding

    finding = found_once(model.config, facts.revision, precision, torch.device(device), find, cache_dir)
    backbone = made[0] if made else made_of(model, tokenizer, facts, precision)
    finding.tell(backbone)
    return backbone


def load_model(facts: Facts) -> Any:
    """The model of transformers in float32, all of its weights read from files.

    Raises:
        BackboneError: it cannot be loaded, or weights are missing.
    """
    kind, _ = MODELS[facts.architecture]
    try:  # weights that are no safetensors (on the hub) are read with torch's weights_only, which runs no code either
        model, info = kind.from_pretrained(
            facts.location, dtype=torch.float32, trust_remote_code=False, output_loading_info=True
        )
    except Exception as error:
        refuse_own_code(facts.location, error)
        why = f"{type(error).__name__}: {(str(error).strip() or 'no words').splitlines()[0][:160]}"
        raise BackboneError([f"--backbone {facts.name}: transformers cannot load it ({why})"]) from error
    problems = [
        f"{len(info[kind])} weights are {word}, such as {sorted(map(str, info[kind]))[0]}"
        for kind, word in (("missing_keys", "missing"), ("mismatched_keys", "of another shape than its config says"))
        if info[kind]
    ]
    if problems:  # transformers would make up what it does not find, anew each time
        rule = "give a folder that save_pretrained has written from the whole model"
        raise BackboneError([f"--backbone {facts.name}: {'; '.join(problems)}; {rule}"])
    return model


def made_of(model: Any, tokenizer: Any, facts: Facts, precision: Precision = "float32") -> Backbone:
    """A loaded model as a backbone.

    Raises:
        BackboneError: its parts are not where they are looked for.
    """
    kind = str(model.config.model_type)
    try:
        backbone = MODELS[facts.architecture][1](model, tokenizer, facts, precision)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise unsupported(facts.name, kind, f"its parts are not where they are looked for ({error})") from error
    width = backbone.embedding.shape[1]
    if width != facts.width:  # plans and budgets have been made with the other
        what = f"its embeddings are {width} wide, and its config lets expect {facts.width}"
        raise unsupported(facts.name, kind, what)
    return backbone


def loaded_facts(facts: Facts, config: Any) -> Facts:
    """The facts with what only the loaded config knows: special tokens, and the hub's revision."""
    unknown = facts.revision == UNKNOWN_REVISION
    revision = getattr(config, "_commit_hash", None) or facts.revision if unknown else facts.revision
    return replace(from_config(config.to_dict(), facts.name, facts.location), revision=revision)
