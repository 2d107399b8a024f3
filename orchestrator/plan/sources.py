"""The sources of a transfer: what ``--sources`` names, found before anything starts and kept with the search.

A search that has begun uses what it kept: the store may have lost a source since, or hold a better one, and neither may
change what the search computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.command_lines import comma_separated
from orchestrator.store.layout import ADAPTER
from orchestrator.store.paths import StoragePath
from trials.backbones.facts import Facts
from trials.errors import UserError
from trials.export.files import CONFIG
from trials.methods import Method, Sizes, get_method, method_names
from trials.source_prompts import SourcePrompt, from_file
from yaml_reader.home import from_home

if TYPE_CHECKING:
    from orchestrator.plan.settings import SearchSettings
    from search_spaces import Space

SOURCES = "sources.safetensors"
"""In a search's folder, and its copy in a storage."""


class FindSources(Protocol):
    """Where sources are looked for."""

    def find(self, settings: SearchSettings, facts: Facts) -> Sequence[SourcePrompt]:
        """What ``--sources`` names, in its order; raises `UserError` with everything that is wrong with it."""

    def there(self, settings: SearchSettings, facts: Facts) -> Sequence[str]:
        """What could be named."""


@dataclass(frozen=True)
class Sources:
    """The sources of a search that is being planned.

    Attributes:
        method, facts: None where what was asked for is not known.
        finder: None: only what a search has kept is there.
    """

    settings: SearchSettings
    method: Method | None
    facts: Facts | None
    finder: FindSources | None

    @property
    def problems(self) -> list[str]:
        """What can be seen before anything is looked for."""
        if self.method is None:
            return []
        names, given = source_names(self.settings.sources), self.settings.sources
        why = self.method.wrong_sources(names)
        if not why:
            twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
            return [f"--sources {given}: {name} stands twice; remove one, or rename a folder" for name in twice]
        if names:
            users = ", ".join(name for name in method_names() if _transfers(name))
            return [f"--sources {given}: --method {self.method.name} {why} (methods that transfer: {users})"]
        there = self.finder.there(self.settings, self.facts) if self.finder and self.facts else ()
        known = f"there are {', '.join(there)}" if there else "there are none yet: --method pt trains one on its task"
        return [f"--method {self.method.name} {why}: name them with --sources NAME,...; {known}"]

    def missing(self) -> list[str]:
        """What is wrong with the sources themselves, where there will be no plan since something else is wrong."""
        if self.problems or self.finder is None or self.facts is None or not source_names(self.settings.sources):
            return []
        name = self.settings.name
        if name and (from_home(self.settings.output) / name / SOURCES).exists():
            return []
        try:
            self.finder.find(self.settings, self.facts)
        except UserError as error:
            return error.problems
        return []

    def of(self, *places: Path | StoragePath | None) -> tuple[SourcePrompt, ...]:
        """The sources of a search: those that it has kept, else found.

        Args:
            places: where it may have kept them: its folder, its place in a storage.

        Raises:
            UserError: everything that is wrong with them.
        """
        names = source_names(self.settings.sources)
        if not names:
            return ()
        assert self.facts is not None
        found = kept(*places)
        if [one.name for one in found] != names:
            if self.finder is None:
                raise UserError([f"--sources {self.settings.sources}: the search has not kept them, see {SOURCES}"])
            found = tuple(self.finder.find(self.settings, self.facts))
        return found


def fitting(space: Space, sources: Sequence[SourcePrompt], sizes: Sizes) -> Space:
    """A space with the configurations alone that can start from these sources, which decide their shapes.

    Args:
        sizes: of the backbone and the task.

    Raises:
        UserError: there is none, with what is wrong with each.
    """
    method = get_method(space.method)
    sizes = replace(
        sizes,
        sources={one.name: one.rows for one in sources},
        adapters={one.name: one.values for one in sources if one.method},
        tensors={one.name: {n: t.shape for n, t in one.tensors.items()} for one in sources if one.method},
    )
    why_not = [method.refuses(values, sizes) for values in space.configurations]
    left = tuple(values for values, why in zip(space.configurations, why_not, strict=True) if not why)
    if not left:
        refused = dict.fromkeys(why_not)
        raise UserError([f"search space {space.name}: {method.name}: {why}" for why in refused])
    if len(left) == len(why_not):
        return space
    there = [{tuple(values.get(name) for name in axis.names) for values in left} for axis in space.axes]
    axes = (
        replace(axis, rows=tuple(row for row in axis.rows if tuple(row) in rows))
        for axis, rows in zip(space.axes, there, strict=True)
    )
    return replace(space, configurations=left, axes=tuple(axes))


def source_names(sources: str | None) -> list[str]:
    """What a search calls its sources: a name as it is, a folder by its own name, or that of the search it is in."""
    return [name_of(part) for part in comma_separated(sources)]


def is_source(path: Path) -> bool:
    """Whether a folder holds an adapter, itself or as the winner of the search that it is."""
    return any((folder / CONFIG).exists() for folder in (path, path / ADAPTER))


def name_of(part: str) -> str:
    """What a search calls one source."""
    path = Path(part)
    return (path.parent if path.name == ADAPTER else path).name


def kept(*places: Path | StoragePath | None) -> tuple[SourcePrompt, ...]:
    """The sources that a search has kept, from the first place that has them; none where no place has.

    Args:
        places: its folder, and its place in a storage.

    Raises:
        UserError: the file is damaged.
    """
    for place in places:
        if place is None or not (place / SOURCES).exists():
            continue
        try:
            return from_file((place / SOURCES).read_bytes())
        except ValueError as error:
            raise UserError(
                [
                    f"{place / SOURCES}, the source prompts that the search began with, is damaged: {error}. Bring it "
                    "back from a backup, or search under another --name"
                ]
            ) from error
    return ()


def fingerprints(sources: Sequence[SourcePrompt]) -> str:
    """By name: two searches with the same started from the same numbers."""
    return ", ".join(f"{one.name} {one.fingerprint}" for one in sources)


def described(sources: Sequence[SourcePrompt]) -> str:
    """Sources in words: where each came from, its shape, and its fingerprint."""
    return "; ".join(f"{one.name}: {one.origin} ({_shape(one)}, fingerprint {one.fingerprint})" for one in sources)


def _shape(source: SourcePrompt) -> str:
    more = [f"{name} {value}" for name, value in source.values.items() if name != "prompt_length"]
    return ", ".join([f"{source.rows} rows", *more])


def _transfers(name: str) -> bool:
    try:
        return get_method(name).sources[1] > 0
    except UserError:  # a package that cannot be imported
        return False
