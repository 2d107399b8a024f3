"""An adapter's soft prompt, or all that it learnt, to start another task's training from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trials.backbones.facts import Facts
from trials.backbones.revisions import same_revision, why_not_same
from trials.errors import UserError
from trials.export.files import WEIGHTS
from trials.methods import Method, Sizes, get_method, method_names
from trials.source_prompts import Numbers, SourcePrompt, numbers_of

if TYPE_CHECKING:
    from torch import Tensor


def source_methods(wanted: Method) -> list[str]:
    """The methods whose adapters a method can start from: those that are a prompt and nothing else, or itself."""
    if wanted.source_kind == "adapter":
        return [wanted.name]
    return [name for name in method_names() if _is_prompt_alone(name)]


def why_no_source(learnt_by: str, wanted: Method) -> str:
    """Why a method cannot start from an adapter of another one, as the end of a sentence; empty where it can."""
    there = source_methods(wanted)
    if learnt_by in there:
        return ""
    if wanted.source_kind == "adapter":
        return (
            f"was learnt by {learnt_by}, and {wanted.name} starts from an adapter of {wanted.name} alone, since all "
            f"that it trains starts there; train the source with --method {wanted.name}"
        )
    return f"was learnt by {learnt_by}, which is more than a soft prompt in front; take one of {', '.join(there)}"


def read_source(folder: Path, name: str, wanted: Method, facts: Facts, origin: str) -> SourcePrompt:
    """What a method starts from, out of an adapter.

    The soft prompt as it stands in front of a source (of MPT the product of its parts); where the method starts from
    adapters of its own, everything else as well.

    Args:
        folder: of the adapter. name: what to call it. facts: of the backbone that it shall be used on.

    Raises:
        UserError: the folder holds no adapter or a damaged one, its method is not one of `source_methods`, or it was
            trained on another backbone.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from trials.export.adapters import read_description

    description = read_description(folder)
    method = get_method(str(description["trial"]["method"]))
    if why := why_no_source(method.name, wanted):
        raise UserError([f"source {name} ({origin}) {why}"])
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
    whole = wanted.source_kind == "adapter"
    sizes = Sizes.of(facts, description["max_source_length"])
    try:
        tensors = {key: tensor.float() for key, tensor in method.from_file(load_file(folder / WEIGHTS), sizes).items()}
        prompt = method.prompt({key: tensor[None] for key, tensor in tensors.items()})[0]
        rows, width = prompt.shape
        values = _values(method, description["trial"]["hyperparameters"]) if whole else {}
        beside = {key: tensor for key, tensor in tensors.items() if key != "prompt"} if whole else {}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError([f"source {name} ({origin}): {folder / WEIGHTS} is damaged ({reason})"]) from error
    if width != facts.width:
        raise UserError(
            [f"source {name} ({origin}) is {width} wide, and the embeddings of {facts.name} are {facts.width}"]
        )
    if not all(bool(tensor.isfinite().all()) for tensor in (prompt, *beside.values())):
        raise UserError([f"source {name} ({origin}) holds numbers that are not finite: its training diverged"])
    return SourcePrompt(
        name,
        rows,
        width,
        _numbers(prompt).numbers,
        origin,
        method=method.name if whole else "",
        values=values,
        tensors={key: _numbers(tensor) for key, tensor in beside.items()},
    )


def _values(method: Method, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters of a configuration that decide the shapes of its tensors."""
    names = [name for name in ("prompt_length", method.sized) if name in method.hyperparameters]
    return {name: method.value(configuration, name) for name in names if name is not None}


def _numbers(tensor: Tensor) -> Numbers:
    return numbers_of(tensor.detach().numpy())


def _is_prompt_alone(name: str) -> bool:
    try:
        return get_method(name).is_prompt_alone
    except UserError:  # a package that cannot be imported
        return False
