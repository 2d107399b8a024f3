"""Searches that were begun when an option meant something else where it was not given go on as they were begun."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from orchestrator.plan.plan import Plan
from orchestrator.plan.search_folder import stored
from orchestrator.plan.stopping import first_rung, ranked_by
from orchestrator.store.checkpoints import attempts
from orchestrator.store.layout import DEFINITION, TUNE
from orchestrator.store.twin_files import copy_of, read_either
from trials.errors import UserError

FORMER: Sequence[Mapping[str, Any]] = ({"precision": "float32"}, {"precision": "float32", "rank_by": "score"})
"""What earlier versions, the latest first, went by where an option was not given."""


def as_begun(plan: Plan, *, in_storage: bool = False) -> Plan:
    """The plan of a search that goes on as an earlier version began it; any other as it is.

    Defaults are a part of a search's name: the same command finds what it began by the name of then, and trains none of
    it anew.

    Args:
        in_storage: look for it in its storage as well, which may take as long as that does not answer.

    Raises:
        StorageError: the storage was away for too long.
    """
    candidates = [_with_defaults(plan, defaults) for defaults in ({}, *FORMER)]
    now, definitions = candidates[0], [_plain(one) for one in candidates]
    keys = {key for one in definitions for key in one}
    differing = [key for key in keys if any(one.get(key) != definitions[0].get(key) for one in definitions)]
    for candidate in candidates if differing else ():
        begun = _begun(candidate, in_storage)
        if begun is not None:
            alike = zip(candidates, definitions, strict=True)
            same = (one for one, then in alike if all(begun.get(key) == then.get(key) for key in differing))
            return next(same, now) if begun else candidate
    return now


def former_options(plan: Plan, name: str) -> Mapping[str, Any]:
    """Values that an earlier version went by where the plan's options name none, if they give the plan that name.

    Empty where none do: the plan has that name as it is, or it is the name of another one.
    """
    given = plan.settings.model_fields_set
    for defaults in ({}, *FORMER):
        if _with_defaults(plan, defaults).name == name:
            return {key: value for key, value in defaults.items() if key not in given}
    return {}


def _with_defaults(plan: Plan, defaults: Mapping[str, Any]) -> Plan:
    """A plan in which the options of `FORMER` that were not given have these values, or those of now."""
    settings = plan.settings
    names = {name for version in FORMER for name in version} - settings.model_fields_set
    values = {name: defaults.get(name, settings.default(name)) for name in names}
    settings = settings.model_copy(update=values)
    settings.__pydantic_fields_set__.difference_update(values)  # they are still not given
    rank_by = ranked_by(settings, plan.task, [])
    grace_period = first_rung(settings, plan.training, rank_by, [])
    return replace(plan, settings=settings, rank_by=rank_by, grace_period=grace_period)


def _plain(plan: Plan) -> dict[str, Any]:
    """A definition as a file has it."""
    return dict(json.loads(json.dumps(plan.definition)))


def _begun(plan: Plan, in_storage: bool) -> dict[str, Any] | None:
    """The definition of the search of that name, here or in its storage; None where none was begun.

    It is empty where it cannot be read: such a search is refused later, in words.
    """
    file, place = plan.folder / DEFINITION, stored(plan)
    if file.exists() or copy_of(file).exists():
        with suppress(UserError):
            return read_either(file)[0]
        return {}
    if attempts(plan.folder / TUNE):
        return {}
    if place is not None and in_storage:
        try:
            return dict(json.loads((place / DEFINITION).read_bytes()))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
    return None
