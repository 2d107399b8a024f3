"""From a sweep file's lists to its searches: the product, with overrides, each resolved as a search's options are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from orchestrator.plan.options import Given
from orchestrator.plan.places import with_absolute_paths
from orchestrator.plan.plan import Plan
from orchestrator.plan.read_settings import faults, read_settings
from orchestrator.plan.resolve import PAPERS_BACKBONE, make_plan
from orchestrator.plan.settings import SearchSettings
from orchestrator.sweep.cells import CellKey
from orchestrator.sweep.state import Part, SearchState, SearchStatus
from orchestrator.sweep.sweep_keys import SweepKeys, Where
from orchestrator.tracking.sources import StoredSources
from trials.backbones.describe import describe
from trials.errors import RowsError, UserError, did_you_mean
from trials.methods import get_method
from trials.tasks import get_task
from trials.tasks.groups import members
from yaml_reader import Document, Key

ELSEWHERE = {
    "task": "stands in the list `tasks`",
    "method": "stands in the list `methods`",
    "backbone": "stands in the list `backbones`",
    "name": "is made by the sweep, from the search's settings",
    "output": "is an option of the command: --output",
    "tracking_uri": "is an option of the command: --tracking-uri",
    "price": "is an option of the command: --price",
}
"""Options of a search that a sweep file does not give as such, each with where it is given."""

LISTS = {"tasks": "task", "methods": "method", "backbones": "backbone"}
_SHOWN = 3  # searches that a message names


@dataclass(frozen=True, kw_only=True)
class PlannedSearch:
    """One search of a sweep before it starts.

    Attributes:
        options: as text, as the command line gives them.
        search: what is to be searched.
    """

    options: Given
    plan: Plan
    search: Part = "full"

    @property
    def key(self) -> CellKey:
        """Its cell."""
        return CellKey(self.plan.task.name, self.plan.settings.method, self.plan.facts.name)


Known = dict[str, dict[str, str]]
"""What the lists name, and there is: by task, method and backbone, each name as it is written, and its own."""


def check_names(
    sweep: SweepKeys, folder: Path, document: Document, rowless: dict[str, RowsError] | None = None
) -> Known:
    """Report what the lists name and there is not, and what they name twice; the others are known.

    Args:
        folder: of the sweep file.
        rowless: gets the tasks whose rows cannot be read, by their names as written, which are then known as well;
            None: they are reported as all else.
    """
    looked_up: dict[str, Callable[[str], str]] = {
        "tasks": lambda name: get_task(beside(folder, "task", name)).name,
        "methods": lambda name: get_method(name).name,
        "backbones": lambda name: describe(beside(folder, "backbone", name)).name,
    }
    known: Known = {}
    for key, kind in LISTS.items():
        found: dict[str, str] = {}
        for place, name in _listed(sweep, key):
            try:
                own = looked_up[key](name)
            except UserError as error:
                if rowless is None or not isinstance(error, RowsError):
                    for problem in error.problems:
                        document.report((key, place), problem.removeprefix("--backbone "))
                    continue
                own, rowless[name] = error.task, error
            if own in found.values():
                document.report((key, place), f"the {kind} {own} stands twice: remove one")
            found.setdefault(name, own)
        known[kind] = found
    return known


def _listed(sweep: SweepKeys, key: str) -> list[tuple[int, str]]:
    """The names of a list, each with its place in the file; a group of tasks as its tasks."""
    names = enumerate(getattr(sweep, key) or ())
    return [(place, one) for place, name in names for one in (members(name) if key == "tasks" else (name,))]


def planned_searches(
    sweep: SweepKeys,
    known: Known,
    folder: Path,
    document: Document,
    places: Mapping[str, str | None],
    rowless: Mapping[str, RowsError],
) -> tuple[list[PlannedSearch], list[SearchState]]:
    """All searches that can be planned, in the file's order, and those of tasks without rows, which have failed.

    Why others cannot be planned is reported.

    Args:
        known, rowless: what `check_names` found. folder: of the sweep file. places: options of every search.
    """
    wheres: list[tuple[tuple[Key, ...], Where]] = [
        *((("overrides", place, "where"), one.where) for place, one in enumerate(sweep.overrides)),
        *((("without", place), one) for place, one in enumerate(sweep.without)),
    ]
    for path, where in wheres:
        _check_where(path, where, sweep, known, document)
    common = _checked_options(("options",), sweep.options, folder, document)
    if sweep.seeds is not None and "seeds" in common:
        document.report(("options", "seeds"), "stands twice, here and as the key `seeds`: remove one")
    common |= {} if sweep.seeds is None else {"seeds": str(sweep.seeds)}
    others = [
        _checked_options(("overrides", place, "options"), one.options, folder, document)
        for place, one in enumerate(sweep.overrides)
    ]
    backbones: Iterable[str | None] = [None] if sweep.backbones is None else known["backbone"]
    searches: list[PlannedSearch] = []
    failed: list[SearchState] = []
    problems: dict[str, list[tuple[str, str, str | None]]] = {}
    left_out = 0
    for names in product(known["task"], known["method"], backbones):
        if any(_fits(where, names, known) for where in sweep.without):
            left_out += 1
            continue
        task, method, backbone = names
        if task in rowless:
            failed.append(_failed(names, known, "; ".join(rowless[task].problems)))
            continue
        options: Given = {**common, "task": beside(folder, "task", task), "method": method}
        options["backbone"] = backbone and beside(folder, "backbone", backbone)
        part = sweep.search
        for override, more in zip(sweep.overrides, others, strict=True):
            if _fits(override.where, names, known):
                options |= more
                part = override.search or part
        try:
            searches.append(planned(options, places, part))
        except UserError as error:
            for problem in error.problems:
                problems.setdefault(problem, []).append(names)
    for problem, of in problems.items():
        _report(problem, of, sweep, document)
    if left_out and not searches and not failed and not problems:
        document.report(("without",), "leaves every search out: nothing would be run")
    return searches, failed


def _failed(names: tuple[str, str, str | None], known: Known, why: str) -> SearchState:
    """A search that cannot be planned."""
    task, method, backbone = names
    own = describe(PAPERS_BACKBONE).name if backbone is None else known["backbone"][backbone]
    key = CellKey(known["task"][task], known["method"][method], own)
    return SearchState(key=key, status=SearchStatus.FAILED, why=why)


def planned(options: Given, places: Mapping[str, str | None], part: Part = "full") -> PlannedSearch:
    """One search, resolved.

    Args:
        places: options that go before its own.

    Raises:
        UserError: everything that is wrong with it.
    """
    together = {**options, **places}
    settings, wrong = read_settings(together)
    return PlannedSearch(options=together, plan=make_plan(settings, wrong, StoredSources()), search=part)


def beside(folder: Path, key: str, value: str) -> str:
    """A name as it is, a file or folder as an absolute path, relative ones from the sweep file's folder."""
    return with_absolute_paths({key: value}, folder)[key] or value


def _checked_options(path: tuple[Key, ...], options: Mapping[str, Any], folder: Path, document: Document) -> Given:
    """Those options that are right, as text; the others are reported."""
    allowed = [name for name in SearchSettings.names() if name not in ELSEWHERE]
    right: dict[str, Any] = {}
    for key, value in options.items():
        if key in ELSEWHERE:
            document.report((*path, key), f"this {ELSEWHERE[key]}")
        elif key not in allowed:
            hint = did_you_mean(key.replace("-", "_"), allowed)
            document.report((*path, key), f"a search has no such option{hint}; options are {', '.join(allowed)}")
        elif rule := faults({key: value}).get(key) if value is not None else None:
            document.report((*path, key), f"{rule}, found {value!r}")
        else:
            right[key] = value
    texts: Given = {
        key: ("yes" if value else None) if isinstance(value, bool) else None if value is None else str(value)
        for key, value in right.items()
    }
    return with_absolute_paths(texts, folder)


def _check_where(path: tuple[Key, ...], where: Where, sweep: SweepKeys, known: Known, document: Document) -> None:
    listed = {
        kind: [*(getattr(sweep, key) or ()), *(name for _, name in _listed(sweep, key))] for key, kind in LISTS.items()
    }
    given = {kind: names for kind in known if (names := getattr(where, kind)) is not None}
    if not given:
        document.report(path, f"names nothing; it has one or more of {', '.join(known)}")
    for kind, names in given.items():
        there = dict.fromkeys([*listed[kind], *known[kind].values()])
        for name in names:
            if not {name, *members(name)} & there.keys():  # a group, of which the sweep has some
                document.report(
                    (*path, kind), f"the sweep has no {kind} {name!r}{did_you_mean(name, there)}: {', '.join(there)}"
                )


def _fits(where: Where, names: Sequence[str | None], known: Known) -> bool:
    """Whether a search is meant, by its names as they are written or as they are."""
    for (kind, own), name in zip(known.items(), names, strict=True):
        wanted = getattr(where, kind)
        if wanted is not None and not {name, own.get(name or "")} & {one for named in wanted for one in members(named)}:
            return False
    return True


def _report(problem: str, of: Sequence[tuple[str, str, str | None]], sweep: SweepKeys, document: Document) -> None:
    """Report what is wrong with some searches, once, at the line of what it is about."""
    named = [", ".join(name for name in names if name) for names in of]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    task, method, backbone = of[0]
    path: tuple[Key, ...] = ("tasks", next(place for place, name in _listed(sweep, "tasks") if name == task))
    if problem.startswith("--method"):
        path = ("methods", sweep.methods.index(method))
    elif problem.startswith("--backbone") and backbone and sweep.backbones:
        path = ("backbones", sweep.backbones.index(backbone))
    document.report(path, f"({'; '.join(named[:_SHOWN])}{more}) {problem}")
