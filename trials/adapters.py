"""Adapter files: what a search is for, in two small files that load without executing code.

``adapter_model.safetensors`` holds the method's tensors, ``adapter_config.json`` everything needed to use them again:
method, configuration, recipe, backbone with its fingerprint, the task's template and labels. The layout is PEFT's, with
``peft_type`` ADEPT, DEPT, PROMPT_TUNING or LORA; stock PEFT knows neither of the first two, and loads the last as its
own (of the keys that it does not know it says that it ignores them).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from trials.backbone_facts import DEFAULT, Facts
from trials.backbones import Backbone, load_backbone
from trials.config import TrialConfig
from trials.data import encode_source
from trials.errors import UserError
from trials.evaluation import answers
from trials.methods import Method, make_method
from trials.methods.lora import ALPHA
from trials.tasks.base import Task, render, template_columns

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PEFT_TYPES = {"adept": "ADEPT", "dept": "DEPT", "pt": "PROMPT_TUNING", "lora": "LORA"}


def describe_adapter(
    config: TrialConfig, task: Task, backbone: Backbone, max_source_length: int, max_target_length: int
) -> dict[str, Any]:
    """The contents of an adapter's config, apart from what its training reached."""
    facts = backbone.facts
    return {
        "peft_type": PEFT_TYPES[config.method],
        "task_type": "SEQ_2_SEQ_LM" if facts.architecture == "encoder-decoder" else "CAUSAL_LM",
        "base_model_name_or_path": DEFAULT if facts.name == DEFAULT else facts.location,
        "backbone_revision": facts.revision,
        **_of_peft(config, facts),
        "trial": config.as_dict(),
        "task": task.name,
        "template": task.template,
        "labels": {str(value): text for value, text in task.labels.items()},
        "metrics": list(task.metrics),
        "max_source_length": max_source_length,
        "max_target_length": max_target_length,
    }


def _of_peft(config: TrialConfig, facts: Facts) -> dict[str, Any]:
    """What PEFT wants to know of a method."""
    if config.method != "lora":
        return {"num_virtual_tokens": config.prompt_length}
    return {
        "r": config.hyperparameters["rank"],
        "lora_alpha": config.hyperparameters.get("alpha", ALPHA),
        "lora_dropout": 0.0,
        "target_modules": list(facts.projections),
        "bias": "none",
        "inference_mode": True,
    }


def save_adapter(folder: Path, state: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    """Write an adapter's two files into ``folder`` (made if need be).

    Args:
        state: as `Method.to_file` gives it.
        description: as `describe_adapter` gives it, and what the training reached.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().cpu().contiguous() for k, v in state.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")


class Adapter:
    """A trained method on its backbone, ready to answer.

    >>> adapter = load_adapter("runs/debsec-adept-t5-nano/best_adapter")
    >>> adapter.predict(["arcade game with falling blocks"])
    ['0']
    """

    def __init__(self, backbone: Backbone, method: Method, description: dict[str, Any]) -> None:
        self.backbone, self.method, self.description = backbone, method, description

    def predict(self, inputs: Sequence[str | Mapping[str, str]]) -> list[str]:
        """The answer to each input.

        Args:
            inputs: rows of the task as mappings from column to text; or texts, where the template has one column.

        Returns:
            The target texts as the task defines them, e.g. the digits of its labels.

        Raises:
            UserError: an input lacks a column of the template.
        """
        template = self.description["template"]
        sources = [
            encode_source(
                fill(template, row), self.backbone.tokenizer, self.backbone.facts.architecture,
                self.description["max_source_length"],
            )
            for row in inputs
        ]  # fmt: skip
        return answers(self.backbone, [self.method], sources, self.description["max_target_length"])[0]


def fill(template: str, row: str | Mapping[str, str]) -> str:
    """A row's source text."""
    columns = template_columns(template)
    if isinstance(row, str):
        if len(columns) != 1:
            names = ", ".join(columns)
            raise UserError([f"the template {template!r} has the columns {names}: give rows as mappings, not texts"])
        row = {columns[0]: row}
    if gone := [c for c in columns if c not in row]:
        raise UserError([f"row {dict(row)!r} lacks the column(s) {', '.join(gone)} of the template {template!r}"])
    return render(template, row)


def load_adapter(folder: str | Path, backbone: Backbone | None = None, device: str = "cpu") -> Adapter:
    """Load an adapter, and its backbone unless one is given.

    Raises:
        UserError: the folder holds no adapter, or it was trained on other weights than the backbone's.
    """
    folder = Path(folder)
    if not (folder / CONFIG).exists() or not (folder / WEIGHTS).exists():
        raise UserError([f"{folder} holds no adapter: {CONFIG} and {WEIGHTS} are expected there"])
    description = json.loads((folder / CONFIG).read_text())
    backbone = backbone or load_backbone(description["base_model_name_or_path"], device)
    trained, here = description["backbone_revision"], backbone.facts.revision
    if trained != here:
        raise UserError([f"{folder} was trained on other weights of {backbone.facts.name}: {trained}, here {here}"])
    config = TrialConfig(**description["trial"])
    around = backbone.surroundings(description["max_source_length"])
    if "target_modules" in description:  # an adapter's own: those of before have no keys' on decoder-only models
        own = {n: s for n, s in around.projections.items() if n.rpartition(".")[2] in description["target_modules"]}
        around = replace(around, projections=own)
    method = make_method(config, around)
    method.load_state_dict(method.from_file(load_file(folder / WEIGHTS)))
    return Adapter(backbone, method.to(backbone.device), description)
