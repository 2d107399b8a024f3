"""An adapter's soft prompt, to start another task's training from."""

from __future__ import annotations

from pathlib import Path

from trials.backbones.facts import Facts
from trials.backbones.revisions import same_revision, why_not_same
from trials.errors import UserError
from trials.export.files import WEIGHTS
from trials.methods import Sizes, get_method, method_names
from trials.source_prompts import SourcePrompt


def prompt_methods() -> list[str]:
    """The methods of this project whose adapters are a prompt and nothing else."""
    return [name for name in method_names() if _is_prompt_alone(name)]


def read_source_prompt(folder: Path, name: str, facts: Facts, origin: str) -> SourcePrompt:
    """The soft prompt of an adapter as it stands in front of a source: of MPT the product of its parts.

    Args:
        folder: of the adapter. name: what to call it. facts: of the backbone that it shall be used on.

    Raises:
        UserError: the folder holds no adapter or a damaged one, its method learns more than a prompt, or it was trained
            on another backbone.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from trials.export.adapters import read_description

    description = read_description(folder)
    method = get_method(str(description["trial"]["method"]))
    if not method.is_prompt_alone:
        learns = f"learnt by {method.name}, which is more than a soft prompt in front"
        raise UserError([f"source {name} ({origin}) was {learns}; take one of {', '.join(prompt_methods())}"])
    trained = str(description["backbone_revision"])
    if not same_revision(trained, facts.revision, facts.location):
        own = description["base_model_name_or_path"]
        why = why_not_same(trained, facts.revision)
        raise UserError(
            [
                f"source {name} ({origin}) was trained on other weights than those of {facts.name}, on {own}: {why}. "
                "Train the source on this backbone, or search on that one"
            ]
        )
    try:
        tensors = method.from_file(load_file(folder / WEIGHTS), Sizes.of(facts))
        prompt = method.prompt({key: tensor[None].float() for key, tensor in tensors.items()})[0]
        rows, width = prompt.shape
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError([f"source {name} ({origin}): {folder / WEIGHTS} is damaged ({reason})"]) from error
    if width != facts.width:
        raise UserError(
            [f"source {name} ({origin}) is {width} wide, and the embeddings of {facts.name} are {facts.width}"]
        )
    if not bool(prompt.isfinite().all()):
        raise UserError([f"source {name} ({origin}) holds numbers that are not finite: its training diverged"])
    numbers = np.ascontiguousarray(prompt.detach().numpy(), dtype="<f4").tobytes()
    return SourcePrompt(name, rows, width, numbers, origin)


def _is_prompt_alone(name: str) -> bool:
    try:
        return get_method(name).is_prompt_alone
    except UserError:  # a package that cannot be imported
        return False
