"""The commands that fill the missing cells of a table."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

from orchestrator.secrecy import HIDDEN
from orchestrator.summarizer import formats
from orchestrator.summarizer.model import Fill, FoundSearch, Group
from orchestrator.summarizer.published import task_key

_PROGRAM = ("adept-search", "search")
# Options of an earlier command that belong to its search alone.
_OWN = ("--task", "--method", "--seed", "--name", "--space")
_OWN_FLAGS = ("--resume", "--plan", "--quiet", "--debug")
_SPACE = "my-space.yaml"


@dataclass(frozen=True)
class Gap:
    """A cell of a measured row that has no score, or not for every seed of the row.

    Attributes:
        label: the cell's column.
        row: the cell's row, in words.
        like: a measured group of the same row: how its searches were run is how this one should be.
        example: any search of the task, which knows how an own task is named.
        where: values that the configurations must share.
    """

    label: str
    row: str
    task: str
    method: str
    backbone: str
    seeds: tuple[int, ...]
    like: Group | None = None
    example: FoundSearch | None = None
    where: Mapping[str, Any] = field(default_factory=dict)


def commands(gaps: Iterable[Gap], unfinished: Sequence[FoundSearch] = ()) -> tuple[Fill, ...]:
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
            shared = (gap.method, gap.backbone, str(gap.seeds), str(sorted(gap.where.items())))
            loops.setdefault(shared, []).append(gap)
    for together in loops.values():
        filled.setdefault(_search(together), []).extend(together)
    fills = [Fill(command, _named(together)) for command, together in filled.items()]
    if unknown:
        listed = ", ".join(dict.fromkeys(gap.label for gap in unknown))
        fills.append(Fill("", f"no task of this version: {listed}"))
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
    words = [*_PROGRAM, "--method", first.method.lower(), *_kept(first.like)]
    if "--backbone" not in words:
        words += ["--backbone", first.backbone]
    if first.where:
        words += ["--space", _SPACE]
    command = shlex.join(words)
    several = {"task": tasks, "seed": [str(seed) for seed in first.seeds]}
    for option, values in several.items():
        if values:
            command += f" --{option} " + (shlex.quote(values[0]) if len(values) == 1 else f'"${option}"')
    for option, values in several.items():
        if len(values) > 1:
            command = f"for {option} in {shlex.join(values)}; do {command}; done"
    if first.where:
        command += f"  # {_SPACE}: a space with {formats.pairs(dict(first.where))} in every configuration"
    return command


def _kept(like: Group | None) -> list[str]:
    """The options of an earlier search of the row that hold for the whole row."""
    if like is None:
        return []
    words = shlex.split(str(like.newest.record.provenance.get("command", "")) or "search.py")[1:]
    kept, place = [], 1 if words[:1] == ["search"] else 0
    while place < len(words):
        name, _, value = words[place].partition("=")
        takes_value = name.startswith("--") and not value and place + 1 < len(words)
        takes_value = takes_value and name not in _OWN_FLAGS and not words[place + 1].startswith("--")
        group = words[place : place + 1 + takes_value]
        if name not in _OWN and name not in _OWN_FLAGS and HIDDEN not in group:
            kept += group
        place += len(group)
    return kept


def _resume(search: FoundSearch) -> str:
    words = shlex.split(str(search.record.provenance.get("command", "")))
    output = [word for place, word in enumerate(words) if place and words[place - 1] == "--output"]
    return shlex.join(
        [*_PROGRAM, "--resume", "--name", search.record.name, *(["--output", output[0]] if output else [])]
    )


def _is(search: FoundSearch, gap: Gap) -> bool:
    record = search.record
    same = (
        record.method == gap.method and record.backbone == gap.backbone and task_key(record.task) == task_key(gap.task)
    )
    return same and (not gap.seeds or search.seed in gap.seeds)


@cache
def _registered() -> dict[str, str]:
    from trials.tasks import TASKS

    return {task_key(key): name for name, task in TASKS.items() for key in (name, task.published_as) if key}


def _task_option(gap: Gap) -> str | None:
    """What ``--task`` takes for it: a registered name, or the file that a search of this own task was started with."""
    if task_key(gap.task) in _registered():
        return _registered()[task_key(gap.task)]
    if gap.example is None:
        return None
    words = shlex.split(str(gap.example.record.provenance.get("command", "")))
    return next((after for word, after in pairwise(words) if word == "--task"), None)
