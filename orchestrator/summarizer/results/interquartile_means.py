"""The interquartile mean of each method over the tasks of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.summarizer.results.groups import SearchGroup, by_method, other_metrics, other_rows
from orchestrator.summarizer.results.seed_statistics import BOOTSTRAP_FROM, interquartile_mean


@dataclass(frozen=True)
class InterquartileMean:
    """One method's scores over all tasks and seeds that every method of its backbone has.

    Attributes:
        iqm: the mean of the middle half of all (task, seed) scores.
        low, high: its 95 % stratified bootstrap interval; None with fewer than two seeds a task.
        note: what a reader must know before using the interval; empty where all is as it should be.
    """

    backbone: str
    method: str
    tasks: tuple[str, ...]
    scores: int
    iqm: float
    low: float | None
    high: float | None
    note: str


def interquartile_means(groups: Sequence[SearchGroup]) -> tuple[InterquartileMean, ...]:
    """The interquartile mean of each method over the tasks that all methods of its backbone have.

    A task counts where they were measured on the same rows, by the same metric.
    """
    means = []
    for backbone in dict.fromkeys(group.backbone for group in groups):
        methods = by_method([group for group in groups if group.backbone == backbone])
        tasks = [task for task in next(iter(methods.values())) if all(task in found for found in methods.values())]
        of = {task: [found[task] for found in methods.values()] for task in tasks}
        tasks = [task for task in tasks if not (other_metrics(of[task]) or other_rows(of[task]))]
        if not tasks:
            continue
        for method, found in methods.items():
            scores = {task: list(found[task].scores().values()) for task in tasks}
            center, low, high = interquartile_mean(scores)
            fewest = min(map(len, scores.values()))
            note = "" if fewest >= BOOTSTRAP_FROM else f"{fewest} seeds a task: the interval is narrower than it says"
            note = note if low is not None else "no interval: one seed in a task, or seeds that do not differ"
            count = sum(map(len, scores.values()))
            means.append(InterquartileMean(backbone, method, tuple(tasks), count, center, low, high, note))
    return tuple(means)
