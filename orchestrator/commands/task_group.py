"""``adept-search search --task glue``: the tasks of a group, one after another, as a sweep that is written for it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from orchestrator.command_lines import flag
from orchestrator.commands.sweep import start_sweep
from orchestrator.plan.options import Given
from orchestrator.plan.places import with_absolute_paths
from orchestrator.plan.read_settings import read_settings
from orchestrator.plan.settings import SearchSettings, StartOptions, default_output
from orchestrator.sweep.expand import ELSEWHERE
from orchestrator.sweep.sweep_file import read_and_plan
from trials.errors import UserError
from trials.tasks.groups import members


def start_group(options: Given, how: StartOptions) -> int:
    """Search each task of a group with the same options, or plan to; the exit code of the sweep.

    The sweep is called by ``--name``, else by the group and a digest of the options, so that the same command goes on
    with it. Its file is kept in its folder below ``--output``.

    Raises:
        UserError: everything that is wrong with the options, at once.
    """
    options = with_absolute_paths(options)
    group = str(options["task"])
    settings, problems = read_settings({**options, "task": members(group)[0]})
    for name in ("rerun", "resume"):
        if getattr(how, name):
            problems.append(
                f"{flag(name)}: {group} is a group of {len(members(group))} tasks, and each has a search of its own; "
                "name its task, or leave it out: the same command goes on where the group's sweep was cut off"
            )
    if problems:
        raise UserError(problems)
    document = sweep_of(group, options)
    name = settings.name or f"{group}-{settings.method}-{_digest(document)}"
    places = {key: options.get(key) for key in ("output", "tracking_uri", "price")}
    with tempfile.TemporaryDirectory() as scratch:
        path = _written(document, Path(scratch) / f"{name}.yaml")
        if not how.plan:
            read_and_plan(path, places)  # what is wrong is known before anything is written elsewhere
            path = _written(document, Path(places["output"] or default_output()).resolve() / name / path.name)
        if not how.quiet:
            print(f"{group}: {len(members(group))} tasks, searched one after another as the sweep {name}", flush=True)
        return start_sweep(str(path), None, places, how.plan, how.quiet, how.debug)


def sweep_of(group: str, options: Given) -> dict[str, Any]:
    """The sweep file of a group's searches, as its mapping."""
    kept = {key: value for key, value in options.items() if value is not None and key in SearchSettings.model_fields}
    named = {key: [kept[one]] for key, one in (("methods", "method"), ("backbones", "backbone")) if one in kept}
    others = {key: value for key, value in kept.items() if key not in ELSEWHERE}
    return {"about": f"the tasks of {group}, searched alike", "tasks": [group], **named, "options": others}


def _written(document: dict[str, Any], path: Path) -> Path:
    """The file of a sweep, which is made where there is none. Raises UserError: there is another one."""
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise UserError(
            [f"--name {path.stem}: {path} holds a sweep with other options; give another --name or --output"]
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError([f"{path} cannot be written ({error.strerror}); name another --output"]) from error
    return path


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:6]
