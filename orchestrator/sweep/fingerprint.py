"""What decides the numbers of a search, each part by its name: where all are as they were, nothing is trained again.

Simple and safe: any change of a source file of what trains, searches or decides counts, a comment as well. What cannot
be found out leaves no fingerprint, and such a search is trained: equality with what is not known would be a guess.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from orchestrator.plan.data import prepare_data
from orchestrator.plan.plan import Plan
from orchestrator.plan.precision import is_measured
from orchestrator.plan.settings import SearchSettings
from orchestrator.record.provenance import describe_hardware, vector_units, version_of
from trials.backbones.facts import UNKNOWN_REVISION
from trials.errors import UserError
from trials.methods import get_method

ROOT = Path(__file__).parents[2]
CODE = (
    "trials",
    "search_spaces",
    "yaml_reader",
    *(f"orchestrator/{room}" for room in ("engines", "plan", "record", "run", "schedulers", "searchers", "tune")),
)
"""Folders whose sources decide numbers: not the command line, not what is written of them afterwards."""

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "numpy", "scikit-learn", "ray", "optuna")
DIGITS = 16


def parts_of(plan: Plan) -> dict[str, str]:
    """What decides the numbers of a planned search; a part is empty where it cannot be found out.

    The data are found and tokenised for it, as the search would do it itself, unless they were before.

    Returns:
        ``code``, ``version/<package>``, ``method`` and ``task`` (of another package), ``search`` (trials, options,
        space), ``data``, ``backbone`` (weights), ``cpu`` and ``gpu`` of this machine, and its ``vector units`` where
        they choose the precision. The machine's name is no part.
    """
    method = get_method(plan.settings.method)
    packages = [*PACKAGES, *(["peft"] if plan.changes_modules else [])]
    options = SearchSettings.options()
    given = {key: value for key, value in plan.repeatable.items() if not options[key].moves}
    moved = {"data_dir", "storage"}  # the rows are a part of their own; each run has its folder in the storage
    definition = {key: value for key, value in plan.definition.items() if key not in moved}
    decides = {"definition": definition, "options": given, "trials": plan.count}
    hardware = _hardware()
    parts = {
        "code": code_digest(),
        **{f"version/{name}": version_of(name) for name in packages},
        "search": digest_of(decides),
        "data": _data(plan),
        "backbone": _weights(plan),
        "cpu": hardware.get("cpu", ""),
    }
    if "gpu" in hardware:
        parts["gpu"] = hardware["gpu"]
    elif is_measured(plan) and (units := vector_units()):  # which decide the precision, and have no part in the name
        parts["vector units"] = units
    if plan.settings.warm_start:
        parts["earlier searches"] = ""  # what a searcher learns from, which grows
    source = Path(inspect.getfile(type(method))).resolve()
    if not source.is_relative_to(ROOT):
        parts["method"] = hashlib.sha256(source.read_bytes()).hexdigest()[:DIGITS]
    if plan.task.package:
        parts["task"] = version_of(plan.task.package)
    return parts


def fingerprint(parts: Mapping[str, str]) -> str:
    """One digest of all parts; empty where one of them is not known."""
    return digest_of(dict(parts)) if parts and all(parts.values()) else ""


def digest_of(document: object) -> str:
    """Of what JSON can hold."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()[:DIGITS]


@cache
def code_digest() -> str:
    """Of the sources of this installation, by their places in it."""
    digest = hashlib.sha256()
    for folder in CODE:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in (".py", ".yaml") and file.is_file():
                digest.update(f"{file.relative_to(ROOT).as_posix()}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:DIGITS]


_hardware = cache(describe_hardware)  # it asks the accelerators' driver, and a sweep has many searches


def _data(plan: Plan) -> str:
    """The rows as the backbone reads them; empty where they cannot be had: the search says why."""
    with suppress(UserError):
        return prepare_data(plan).fingerprint
    return ""


def _weights(plan: Plan) -> str:
    """The backbone's revision; of a model of the hub that of the copy here, if there is one."""
    facts = plan.facts
    if facts.revision != UNKNOWN_REVISION:
        return facts.revision
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(facts.location, "config.json")
    return Path(found).parent.name if isinstance(found, str) else ""
