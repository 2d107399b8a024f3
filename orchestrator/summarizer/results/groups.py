"""Puts searches together that may stand in one cell: the same in everything that decides a number, but for the seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.plan.options import When
from orchestrator.plan.settings import SearchSettings
from orchestrator.record import formats
from orchestrator.record.kept_data import measured_on, rows_differ, shown
from orchestrator.summarizer.results.found_search import FoundSearch, age, canonical
from orchestrator.summarizer.results.published import backbone_key, method_key, metric_key, rows, task_key
from trials.methods import standard_method

# Settings of a search on which no score depends.
_NO_SCORE_DEPENDS_ON = {"slots", "devices", "max_concurrent"}
# Values that a record may leave out.
_UNWRITTEN = {
    name: SearchSettings.default(name) for name in SearchSettings.names(lambda one: one.recorded is When.CHANGED)
}


@dataclass(frozen=True)
class SearchGroup:
    """Searches that differ in their seed alone: what one cell of a table is made of.

    Attributes:
        fixed: values that all their configurations share.
        by_seed: the newest search of each seed.
    """

    task: str
    method: str
    backbone: str
    recipe: str
    metric: str
    settings: dict[str, Any]
    fixed: dict[str, Any]
    by_seed: dict[int, FoundSearch]

    @property
    def title(self) -> str:
        """What tables print for the task."""
        return self.newest.record.task_title

    def scores(self, metric: str | None = None) -> dict[int, float]:
        """Finite test scores by seed; of the selection metric where none is named."""
        name = metric_key(metric or self.metric)
        found = {seed: search.test_scores.get(name) for seed, search in self.by_seed.items()}
        return {seed: score for seed, score in found.items() if score is not None}

    @property
    def one_example(self) -> float | None:
        """Points of the selection metric that one test example is worth: the most, should the seeds differ in it."""
        return self.one_example_of(self.metric)

    def one_example_of(self, metric: str) -> float | None:
        """Points of any metric that one test example is worth; see `FoundSearch.one_example_of`."""
        worth = [search.one_example_of(metric) for search in self.by_seed.values()]
        return max((one for one in worth if one is not None), default=None)

    @property
    def parameters(self) -> list[int]:
        """Trainable parameters of the winners, each number once."""
        found = {
            search.record.parameters[search.record.test.trial_number]
            for search in self.by_seed.values()
            if search.record.test is not None and search.record.test.trial_number in search.record.parameters
        }
        return sorted(found)

    @property
    def newest(self) -> FoundSearch:
        """The search that began last."""
        return max(self.by_seed.values(), key=lambda search: age(search.started))


def make_groups(searches: Iterable[FoundSearch]) -> tuple[tuple[SearchGroup, ...], tuple[str, ...]]:
    """SearchGroup searches whose test split was read.

    Two searches of one group and one seed are the same experiment run twice: the newer one counts.

    Returns:
        The groups, and one sentence for each search that is in none.
    """
    members: dict[tuple[str, ...], list[FoundSearch]] = {}
    left_out = []
    for search in (one for found in searches for one in found.by_test):
        record = search.record
        if record.test is None:
            left_out.append(f"{record.name}: its test split was not read ({_progress(search)})")
        elif not search.test_scores:
            left_out.append(f"{record.name}: its test score is no finite number")
        elif search.seed is None:
            left_out.append(f"{record.name}: the seed of the trial that was tested is not known")
        else:
            key = (record.task, record.method, record.backbone, record.recipe, record.metric)
            data = canonical(measured_on(record))
            members.setdefault((*key, canonical(deciding_settings(search)), _searched(search), data), []).append(search)
    groups = []
    for (task, method, backbone, recipe, metric, *_), found in members.items():
        found = sorted(found, key=lambda search: age(search.started))
        newest = {search.seed: search for search in found if search.seed is not None}
        replaced = [search for search in found if all(search is not kept for kept in newest.values())]
        left_out += [f"{search.record.name}: a newer search has the same settings and seed" for search in replaced]
        groups.append(
            SearchGroup(
                task=task,
                method=method,
                backbone=backbone,
                recipe=recipe,
                metric=metric,
                settings=deciding_settings(found[-1]),
                fixed=_shared(newest.values()),
                by_seed=dict(sorted(newest.items())),
            )
        )
    first = method_key(standard_method())
    groups.sort(key=lambda group: (group.task, group.backbone, method_key(group.method) != first, group.method))
    return tuple(groups), tuple(left_out)


def pick(
    groups: Sequence[SearchGroup],
    task: str,
    method: str,
    backbone: str,
    metric: str | None = None,
    where: Mapping[str, Any] | None = None,
) -> tuple[SearchGroup | None, list[SearchGroup]]:
    """The group that a cell shows, and the others that it could have shown.

    Names are ours or the paper's. Without ``where`` the search over the larger space is meant, so groups with fewer
    fixed values go first; then those with more seeds; then the newest.
    """
    where = where or {}
    candidates = [
        group
        for group in groups
        if task_key(group.task) == task_key(task)
        and method_key(group.method) == method_key(method)
        and backbone_key(group.backbone) == backbone_key(backbone)
        and group.scores(metric)
        and all(group.fixed.get(name) == value for name, value in where.items())
    ]
    candidates.sort(key=lambda group: (len(group.fixed), -len(group.scores(metric)), -age(group.newest.started)))
    return (candidates[0], candidates[1:]) if candidates else (None, [])


def by_method(groups: Sequence[SearchGroup]) -> dict[str, dict[str, SearchGroup]]:
    """The group that stands for each method and task, the standard method first and then by name."""
    first = method_key(standard_method())
    methods = sorted({group.method for group in groups}, key=lambda name: (method_key(name) != first, name))
    tasks = list(dict.fromkeys(group.task for group in groups))
    found: dict[str, dict[str, SearchGroup]] = {}
    for method in methods:
        for task in tasks:
            group, _ = pick(groups, task, method, groups[0].backbone)
            if group is not None:
                found.setdefault(method, {})[task] = group
    return found


def other_rows(groups: Sequence[SearchGroup]) -> str:
    """How the rows behind several groups of one task differ; empty where all were measured on the same ones."""
    records = [group.newest.record for group in groups]
    return next((why for record in records[1:] if (why := rows_differ(records[0], record))), "")


def other_metrics(groups: Sequence[SearchGroup]) -> str:
    """The metrics by which several groups of one task were selected and scored; empty where all were by one."""
    names = list(dict.fromkeys(metric_key(group.metric) for group in groups))
    return " and ".join(names) if len(names) > 1 else ""


def described(group: SearchGroup, beside: Sequence[SearchGroup] = ()) -> str:
    """What differs between a group and others of the same cell: ``recipe paper, steps 400``."""
    things, others = _circumstances(group), [_circumstances(other) for other in beside if other is not group]
    differing = {name: value for name, value in things.items() if any(o.get(name) != value for o in others)}
    return formats.pairs(differing) or "the same settings"


def _circumstances(group: SearchGroup) -> dict[str, Any]:
    record = group.newest.record
    origin = {name: value for name, value in record.provenance.items() if name in ("space", "search")}
    common = {"recipe": group.recipe, **group.settings, **origin, **shown(record)}
    return {**common, "trials": len(record.trials), **group.fixed}


def method_title(name: str) -> str:
    """The name as the paper prints it where it has it: ``adept`` gives ``ADePT``."""
    titles = {method_key(row.method): row.method for row in rows() if row.table in (3, 4)}
    return titles.get(method_key(name), name)


def deciding_settings(search: FoundSearch) -> dict[str, Any]:
    """The settings of a search on which a score may depend, where they are not the default."""
    settings = search.record.settings.items()
    return {n: value for n, value in settings if n not in _NO_SCORE_DEPENDS_ON and value != _UNWRITTEN.get(n)}


def _searched(search: FoundSearch) -> str:
    """Where the configurations came from; of an older record that does not say, what they have in common."""
    origin = {name: search.record.provenance.get(name) for name in ("space", "search")}
    if origin["space"]:
        return canonical({**origin, "trials": len(search.record.trials)})
    return canonical(search.fixed)


def _shared(searches: Iterable[FoundSearch]) -> dict[str, Any]:
    """What all configurations have in common: of a few drawn at random, one search alone would find too much."""
    first, *others = (search.fixed for search in searches)
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _progress(search: FoundSearch) -> str:
    trials = search.record.trials
    ended = sum(trial.status.is_over for trial in trials)
    return f"{ended} of {len(trials)} trials are done" if trials else "it has no trial"
