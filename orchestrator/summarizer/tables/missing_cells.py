"""The commands that fill the missing cells of a table."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from orchestrator.command_lines import flag
from orchestrator.plan.options import When, former_flags
from orchestrator.plan.settings import AUTO, SearchSettings, StartOptions
from orchestrator.record import formats
from orchestrator.record.record import SearchRecord
from orchestrator.record.secrecy import HIDDEN
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.groups import SearchGroup
from orchestrator.summarizer.results.published import task_key
from orchestrator.summarizer.tables.model import MissingCells

_PROGRAM = ("adept-search", "search")
# Options of an earlier command that belong to its search alone.
_OWN_FLAGS = {flag(name) for name in StartOptions.names() if StartOptions.is_flag(name)}
_OWN = {*map(flag, ("task", "method", "seed", "name", "price", *StartOptions.names()))} - _OWN_FLAGS
# Options that do not decide which numbers a row of a table has.
_ANY_PLACE = {
    *map(flag, ("data_dir", "max_concurrent", *SearchSettings.names(lambda option: option.numbers == "none")))
}
_FORMER = former_flags(SearchSettings)
_SPACE = "my-space.yaml"
_WHOLE = ("--scheduler", "none")


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A cell of a measured row that has no score, or not for every seed of the row.

    Attributes:
        label: the cell's column.
        row: the cell's row, in words.
        like: a measured group of the same row: how its searches were run is how this one should be.
        example: any search of the task, which knows how an own task is named.
        where: values that the configurations must share.
        space: a shipped space that has such configurations among others; all of them must be trained whole.
    """

    label: str
    row: str
    task: str
    method: str
    backbone: str
    seeds: tuple[int, ...]
    like: SearchGroup | None = None
    example: FoundSearch | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    space: str = ""


def gaps_of(
    column: str,
    row: str,
    task: str,
    shown: SearchGroup | None,
    like: SearchGroup,
    seeds: Sequence[int],
    example: FoundSearch | None = None,
    where: Mapping[str, Any] | None = None,
) -> list[Gap]:
    """The gap in a cell that shows a group, or none, where the row has these seeds; nothing where it has them all."""
    missing = tuple(seed for seed in seeds if shown is None or seed not in shown.by_seed)
    if not missing:
        return []
    label = column + (f" (seed {', '.join(map(str, missing))})" if shown is not None else "")
    name = f"{row} on {like.backbone}"
    return [
        Gap(
            label=label,
            row=name,
            task=task,
            method=like.method,
            backbone=like.backbone,
            seeds=missing,
            like=shown or like,
            example=example,
            where=where or {},
        )
    ]


def commands(gaps: Iterable[Gap], unfinished: Sequence[FoundSearch] = ()) -> tuple[MissingCells, ...]:
    """What fills which cells.

    A search that was interrupted is taken up again rather than begun anew. Tasks that this version does not know are
    named without a command.
    """
    filled: dict[str, list[Gap]] = {}
    loops: dict[tuple[str, ...], list[Gap]] = {}
    unknown: list[Gap] = []
    for gap in gaps:
        begun = next((search for search in unfinished if _is(search, gap)), None)
        name = _task_option(gap)
        if begun is not None:
            filled.setdefault(_resume(begun), []).append(gap)
        elif name is None:
            unknown.append(gap)
        else:
            shared = (
                gap.method,
                gap.backbone,
                str(gap.seeds),
                str(sorted(gap.where.items())),
                gap.space,
                str(_kept(gap)),
            )
            loops.setdefault(shared, []).append(gap)
    for together in loops.values():
        filled.setdefault(_search(together), []).extend(together)
    fills = [MissingCells(command, _named(together)) for command, together in filled.items()]
    if unknown:
        listed = ", ".join(dict.fromkeys(gap.label for gap in unknown))
        fills.append(MissingCells("", f"no task of this version: {listed}"))
    return tuple(fills)


def _named(gaps: Sequence[Gap]) -> str:
    by_row: dict[str, list[str]] = {}
    for gap in gaps:
        by_row.setdefault(gap.row, []).append(gap.label)
    return "; ".join(f"{row}: {', '.join(labels)}" for row, labels in by_row.items())


def _search(gaps: Sequence[Gap]) -> str:
    """One command, or a loop of the shell where tasks or seeds differ."""
    first = gaps[0]
    tasks = list(dict.fromkeys(name for gap in gaps if (name := _task_option(gap)) is not None))
    options = _kept(first)
    words = [*_PROGRAM, "--method", first.method.lower(), *(word for option in options for word in option)]
    if not any(_name(option) == "--backbone" for option in options):
        words += ["--backbone", first.backbone]
    if first.space:
        words += ["--space", first.space, *_WHOLE]
    elif first.where:
        words += ["--space", _SPACE]
    command = shlex.join(words)
    several = {"task": tasks, "seed": [str(seed) for seed in _seeds(first.seeds, options)]}
    for option, values in several.items():
        if values:
            command += f" --{option} " + (shlex.quote(values[0]) if len(values) == 1 else f'"${option}"')
    for option, values in several.items():
        if len(values) > 1:
            command = f"for {option} in {shlex.join(values)}; do {command}; done"
    if first.where and not first.space:
        command += f"  # {_SPACE}: a space with {formats.pairs(dict(first.where))} in every configuration"
    return command


def _seeds(missing: Sequence[int], options: Sequence[Sequence[str]]) -> list[int]:
    """The seeds to begin searches on: with ``--seeds N`` each has the N - 1 seeds behind its own as well."""
    each = next((int(_value(option)) for option in options if _name(option) == "--seeds"), 1)
    first: list[int] = []
    for seed in sorted(missing):
        if not first or seed >= first[-1] + each:
            first.append(seed)
    return first


def _kept(gap: Gap) -> list[list[str]]:
    """The options of an earlier search of the row that hold for all of it; a space only where none is prescribed."""
    if gap.like is None:
        return []
    prescribed = {"--space", *_WHOLE} if gap.space else {"--space"} if gap.where else set()
    return [option for option in _options(gap.like.newest) if _name(option) not in prescribed]


def _options(search: FoundSearch) -> list[list[str]]:
    """The options that a search was started with, each with its value, but for those that are its alone.

    Of a search whose command is not known, those in its record.
    """
    words = shlex.split(str(search.record.provenance.get("command", "")))
    if len(words) < 2 or not (words[1] == "search" or Path(words[0]).name == "search.py"):
        return _recorded(search.record)
    kept, place = [], 2 if words[1] == "search" else 1
    while place < len(words):
        name, _, value = words[place].partition("=")
        takes_value = name.startswith("--") and not value and place + 1 < len(words)
        takes_value = takes_value and name not in _OWN_FLAGS and not words[place + 1].startswith("--")
        now = _FORMER.get(name, name)
        group = [now + words[place][len(name) :], *words[place + 1 : place + 1 + takes_value]]
        if now not in _OWN and name not in _OWN_FLAGS and HIDDEN not in group:
            kept.append(group)
        place += len(group)
    return _in_its_precision(kept, search.record)


def _in_its_precision(options: list[list[str]], record: SearchRecord) -> list[list[str]]:
    """Options that name the precision of the row: what was chosen for it, another host may choose otherwise."""
    named, precision = flag("precision"), record.settings.get("precision")
    if not precision or any(_name(option) == named and _value(option) != AUTO for option in options):
        return options
    return [*(option for option in options if _name(option) != named), [named, str(precision)]]


def _recorded(record: SearchRecord) -> list[list[str]]:
    """The options in a record by which its trials were trained and chosen, where they are not the default."""
    settings, found = record.settings, dict[str, Any]()
    found["recipe"] = record.recipe
    found |= {name: settings.get(name) for name in SearchSettings.names(lambda one: one.recorded is not When.NEVER)}
    if record.provenance.get("search") not in (None, "grid"):
        found |= {"searcher": record.provenance["search"], "samples": len(record.own_trials)}
    options, scheduler = SearchSettings.options(), found["scheduler"] or SearchSettings.default("scheduler")
    given = {
        name: value
        for name, value in found.items()
        if value and value != SearchSettings.default(name) and scheduler in (options[name].schedulers or (scheduler,))
    }
    return [[flag(name)] if value is True else [flag(name), str(value)] for name, value in given.items()]


def _name(option: Sequence[str]) -> str:
    return option[0].partition("=")[0]


def _value(option: Sequence[str]) -> str:
    return option[1] if len(option) > 1 else option[0].partition("=")[2]


def _resume(search: FoundSearch) -> str:
    output = [option for option in _options(search) if _name(option) == "--output"]
    return shlex.join([*_PROGRAM, "--resume", "--name", search.record.name, *(output[0] if output else [])])


def _is(search: FoundSearch, gap: Gap) -> bool:
    """Whether a search that is not finished will fill the gap: also trained as its row is, where that is known."""
    record = search.record
    same = (
        record.method == gap.method and record.backbone == gap.backbone and task_key(record.task) == task_key(gap.task)
    )
    if gap.like is not None:
        same = same and record.recipe == gap.like.recipe and _deciding(search) == _deciding(gap.like.newest)
    return same and (not gap.seeds or search.seed in gap.seeds)


def _deciding(search: FoundSearch) -> list[list[str]]:
    return sorted(option for option in _options(search) if _name(option) not in _ANY_PLACE)


@cache
def _registered() -> dict[str, str]:
    from trials.tasks import registered

    return {task_key(key): name for name, task in registered().items() for key in (name, task.published_as) if key}


def _task_option(gap: Gap) -> str | None:
    """What ``--task`` takes for it: a registered name, or the file that a search of this own task was started with."""
    if task_key(gap.task) in _registered():
        return _registered()[task_key(gap.task)]
    if gap.example is None:
        return None
    words = shlex.split(str(gap.example.record.provenance.get("command", "")))
    return next((after for word, after in pairwise(words) if word == "--task"), None)
