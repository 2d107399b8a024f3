"""Which backbone a name, a folder or a hub id means, and whether all of it is there. Importing this needs no torch."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from trials.backbones.facts import DEFAULT, EMBEDDED, EMBEDDED_REVISION, Facts, from_config
from trials.backbones.revisions import CONFIG, INDEX, weights_fingerprint
from trials.config import Lane
from trials.errors import BackboneError, did_you_mean
from trials.hub import copy_here, explained, fetched, is_the_hubs, known_whole, mark_whole
from yaml_reader.home import from_home

T5_TOKENIZERS = {"T5Tokenizer", "T5TokenizerFast"}
_FEWEST_TOKENS = 2  # beside control tokens; one is what a tokenizer without any files has, that of white space


@cache
def published() -> dict[str, Facts]:
    """The paper's backbones by their short names."""
    table = yaml.safe_load((Path(__file__).parent / "backbones.yaml").read_text(encoding="utf-8"))
    for row in table.values():
        row |= {key: tuple(value) for key, value in row.items() if isinstance(value, list)}
    lanes: dict[str, Lane] = {"encoder-decoder": "fast", "decoder-only": "stock"}  # those with an encoder are T5s
    return {
        name: Facts(name=name, location=row.pop("hub"), lane=lanes[row["architecture"]], **row)
        for name, row in table.items()
    }


def backbone_names() -> list[str]:
    """Names that need neither a folder nor a hub id."""
    return [DEFAULT, *published()]


def is_known(name: str) -> bool:
    """Whether it is a backbone's name or the hub id of one of the paper's, whatever folders there are."""
    return name in backbone_names() or any(facts.location == name for facts in published().values())


def describe(name: str) -> Facts:
    """Facts about a backbone given as a known name, a folder or a hub id.

    A folder is checked for config, tokenizer and weights; a hub id that is not a known name needs the network or the
    local cache of the hub.

    Raises:
        BackboneError: naming what is missing and what to give instead.
    """
    if name == DEFAULT:
        return from_folder(EMBEDDED / DEFAULT, DEFAULT, EMBEDDED_REVISION)
    if name in published():
        return published()[name]
    known = next((f for f in published().values() if f.location == name), None)
    if known:
        return known
    folder = from_home(name).resolve()  # an adapter is used in other working folders
    if folder.is_dir():
        return from_folder(folder, folder.name)
    if "/" not in name or name.startswith((".", "/", "~")) or name.count("/") > 1:
        rule = f"it is neither a known backbone ({', '.join(backbone_names())}), an existing folder, nor a hub id"
        raise BackboneError([f"--backbone {name!r}: {rule}{did_you_mean(name, backbone_names())}"])
    return from_hub(name)


def from_folder(folder: Path, name: str, revision: str | None = None) -> Facts:
    """Facts about a model saved in a folder, after checking that everything is there; its fingerprint if need be."""
    problems = []
    config: dict[str, Any] = {}
    try:
        config = _mapping(folder / CONFIG)
    except OSError:
        problems.append(f"--backbone {folder}: no config.json; give a folder written by save_pretrained")
    except ValueError as error:
        problems.append(f"--backbone {folder}: config.json is not JSON ({error})")
    if not any((folder / f).exists() for f in ("tokenizer.json", "spiece.model", "tokenizer.model", "vocab.json")):
        problems.append(
            f"--backbone {folder}: no tokenizer (tokenizer.json or spiece.model); save it there with "
            "tokenizer.save_pretrained"
        )
    problems += missing_weights(folder)
    if problems:
        raise BackboneError(problems)
    return replace(from_config(config, name, str(folder)), revision=revision or weights_fingerprint(folder))


def missing_weights(folder: Path) -> list[str]:
    """What is wrong with a folder's weights, in words; an empty list where nothing is."""
    index = folder / INDEX
    if index.exists():
        try:
            shards = sorted({str(name) for name in _mapping(index)["weight_map"].values()})
        except (OSError, ValueError, LookupError, AttributeError) as error:
            why = f"{type(error).__name__}: {error}"
            return [f"--backbone {folder}: {INDEX} is truncated or damaged ({why}); copy or download it again"]
        gone = [s for s in shards if not (folder / s).exists()]
        return [f"--backbone {folder}: weight files missing: {', '.join(gone)}"] if gone else []
    file = folder / "model.safetensors"
    if not file.exists():
        return [
            f"--backbone {folder}: no weights (model.safetensors, or model.safetensors.index.json with its shards); "
            "convert older formats with save_pretrained"
        ]
    with file.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
        whole = 8 + header
        if whole <= file.stat().st_size:
            try:
                entries = json.loads(stream.read(header))
                whole += max((e["data_offsets"][1] for k, e in entries.items() if k != "__metadata__"), default=0)
            except (ValueError, LookupError, TypeError, AttributeError):
                whole = -1
    if whole != file.stat().st_size:
        return [f"--backbone {folder}: model.safetensors is truncated or damaged ({file.stat().st_size:,} bytes)"]
    return []


def _mapping(file: Path) -> dict[str, Any]:
    """What a file of JSON holds. Raises OSError, ValueError: it cannot be read, or holds no mapping."""
    found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"it holds {type(found).__name__}, no mapping")
    return found


def from_hub(model: str) -> Facts:
    """Facts about a model of the hub, from its config there or in the local cache."""
    from transformers import AutoConfig

    commit = hub_commit(model)
    try:
        config = AutoConfig.from_pretrained(model, trust_remote_code=False, revision=commit).to_dict()
    except (OSError, ValueError) as error:
        refuse_own_code(model, error)
        raise BackboneError([f"--backbone {model!r}: {explained(error, 'model', model)}; or give a folder"]) from error
    return from_config(config, model.split("/")[-1], model)


def hub_commit(location: str, wanted: str = "") -> str | None:
    """The commit of a model of the hub that is loaded, so that config, tokenizer and weights are of one.

    It is that of the copy on this machine, which is not asked about again; without one, the newest, whose config is
    downloaded.

    Args:
        wanted: another commit, where one is known.

    Returns:
        None for a folder.

    Raises:
        BackboneError: the hub cannot be reached, or does not give the model to this user.
    """
    if Path(location).is_dir():
        return None
    if re.fullmatch("[0-9a-f]{40}", wanted):
        return wanted
    try:
        return fetched("model", location, CONFIG).parent.name
    except Exception as error:  # as many kinds as there are libraries below the hub's client
        why = explained(error, "model", location)
        raise BackboneError([f"--backbone {location!r}: {why}; or give a folder"]) from error


def refuse_own_code(location: str, error: Exception) -> None:
    """Say what is the matter where a model wants Python files of its own to be run; else do nothing.

    transformers itself would ask at the terminal, for 15 seconds, whether to run them.

    Raises:
        BackboneError: that is what the error says.
    """
    if "trust_remote_code" in str(error):
        raise BackboneError(
            [
                f"--backbone {location!r}: this model brings Python code of its own (auto_map in its config), which is "
                "never run here: its author could do with this machine what they like. Choose a model of an "
                "architecture that transformers has itself"
            ]
        ) from error


def _tokenizer_class(facts: Facts) -> Any:
    """What loads a backbone's tokenizer: transformers' AutoTokenizer, or for a T5 in a folder the class that it takes.

    To find a class AutoTokenizer imports torch, which nothing else needs where a search is planned.
    """
    import transformers

    folder = Path(facts.location)
    try:
        model, own = (json.loads((folder / f).read_text(encoding="utf-8")) for f in (CONFIG, "tokenizer_config.json"))
        plain = model["model_type"] == "t5" and own["tokenizer_class"] in T5_TOKENIZERS and "auto_map" not in own
    except (OSError, ValueError, KeyError, TypeError):
        plain = False
    return transformers.T5Tokenizer if plain else transformers.AutoTokenizer


def load_tokenizer(facts: Facts, *, local: bool = False, wanted: str = "") -> Any:
    """The backbone's tokenizer (transformers' fast one); with `local`, only where no network is needed.

    Args:
        wanted: the commit of a model of the hub; see `hub_commit`.

    Raises:
        BackboneError: there is none, the hub cannot be reached, or the model has no embeddings for words of it.
    """
    from trials.data.tokens import control_tokens

    of_hub = not Path(facts.location).is_dir()
    if local and of_hub and copy_here("model", facts.location, CONFIG) is None:
        raise BackboneError([f"--backbone {facts.name}: no copy of {facts.location} is on this machine"])
    commit = hub_commit(facts.location, wanted)
    whole = commit is not None and known_whole("model", facts.location, commit, "tokenizer")
    for here in dict.fromkeys((local or whole, local)):  # the hub's cache may have been emptied
        try:
            tokenizer = _tokenizer_class(facts).from_pretrained(
                facts.location, trust_remote_code=False, local_files_only=here, revision=commit
            )
        except Exception as error:
            if here and not local:
                continue
            if not isinstance(error, OSError | ValueError) and not is_the_hubs(error):
                raise
            refuse_own_code(facts.location, error)
            why = explained(error, "model", facts.location, wanted or None) if of_hub else str(error).splitlines()[0]
            raise BackboneError(
                [
                    f"--backbone {facts.name}: its tokenizer could not be loaded from {facts.location} ({why}); or "
                    "give a folder that holds it"
                ]
            ) from error
        if of_hub and len(tokenizer.get_vocab().keys() - control_tokens(tokenizer)) < _FEWEST_TOKENS:
            raise BackboneError(
                [
                    f"--backbone {facts.name}: {facts.location} holds no tokenizer (transformers makes up one without "
                    "any words); give a folder that holds both, written by save_pretrained"
                ]
            )
        if commit is not None and not here:
            mark_whole("model", facts.location, commit, "tokenizer")
        break
    if len(tokenizer) > facts.vocabulary and (words := _not_embedded(tokenizer, facts.vocabulary)):
        raise BackboneError(
            [
                f"--backbone {facts.name}: its tokenizer has {len(words):,} words beyond the {facts.vocabulary:,} rows "
                f"of the model's embeddings, such as {words[0]!r}; save it as it was before they were added, or the "
                "model after resize_token_embeddings"
            ]
        )
    return tokenizer


def _not_embedded(tokenizer: Any, rows: int) -> list[str]:
    """The words without an embedding, by their ids.

    Control tokens do not count: no text is read as one, and some models have one for padding that they never embed.
    """
    from trials.data.tokens import control_tokens

    beyond = {word: number for word, number in tokenizer.get_vocab().items() if number >= rows}
    return sorted(beyond.keys() - control_tokens(tokenizer), key=beyond.__getitem__)
