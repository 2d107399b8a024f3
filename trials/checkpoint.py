"""A trial on disk: all that is needed to go on as if nothing had happened.

adapter/            the best adapter so far, usable by itself (`trials.export.adapters`)
training.safetensors    parameters and optimizer moments
training.json       config, step (which is also the place in the data and in every random stream), best so far, the
                    fingerprints of data and backbone, and the lengths and checksums of the other files: a kill, a full
                    disk or a lost page can cut any of them at any byte

Torch is imported by what saves and restores, since others only ask whether a checkpoint is whole.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trials.backbones.facts import Facts
from trials.backbones.revisions import same_revision, why_not_same
from trials.config import FIRST_REVISION, TRAINER_REVISION
from trials.errors import UserError
from trials.export.files import CONFIG, WEIGHTS

if TYPE_CHECKING:
    from trials.trial import Trial

TENSORS, ADAPTER, FACTS = "training.safetensors", "adapter", "training.json"
MANIFEST = "files"  # the key of the lengths and checksums in the facts
UNREPORTED = "unreported"  # of the updates since the last report: the sum of their losses; their number and seconds
DATA, REVISION = "data_fingerprint", "backbone_revision"
"""Keys of a description, and of the facts, that say what a trial was trained on."""


def save_trial(folder: Path, trial: Trial, description: Mapping[str, Any]) -> None:
    """Write a trial, after a report or between two, into an existing folder.

    Args:
        description: as `trials.export.adapters.describe_adapter` gives it, with the data's fingerprint (`DATA`).

    Raises:
        OSError: there is no room for it.
    """
    from trials.export.adapters import save_adapter
    from trials.export.tensors import write_tensors

    tensors = {f"method.{k}": v for k, v in trial.method.state_dict().items()}
    for name, (mean, square) in trial.moments.items():
        tensors |= {f"exp_avg.{name}": mean, f"exp_avg_sq.{name}": square}
    if trial.loss_count:
        tensors[UNREPORTED] = trial.loss_sum
    write_tensors(folder / TENSORS, tensors)
    facts = {
        "config": trial.config.as_dict(),
        "trainer_revision": TRAINER_REVISION,
        "step": trial.step,
        **{key: description[key] for key in (DATA, REVISION) if key in description},
        "best_score": trial.best.score if trial.best.state else None,
        "best_step": trial.best.step,
        "last_score": None if math.isnan(trial.last_score) else trial.last_score,
        **({UNREPORTED: [trial.loss_count, trial.train_seconds]} if trial.loss_count else {}),
    }
    if trial.best.state:
        reached = {"validation_score": trial.best.score, "step": trial.best.step}
        save_adapter(folder / ADAPTER, trial.method.to_file(trial.best.state), {**description, **reached})
    facts[MANIFEST] = manifest(folder)
    (folder / FACTS).write_text(json.dumps(facts, indent=1))  # last: where it is, the rest was written


def restore_trial(folder: Path, trial: Trial, data: str = "", backbone: Facts | None = None) -> None:
    """Bring a fresh trial of the same config to where the saved one was.

    Args:
        data, backbone: what the trial goes on with: the data's fingerprint, and the backbone's facts.

    Raises:
        UserError: the checkpoint is of another config, of a trainer that gave other numbers, or was trained on other
            data or another backbone.
    """
    from safetensors.torch import load_file

    from trials.trial import Best

    facts = json.loads((folder / FACTS).read_text())
    # JSON has no tuples and no integer keys: compare what JSON makes of both.
    if facts["config"] != json.loads(json.dumps(trial.config.as_dict())):
        raise UserError([f"the checkpoint {folder} is of another trial: {facts['config']}"])
    revision = facts.get("trainer_revision", FIRST_REVISION)
    if revision != TRAINER_REVISION:
        raise UserError(
            [
                f"the checkpoint {folder} was trained by revision {revision} of the trainer, and this is revision "
                f"{TRAINER_REVISION}, which gives other numbers: train the trial from its start, or go on with the "
                "version that began it"
            ]
        )
    trained = trained_on(folder, facts)
    if data and trained[DATA] not in ("", data):
        raise UserError(
            [
                f"the checkpoint {folder} was trained on other data (fingerprint {trained[DATA]}, here {data}): its "
                "parameters, its best score and what follows would be of two data sets. Put the data of then back, or "
                "start another search under another --name"
            ]
        )
    if backbone and trained[REVISION] and not same_revision(trained[REVISION], backbone.revision, backbone.location):
        raise UserError(
            [
                f"the checkpoint {folder} was trained on other weights of {backbone.name}: "
                f"{why_not_same(trained[REVISION], backbone.revision)}. Put the weights of then back, or start another "
                "search under another --name"
            ]
        )
    device = trial.method.prompt.device
    tensors = {k: v.to(device) for k, v in load_file(folder / TENSORS).items()}
    trial.method.load_state_dict({k[len("method.") :]: v for k, v in tensors.items() if k.startswith("method.")})
    trial.moments = {name: (tensors[f"exp_avg.{name}"], tensors[f"exp_avg_sq.{name}"]) for name in trial.moments}
    trial.step = facts["step"]
    trial.last_score = math.nan if facts["last_score"] is None else facts["last_score"]
    if UNREPORTED in facts:
        trial.loss_sum, (trial.loss_count, trial.train_seconds) = tensors[UNREPORTED], facts[UNREPORTED]
    if facts["best_score"] is not None:
        best = trial.method.from_file(load_file(folder / ADAPTER / WEIGHTS))
        state = {k: v.to(device) for k, v in best.items()}
        trial.best = Best(facts["best_score"], facts["best_step"], state)


def trained_on(folder: Path, facts: Mapping[str, Any]) -> dict[str, str]:
    """Fingerprints of the data and the backbone behind a checkpoint; empty where nothing tells.

    Earlier versions wrote them beside the best adapter alone: a checkpoint of theirs without one, of a trial that has
    no score yet, is taken as it is, since the search's record says what it was trained on.
    """
    adapter = folder / ADAPTER / CONFIG
    written = facts if DATA in facts or not adapter.exists() else json.loads(adapter.read_text())
    return {key: str(written.get(key) or "") for key in (DATA, REVISION)}


def manifest(folder: Path) -> dict[str, list[int]]:
    """Length in bytes and CRC-32 of each file of a checkpoint but `FACTS`, by its path in the folder."""
    files = (file for file in folder.rglob("*") if file.is_file() and file != folder / FACTS)
    return {file.relative_to(folder).as_posix(): _print(file.read_bytes()) for file in sorted(files)}


def step_of(checkpoint: Path | Mapping[str, bytes], part: str = "") -> int | None:
    """The step of a checkpoint; None where it is not whole. Without a manifest its last file alone must be.

    Args:
        checkpoint: its folder, or the contents of its files by their paths in it.
        part: a folder in it, which alone is to be whole; empty: all of it.
    """

    def content(name: str) -> bytes:
        return (checkpoint / name).read_bytes() if isinstance(checkpoint, Path) else checkpoint[name]

    try:
        facts = json.loads(content(FACTS))
        wanted = {name: print_ for name, print_ in facts.get(MANIFEST, {}).items() if name.startswith(part)}
        if all(_print(content(name)) == expected for name, expected in wanted.items()):
            return int(facts["step"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def _print(content: bytes) -> list[int]:
    return [len(content), zlib.crc32(content)]
