"""The head of a page of many searches: one decision for each task, with every method beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from markupsafe import Markup

from orchestrator.record import formats
from orchestrator.record.binomial import interval
from orchestrator.record.record import SearchRecord
from orchestrator.summarizer.page.charts_results import MethodScore, score_chart
from orchestrator.summarizer.page.search_section import LiveRow, SearchSection, Tile, saved_tile
from orchestrator.summarizer.page.search_view import SearchView
from orchestrator.summarizer.report_results import ReportResults
from orchestrator.summarizer.results.found_search import FoundSearch
from orchestrator.summarizer.results.groups import (
    SearchGroup,
    described,
    make_groups,
    method_title,
    other_metrics,
    other_rows,
    pick,
)
from orchestrator.summarizer.results.method_comparisons import Comparison
from orchestrator.summarizer.results.published import (
    from_a_source,
    metric_key,
    on_published_rows,
    printed,
    published,
)
from orchestrator.summarizer.results.seed_statistics import estimate
from orchestrator.summarizer.results.winner_check import check_winner
from orchestrator.summarizer.tables.model import Cell, ReportTable, columns


@dataclass(frozen=True)
class TaskDecision:
    """A task on a backbone: which method to take, and how sure that is."""

    task: str
    title: str
    backbone: str
    metric: str
    scores: dict[str, MethodScore | None]
    verdict: str


class ResultsSection:
    """Many searches on a page.

    Args:
        searches: in the order in which they were found.
        results: the tables and tests of the whole report, where they were made; without them the page has its own
            decisions alone.
    """

    def __init__(self, searches: Sequence[SearchView], results: ReportResults | None = None) -> None:
        self.searches = [SearchSection(search, place) for place, search in enumerate(searches, 1)]
        self.results = results
        if results is None:
            self.groups, self.left_out = make_groups(FoundSearch(search.record) for search in searches)
        else:
            self.groups, self.left_out = results.groups, results.left_out

    @property
    def title(self) -> str:
        """What the page is about."""
        return f"Results of {len(self.searches)} search{'' if len(self.searches) == 1 else 'es'}"

    @property
    def tables(self) -> Sequence[ReportTable]:
        """The report's tables."""
        return self.results.tables if self.results else ()

    @property
    def comparisons(self) -> Sequence[Comparison]:
        """The report's tests between methods."""
        return self.results.comparisons if self.results else ()

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the report must know."""
        return self.results.notes if self.results else ()

    @cached_property
    def methods(self) -> list[str]:
        """The columns: every method that has a test score."""
        return list(dict.fromkeys(group.method for group in self.groups))

    @property
    def titles(self) -> dict[str, str]:
        """The methods as the paper prints them."""
        return {method: formats.line(method_title(method)) for method in self.methods}

    @cached_property
    def decisions(self) -> list[TaskDecision]:
        """One for each task and backbone."""
        places = dict.fromkeys((group.task, group.backbone) for group in self.groups)
        return [self._decision(task, backbone) for task, backbone in places]

    @property
    def tiles(self) -> list[Tile]:
        """The figures of the whole."""
        records = [section.search.record for section in self.searches]
        steps = [section.search.steps for section in self.searches]
        early, trained, whole = (sum(getattr(one, name) for one in steps) for name in ("early", "trained", "whole"))
        tested = sum(record.test is not None for record in records)
        return [
            Tile("Searches", formats.whole(len(records)), f"{tested} with a test score"),
            Tile("Trials", formats.whole(sum(len(record.trials) for record in records)), _listed(records)),
            saved_tile(early, trained, whole),
            Tile("Wall time", formats.duration(sum(record.wall_seconds for record in records)), "all searches"),
        ]

    @property
    def chart(self) -> Markup:
        """Every method's test score with its interval, by task."""
        several = len({decision.backbone for decision in self.decisions}) > 1
        scores = [
            (f"{decision.title} on {decision.backbone}" if several else decision.title, score)
            for decision in self.decisions
            for score in decision.scores.values()
            if score is not None
        ]
        return score_chart(scores, self.titles, "results-")

    columns = columns(
        ("search", "task", "method", "backbone", "seed", "winner", "validation", "test", "trials", "steps trained",
         "saved %", "wall time"),
        texts=("search", "task", "method", "backbone", "winner"),
    )  # fmt: skip

    @property
    def rows(self) -> list[LiveRow]:
        """All searches."""
        return [self._row(section) for section in self.searches]

    def _row(self, section: SearchSection) -> LiveRow:
        search, record = section.search, section.search.record
        best, tests = search.choice.winner, [test.score for test in record.tests]
        test = sum(tests) / len(tests) if tests else None
        seeds = sorted({trial.seed for trial in record.trials})
        validation = (search.choice.mean(best) or best.best_score) if best else None
        steps = search.steps
        saved = 100.0 * steps.early / steps.whole if steps.whole else None
        cells = [
            Cell(formats.line(record.name)),
            *(Cell(formats.line(text)) for text in (record.task_title, record.method, record.backbone)),
            Cell(", ".join(map(str, seeds)) or formats.MISSING, value=seeds[0] if len(seeds) == 1 else None),
            Cell(formats.pairs(best.configuration) if best else formats.MISSING),
            Cell(formats.score(validation), value=validation),
            Cell(formats.score(test), value=test),
            Cell(formats.whole(len(record.trials)), value=len(record.trials)),
            Cell(formats.whole(steps.trained), value=steps.trained),
            Cell(formats.score(saved), value=saved),
            Cell(formats.duration(record.wall_seconds), value=record.wall_seconds),
        ]
        return LiveRow(section.place, "", "tested" if test is not None else "not tested", "", tuple(cells))

    def _decision(self, task: str, backbone: str) -> TaskDecision:
        scores = {method: self._score(task, method, backbone) for method in self.methods}
        group = next(group for group in self.groups if (group.task, group.backbone) == (task, backbone))
        metric, name = group.metric, group.title
        found = sorted((s for s in scores.values() if s is not None), key=lambda score: -score.estimate.mean)
        if not found:
            return TaskDecision(task, name, backbone, metric, scores, "no test score")
        picked = [one for score in found if (one := pick(self.groups, task, score.method, backbone)[0]) is not None]
        differing = [("scored by other metrics", other_metrics(picked)), ("measured on other rows", other_rows(picked))]
        apart = [f"{what} ({why})" for what, why in differing if why]
        if apart:
            verdict = f"not comparable: the methods were {' and '.join(apart)}"
            return TaskDecision(task, name, backbone, metric, scores, verdict)
        best, others = found[0], found[1:]
        near = [score for score in others if self._is_near(task, backbone, best, score)]
        standings = {best.method: "best", **{score.method: "near" for score in near}}
        ranked = {m: s and replace(s, standing=standings.get(m, "")) for m, s in scores.items()}
        title = self.titles
        shown, _ = pick(self.groups, task, best.method, backbone)
        findings = [check_winner(search.record) for search in shown.by_seed.values()] if shown else []
        if findings and all(found.verdict in ("nothing learnt", "not confirmed") for found in findings):
            verdict = f"none: {title[best.method]} is the highest, but not above the constant best answer beyond noise"
        elif not others:
            verdict = f"{title[best.method]}; no other method to compare with"
        elif near:
            verdict = f"{title[best.method]}; not distinguishable: {', '.join(title[s.method] for s in near)}"
        else:
            verdict = f"{title[best.method]}, ahead of every other"
        return TaskDecision(task, name, backbone, metric, ranked, verdict)

    def _score(self, task: str, method: str, backbone: str) -> MethodScore | None:
        group, others = pick(self.groups, task, method, backbone)
        if group is None:
            return None
        mean = estimate(list(group.scores().values()))
        # Seeds that all score the same would give an interval of no width: they are too few to have shown any spread.
        low, high = _single(group) if mean.n == 1 else (mean.low, mean.high) if mean.sd else (None, None)
        note = f"shown: {described(group, others)}; {len(others)} other search setting(s)" if others else ""
        return MethodScore(method, mean, low, high, group.one_example, paper=_paper(group), note=note)

    def _is_near(self, task: str, backbone: str, best: MethodScore, other: MethodScore) -> bool:
        """Whether no difference can be claimed: by the report's test, else where intervals overlap."""
        for tested in self.comparisons:
            methods = {tested.first, tested.second}
            if (tested.task, tested.backbone) == (task, backbone) and methods == {best.method, other.method}:
                return tested.verdict == "not distinguishable"
        difference = best.estimate.mean - other.estimate.mean
        if difference < max(best.one_example or 0.0, other.one_example or 0.0) + 1e-6:
            return True
        lowest = best.low if best.low is not None else best.estimate.mean
        return (other.high if other.high is not None else other.estimate.mean) >= lowest


def _single(group: SearchGroup) -> tuple[float | None, float | None]:
    test = group.newest.record.test
    bounds = interval(test.score, test.n, group.metric) if test is not None else None
    return bounds or (None, None)


def _paper(group: SearchGroup) -> str:
    """The paper's number; empty for a score that it is no comparison with: on other rows, or from another start."""
    if not on_published_rows(group.settings) or from_a_source(group.method, group.settings):
        return ""
    rows = published(group.task, group.method, group.backbone)
    same = [row for row in rows if metric_key(row.metric) == metric_key(group.metric)]
    return ", ".join(f"paper {printed(row.value, row.metric)} (Table {row.table})" for row in same)


def _listed(records: Sequence[SearchRecord]) -> str:
    tasks, methods = ({getattr(record, name) for record in records} for name in ("task", "method"))
    return f"{len(tasks)} task{'s' * (len(tasks) != 1)}, {len(methods)} method{'s' * (len(methods) != 1)}"
