"""Which weights a backbone's folder holds: a fingerprint of all that is loaded from it.

Adapters, checkpoints and searches belong to the weights that they were trained on; on others they answer garbage. So
the fingerprint covers every byte of the weights, wherever an index says that they are, and what decides how they are
used. Files of more than 16 MiB are read once (sha256: 1.5 GB/s on a core of 2020, so 10 s for 7 billion weights of two
bytes, where the disk is as fast) and their digests are kept beside the tokenised data under their size and times.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from trials.backbones.facts import UNKNOWN_REVISION
from trials.hub import copy_here
from yaml_reader.home import from_home

SCHEME = "v2-"  # how a fingerprint begins; one without it was made by `former_fingerprint`
CONFIG, SINGLE, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")  # transformers loads them with a model, where PEFT is
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
NO_NUMBERS = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")
"""Keys of a config on which no number depends: where it came from, and in what the weights are written down."""

LARGE = 16 << 20  # bytes from which a digest is worth keeping
SETTLED = 2.0  # seconds after which another change of a file shows in its times on any file system
_FORMER = 64 << 20


def weights_fingerprint(folder: Path) -> str:
    """`SCHEME` and 16 hex digits that change with the weights, the config or the tokenizer that a folder holds.

    Copies of a folder have the same fingerprint. A file that an index names and that is not there counts as missing.
    """
    digest = hashlib.sha256()
    for name in loaded_files(folder):
        file = folder / name
        content = _of_config(file) if name == CONFIG else file_digest(file) if file.is_file() else "missing"
        digest.update(f"{name}\0{content}\n".encode())
    return SCHEME + digest.hexdigest()[:16]


def loaded_files(folder: Path) -> list[str]:
    """The files of a folder that a backbone is made from, by their names in it."""
    fixed = [CONFIG, SINGLE, INDEX, *ADAPTER, *TOKENIZER]
    return sorted({*(name for name in fixed if (folder / name).is_file()), *_named_weights(folder)})


def same_revision(kept: str, here: str, location: str) -> bool:
    """Whether a revision kept with a result is that of the backbone here.

    One that an earlier version wrote down is equal only where its fingerprint covered all weights of the folder; of a
    model of the hub, earlier versions wrote down none, and so nothing speaks against it.

    Args:
        here, location: `Facts.revision` and `Facts.location`.
    """
    if kept == here:
        return True
    folder = from_home(location)
    if not folder.is_dir():
        return UNKNOWN_REVISION in (kept, here := revision_here(here, location)) or kept == here
    return is_former(kept) and folder.is_dir() and _former_covers(folder) and former_fingerprint(folder) == kept


def revision_here(revision: str, location: str) -> str:
    """A revision; where it is a model's of the hub that is not loaded yet, the commit of the copy that is here, if any.

    Args:
        revision, location: `Facts.revision` and `Facts.location`.
    """
    if revision != UNKNOWN_REVISION:
        return revision
    copy = copy_here("model", location, CONFIG)
    return copy.parent.name if copy else revision


def why_not_same(kept: str, here: str) -> str:
    """What a user should know where `same_revision` is false: both, and whether they can be compared at all."""
    fingerprints = f"{kept or 'unknown'} then, {here} here"
    if is_former(kept) and here.startswith(SCHEME):
        fingerprints += " (the former was written by an earlier version, whose fingerprint did not cover all weights)"
    return fingerprints


def is_former(revision: str) -> bool:
    """Whether a revision is a folder's fingerprint as earlier versions made it."""
    return re.fullmatch(r"[0-9a-f]{16}", revision) is not None


def former_fingerprint(folder: Path) -> str:
    """What earlier versions took for a folder's fingerprint: size and first 64 MiB of each weight file at its top."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(f"{file.name} {file.stat().st_size}".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(_FORMER))
    return digest.hexdigest()[:16]


def file_digest(file: Path) -> str:
    """SHA-256 of a file; of a large one, the digest kept when it was read last, if it has not been touched since."""
    state = file.stat()
    if state.st_size < LARGE:
        return _read(file)
    from trials.data.cache import default_cache_dir  # not above: facts are read without pyarrow

    touched = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
    place = hashlib.sha256(os.fsencode(file.resolve())).hexdigest()[:32]
    kept = default_cache_dir() / "digests" / f"{place}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(kept.read_text())
        if found["touched"] == touched:
            return str(found["digest"])
    digest = _read(file)
    now = file.stat()
    if [now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino] == touched and time.time() - now.st_ctime > SETTLED:
        with suppress(OSError):  # without it, the file is read again
            kept.parent.mkdir(parents=True, exist_ok=True)
            unfinished = kept.with_suffix(f".{os.getpid()}")
            unfinished.write_text(json.dumps({"touched": touched, "digest": digest}))
            unfinished.replace(kept)
    return digest


def _read(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):  # the loading of the backbone names what is wrong
        return {}
    return found if isinstance(found, dict) else {}


def _of_config(file: Path) -> str:
    config = {key: value for key, value in _json(file).items() if key not in NO_NUMBERS}
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _named_weights(folder: Path) -> Iterator[str]:
    """Weight files that the folder's index, or its config, names."""
    shards = _json(folder / INDEX).get("weight_map")
    if isinstance(shards, dict):
        yield from (str(name) for name in shards.values())
    named = _json(folder / CONFIG).get("transformers_weights")
    if isinstance(named, str):
        yield named


def _former_covers(folder: Path) -> bool:
    """Whether `former_fingerprint` has seen every byte of the weights."""
    weights = [name for name in loaded_files(folder) if name.endswith(".safetensors")]
    files = [folder / name for name in weights]
    return all(f.parent == folder and f.is_file() and f.stat().st_size <= _FORMER for f in files)
