"""Methods against each other on the same seeds: a difference, its interval, a test, and a verdict in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from orchestrator.record import formats
from orchestrator.summarizer.results.groups import SearchGroup, by_method, method_title, other_rows
from orchestrator.summarizer.results.published import metric_key
from orchestrator.summarizer.results.seed_statistics import (
    ALPHA,
    difference_interval,
    holm,
    sign_flip,
    smallest_p,
)

Verdict = Literal["higher", "lower", "not distinguishable"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Method ``first`` less method ``second``, on the same seeds of the same backbone.

    Attributes:
        task: empty for the mean over all tasks that both have.
        pairs: (task, seed) pairs behind it.
        interval: what ``low`` and ``high`` are: ``bootstrap``, ``t``, or empty where there is none.
        p: of the two-sided sign-flip permutation test; ``p_holm`` after Holm's correction over its family.
        smallest_p: what ``p`` would be if every pair pointed the same way: above 0.05 no verdict is possible.
        one_example: points that one test example is worth (over tasks: their mean); None where n is not known.
        why: what the verdict rests on, in words.
        rows: test rows behind ``p``, where it is of a test over rows; 0 where it is of the seeds.
        test: which test over rows it is; empty for the seeds'.
    """

    backbone: str
    task: str
    metric: str
    first: str
    second: str
    pairs: int
    difference: float
    low: float | None
    high: float | None
    interval: str
    p: float
    p_holm: float
    smallest_p: float
    one_example: float | None
    verdict: Verdict
    why: str
    rows: int = 0
    test: str = ""


@dataclass(frozen=True)
class Differences:
    """One method less another: by task, the difference of each seed that both have.

    Attributes:
        one_example: points that one test example is worth, by task where it is known.
    """

    first: str
    second: str
    backbone: str
    metric: str
    by_task: Mapping[str, Sequence[float]]
    one_example: Mapping[str, float]


def compare_methods(groups: Sequence[SearchGroup]) -> tuple[tuple[Comparison, ...], tuple[str, ...]]:
    """All pairs of methods of each backbone: task by task, and over the tasks that both have.

    Holm's correction is made over all pairs and tasks of a backbone together, and over all pairs of the comparison over
    tasks.

    Returns:
        The comparisons, those over tasks last, and a note for each pair of methods without a common seed.
    """
    comparisons: list[Comparison] = []
    notes: list[str] = []
    for backbone in dict.fromkeys(group.backbone for group in groups):
        found, without = _differences([group for group in groups if group.backbone == backbone])
        notes += without
        single = [one for pair in found for one in by_task(pair)]
        comparisons += corrected(single)
        comparisons += corrected([over_tasks(pair) for pair in found if len(pair.by_task) > 1])
    return tuple(comparisons), tuple(notes)


def by_task(pair: Differences) -> list[Comparison]:
    """One comparison a task, not yet corrected."""
    return [
        _comparison(replace(pair, by_task={task: values}), task, pair.one_example.get(task))
        for task, values in pair.by_task.items()
    ]


def over_tasks(pair: Differences) -> Comparison:
    """The comparison of the means over tasks, not yet corrected. It speaks of these tasks, not of tasks in general."""
    examples = [pair.one_example[task] for task in pair.by_task if task in pair.one_example]
    # An example more in one of k tasks moves their mean by a k-th of what it moves the task.
    example = sum(examples) / len(examples) / len(pair.by_task) if examples else None
    return _comparison(pair, "", example)


def corrected(family: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of one family with Holm's p and their verdicts."""
    adjusted = holm([comparison.p for comparison in family])
    return [_judged(replace(one, p_holm=p), len(family)) for one, p in zip(family, adjusted, strict=True)]


def _differences(groups: Sequence[SearchGroup]) -> tuple[list[Differences], list[str]]:
    found, notes = [], []
    for (first, of_first), (second, of_second) in combinations(by_method(groups).items(), 2):
        by_task: dict[str, list[float]] = {}
        example: dict[str, float] = {}
        metrics = set()
        for task in sorted(of_first.keys() & of_second.keys()):
            one, other = of_first[task], of_second[task]
            scores = one.scores(), other.scores(one.metric)
            seeds = sorted(scores[0].keys() & scores[1].keys())
            pair = f"{method_title(first)} and {method_title(second)} on {one.backbone}"
            if why := other_rows([one, other]):
                notes.append(f"{task}: {pair} were measured on other rows ({why}), so they are not compared.")
                continue
            if not seeds:
                lacking = "seed" if one.by_seed.keys().isdisjoint(other.by_seed) else metric_key(one.metric)
                notes.append(f"{task}: {pair} have no {lacking} in common, so they are not compared.")
                continue
            by_task[task] = [scores[0][seed] - scores[1][seed] for seed in seeds]
            metrics.add(metric_key(one.metric))
            worth = max(one.one_example or 0.0, other.one_example_of(one.metric) or 0.0)
            example |= {task: worth} if worth else {}
        if by_task:
            metric = metrics.pop() if len(metrics) == 1 else "each task's own"
            ordered = {task: by_task[task] for task in of_first if task in by_task}
            found.append(Differences(first, second, groups[0].backbone, metric, ordered, example))
    return found, notes


def _comparison(pair: Differences, task: str, example: float | None) -> Comparison:
    strata = list(pair.by_task.values())
    pairs = sum(map(len, strata))
    low, high, interval = difference_interval(strata) or (None, None, "")
    return Comparison(
        backbone=pair.backbone,
        task=task,
        metric=pair.metric,
        first=pair.first,
        second=pair.second,
        pairs=pairs,
        difference=sum(sum(stratum) / len(stratum) for stratum in strata) / len(strata),
        low=low,
        high=high,
        interval=interval,
        p=sign_flip(strata),
        p_holm=1.0,
        smallest_p=smallest_p(pairs),
        one_example=example,
        verdict="not distinguishable",
        why="",
    )


def _judged(one: Comparison, family: int) -> Comparison:
    verdict: Verdict = "not distinguishable"
    after = f", after Holm's correction over {family} comparisons" if family > 1 else ""
    if one.one_example is not None and abs(one.difference) < one.one_example:
        why = f"less than one example ({one.one_example:.2f} points)"
    elif one.smallest_p > ALPHA:
        why = few_pairs(one)
    elif one.p_holm > ALPHA:
        why = f"p {formats.probability(one.p_holm)}{after}"
    else:
        verdict = "higher" if one.difference > 0 else "lower"
        why = f"p {formats.probability(one.p_holm)}{after}"
    if one.test:
        why += f"; {one.test}"
    return replace(one, verdict=verdict, why=why)


def few_pairs(one: Comparison) -> str:
    """What a reader must know of a test on so few pairs."""
    if one.pairs == 1:
        return "a single seed: no test is possible"
    counted = "seeds" if one.task else "pairs of task and seed"
    return f"with {one.pairs} {counted} no test can reach p < {one.smallest_p:.2g}"


def notes_on(comparisons: Iterable[Comparison]) -> list[str]:
    """One sentence for each number of pairs that is too small for any verdict."""
    few = sorted((one for one in comparisons if one.smallest_p > ALPHA), key=lambda one: one.pairs)
    return list(dict.fromkeys(f"{few_pairs(one).capitalize()}." for one in few))
