"""Adapter files: what a search is for, in two small files that load without executing code.

``adapter_model.safetensors`` holds the method's tensors, ``adapter_config.json`` everything needed to use them again:
method, configuration, recipe, backbone with its fingerprint and precision, the task's template and labels. The layout
is PEFT's, with a ``peft_type`` by method (`Method.peft_type`). Stock PEFT loads those that are its own, such as LORA
(of the keys that it does not know it says that it ignores them), and knows no others, such as ADEPT.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from trials.backbones.facts import DEFAULT
from trials.backbones.loading import Backbone, load_backbone
from trials.backbones.precision import DTYPES, Precision
from trials.backbones.revisions import same_revision, why_not_same
from trials.config import Lane, TrialConfig
from trials.data.tokens import encode_labels, encode_sources
from trials.errors import BackboneError, UserError
from trials.evaluation import answers, answers_and_likelihoods
from trials.export.files import CONFIG, WEIGHTS, as_text
from trials.export.predictions import Prediction, Row, as_answered, by_columns, predictions
from trials.export.tensors import write_tensors
from trials.methods import get_method
from trials.methods.base.module import MethodModule, make_method
from trials.tasks.base import Task, render, template_columns
from trials.tasks.targets import Kind, label_key
from yaml_reader.home import from_home

ROWS = 1_000
"""Rows that are answered together."""

_NEEDED = {
    "base_model_name_or_path": str,
    "backbone_revision": str,
    "trial": dict,
    "template": str,
    "labels": dict,
    "max_source_length": int,
    "max_target_length": int,
}
"""What an adapter's config must hold, with the JSON type of each."""


def describe_adapter(
    config: TrialConfig, task: Task, backbone: Backbone, max_source_length: int, max_target_length: int
) -> dict[str, Any]:
    """The contents of an adapter's config, apart from what its training reached."""
    facts, method = backbone.facts, get_method(config.method)
    return {
        "peft_type": method.peft_type or method.name.upper(),
        "task_type": "SEQ_2_SEQ_LM" if facts.architecture == "encoder-decoder" else "CAUSAL_LM",
        "base_model_name_or_path": DEFAULT if facts.is_embedded else facts.copy_of or facts.location,
        "backbone_revision": facts.revision,
        "precision": backbone.precision,
        **method.peft_config(config.hyperparameters, facts),
        "trial": config.as_dict(),
        "task": task.name,
        "template": task.template,
        "separator": task.separator,
        "stops": list(task.stops),
        "target": task.target.kind,
        "tsv_quoting": task.tsv_quoting,
        "labels": {str(value): text for value, text in task.labels.items()},
        "label_of": {text: label_key(value) for value, text in reversed(list(task.labels.items()))},
        "metrics": list(task.metrics),
        "max_source_length": max_source_length,
        "max_target_length": max_target_length,
    }


def save_adapter(folder: Path, state: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    """Write an adapter's two files into ``folder`` (made if need be).

    Args:
        state: as `Method.to_file` gives it.
        description: as `describe_adapter` gives it, and what the training reached.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / WEIGHTS, state)
    (folder / CONFIG).write_text(as_text(description))


class Adapter:
    """A trained method on its backbone, ready to answer.

    >>> adapter = load_adapter("runs/debsec-adept-t5-nano/best_adapter")
    >>> adapter.predict(["arcade game with falling blocks"])
    ['0']

    Attributes:
        columns: those that a row must have, as the template names them.
        kind: what is answered: labels, a text or a number.
        labels: target text -> the user's label; empty for a text or a number.
    """

    def __init__(self, backbone: Backbone, method: MethodModule, description: dict[str, Any]) -> None:
        self.backbone, self.method, self.description = backbone, method, description
        self.columns = template_columns(description["template"])
        self.kind: Kind = description.get("target", "labels")
        labels = reversed(list(description["labels"].items()))  # adapters of before have no more than these
        self.labels: dict[str, str] = description.get("label_of") or {text: label for label, text in labels}

    def without_offsets(self) -> Adapter:
        """The same with its prompt alone: tokens as the backbone embeds them (ADePT's Table 11).

        Raises:
            UserError: the method has no offsets.
        """
        method = self.method.method
        if not method.offset_ends:
            raise UserError([f"{method.name} has no offsets of token embeddings that could be left out"])
        zeros = {name: torch.zeros_like(self.method.get_parameter(name)) for name in method.offset_ends}
        return self._changed(zeros)

    def with_offsets_moved(self, places: int) -> Adapter:
        """The same with its offsets by place shifted cyclically to the left (ADePT's Table 1).

        Args:
            places: token t gets the offset of place t + places, counted around ``max_source_length``.

        Raises:
            UserError: the method's offsets do not depend on places.
        """
        method = self.method.method
        if not method.offset_places:
            raise UserError([f"{method.name} has no offsets by place that could be shifted (dept has)"])
        table = self.method.get_parameter(method.offset_places).detach()
        return self._changed({method.offset_places: table.roll(-places, 0)})

    @property
    def _longest(self) -> int:
        """Tokens that a source may have. Training has seen to it that there are positions for its own rows alone."""
        module = self.method
        prefix = module.method.prefix_length(module.hyperparameters)
        room = self.backbone.room(module.prompt_length, prefix, self.description["max_target_length"])
        allowed = int(self.description["max_source_length"])
        return allowed if room is None else min(allowed, room)

    def _changed(self, tensors: Mapping[str, torch.Tensor]) -> Adapter:
        changed = copy.deepcopy(self.method)
        changed.load_state_dict({**self.method.state_dict(), **tensors})
        return Adapter(self.backbone, changed, self.description)

    def predict(self, inputs: Sequence[Row]) -> list[str]:
        """The answer to each input.

        Args:
            inputs: rows of the task as mappings from column to text; or texts, where the template has one column.

        Returns:
            What the backbone writes: a target text as the task defines it, e.g. the digit of a label.

        Raises:
            UserError: inputs that lack a column of the template, or hold something else than text.
        """
        return [prediction.answer for prediction in self.predict_rows(inputs)]

    def predict_rows(self, inputs: Sequence[Row]) -> list[Prediction]:
        """The user's label of each input and its probability, or a text or number; the answers are those of `predict`.

        Raises:
            UserError: as `predict`, with the numbers of all wrong rows.
        """
        rows = by_columns(inputs, self.columns)
        tokenizer, architecture = self.backbone.tokenizer, self.backbone.facts.architecture
        longest, template = self._longest, self.description["template"]
        separator, stops = self.description.get("separator"), self.description.get("stops", ())
        targets = list(encode_labels(list(self.labels), tokenizer, architecture).values())
        found: list[Prediction] = []
        for first in range(0, len(rows), ROWS):
            texts = [render(template, row) for row in rows[first : first + ROWS]]
            sources = encode_sources(texts, tokenizer, architecture, longest, template, separator)
            most = self.description["max_target_length"]
            if self.kind == "labels":
                given, likelihoods = answers_and_likelihoods(self.backbone, self.method, sources, most, targets)
                found += predictions(given, likelihoods, self.labels)
            else:
                found += as_answered(answers(self.backbone, [self.method], sources, most, stops=stops)[0], self.kind)
        return found


def load_adapter(
    folder: str | Path,
    backbone: Backbone | str | Path | None = None,
    device: str = "cpu",
    precision: Precision | None = None,
) -> Adapter:
    """Load an adapter, and its backbone unless one is given.

    Args:
        backbone: a loaded one, which stays as it is; or where it is now, if not where the adapter says.
        device: where the backbone is loaded to.
        precision: of a backbone that is loaded; None: the one that the adapter was scored in.

    Raises:
        UserError: the folder holds no adapter or a damaged one, its backbone is not there, or it was trained on other
            weights than the backbone's.
    """
    folder = from_home(folder)
    description = read_description(folder)
    if not isinstance(backbone, Backbone):
        backbone = _loaded(folder, description, backbone, device, precision)
    trained, facts = str(description["backbone_revision"]), backbone.facts
    if not same_revision(trained, facts.revision, facts.location):
        raise UserError(
            [
                f"{folder} was trained on other weights of {facts.name}: {why_not_same(trained, facts.revision)}. On "
                f"{facts.location} it would answer garbage: load it with the backbone that it was trained on "
                "(adept-search predict: --backbone FOLDER), or, if you know that this is the one, write its revision "
                f"{facts.revision} into {folder / CONFIG}"
            ]
        )
    around = backbone.surroundings(description["max_source_length"])
    inside = get_method(str(description["trial"]["method"])).kind == "inner"
    if (
        inside and "target_modules" in description
    ):  # an adapter's own: those of before have no keys' on decoder-only models
        own = {n: s for n, s in around.projections.items() if n.rpartition(".")[2] in description["target_modules"]}
        around = replace(around, projections=own)
    try:
        config = TrialConfig(**description["trial"])
        # The file has all that a trial made of its sources: their place alone is kept for it, where it needs one.
        if not get_method(config.method).sources[0]:
            config = replace(config, sources=())
        places = {name: torch.zeros(config.prompt_length, backbone.facts.width) for name in config.sources}
        method = make_method(config, replace(around, sources=places), trained=True)
        method.load_state_dict(method.from_file(load_file(folder / WEIGHTS)))
    except (SafetensorError, OSError, TypeError, KeyError, ValueError, RuntimeError) as error:
        raise UserError(
            [
                f"{folder}: {WEIGHTS} is damaged or does not belong to the {CONFIG} beside it ("
                f"{' '.join(str(error).split())[:200]}); copy both again from where they were made"
            ]
        ) from error
    return Adapter(backbone, method.to(backbone.device), description)


def read_description(folder: Path) -> dict[str, Any]:
    """The contents of an adapter's config.

    Raises:
        UserError: the folder holds no adapter, or its config is not what `describe_adapter` writes.
    """
    if not (folder / CONFIG).exists() or not (folder / WEIGHTS).exists():
        raise UserError([f"{folder} holds no adapter: {CONFIG} and {WEIGHTS} are expected there"])
    file = folder / CONFIG
    again = "copy it again from where it was made"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError([f"{file} is damaged: it is not JSON ({error}); {again}"]) from error
    if not isinstance(found, dict):
        raise UserError([f"{file} is damaged: it holds no mapping; {again}"])
    wrong = [key for key, kind in _NEEDED.items() if not isinstance(found.get(key), kind)]
    if wrong:
        raise UserError([f"{file} is damaged or was not written here: {', '.join(wrong)} missing or wrong; {again}"])
    if (precision := found.get("precision", "float32")) not in DTYPES:
        raise UserError([f"{file}: precision is {precision!r}, but must be one of {', '.join(get_args(Precision))}"])
    try:
        get_method(str(found["trial"].get("method")))
    except UserError as error:
        raise UserError([f"{file}: trial: {problem}" for problem in error.problems]) from error
    try:
        template_columns(found["template"])
    except ValueError as error:
        raise UserError([f"{file}: template: {error}"]) from error
    return found


def _loaded(
    folder: Path, description: Mapping[str, Any], backbone: str | Path | None, device: str, precision: Precision | None
) -> Backbone:
    """The backbone of an adapter, from the place that it names."""
    name = str(backbone or description["base_model_name_or_path"])
    try:
        lane: Lane | None = "stock" if get_method(description["trial"]["method"]).kind == "modules" else None
        scored_in, trained = precision or description.get("precision", "float32"), description["backbone_revision"]
        return load_backbone(name, device, scored_in, lane=lane, revision="" if backbone else trained)
    except BackboneError as error:
        if backbone is not None:
            raise
        place = f"{folder} was trained on the backbone {name}: where it is now, --backbone FOLDER says (from Python, "
        raise BackboneError([*error.problems, f"{place}load_adapter(..., backbone=FOLDER))"]) from error
