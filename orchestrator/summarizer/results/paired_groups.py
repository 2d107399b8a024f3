"""What two sets of searches have in common that may be tested: same task, method, backbone, seeds and test rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from orchestrator.record.binomial import PROPORTIONS
from orchestrator.record.kept_data import rows_differ, same_files
from orchestrator.store.predictions import Answers
from orchestrator.summarizer.results.groups import SearchGroup, method_title, other_rows, pick
from orchestrator.summarizer.results.method_comparisons import Comparison, Differences, by_task, corrected, over_tasks
from orchestrator.summarizer.results.published import metric_key
from orchestrator.summarizer.results.row_tests import RowTest, paired, unpaired
from orchestrator.summarizer.results.seed_statistics import ALPHA, estimate


@dataclass(frozen=True)
class GroupPair:
    """One (task, method, backbone) that both sides have."""

    first: SearchGroup
    second: SearchGroup


def common(first: Sequence[SearchGroup], second: Sequence[SearchGroup]) -> Iterator[GroupPair]:
    """The tasks, methods and backbones that both sides have a score of.

    By one metric and on the same rows, where there are such.
    """
    for task, method, backbone in dict.fromkeys((group.task, group.method, group.backbone) for group in first):
        one, more = pick(first, task, method, backbone)
        other, others = pick(second, task, method, backbone)
        if one is not None and other is not None:
            pairs = [GroupPair(a, b) for a in (one, *more) for b in (other, *others)]
            scored = [pair for pair in pairs if pair.second.scores(pair.first.metric)] or pairs
            yield next((pair for pair in scored if not other_rows([pair.first, pair.second])), scored[0])


def _unlike(pair: GroupPair, seeds: Sequence[int]) -> str:
    """Why the test splits of two groups are not the same rows; empty where they are, as far as can be seen."""
    for seed in seeds:
        one, other = pair.first.by_seed[seed], pair.second.by_seed[seed]
        sizes = [search.record.test.n for search in (one, other) if search.record.test is not None]
        if len(set(sizes)) > 1:
            return f"their test splits have {sizes[0]:,} and {sizes[1]:,} rows"
        answers = one.answers, other.answers
        if answers[0] is not None and answers[1] is not None:
            # A row that is cut elsewhere, or written by another template, has other tokens: its file identifies it.
            same = Answers.same_questions if same_files(one.record, other.record) else Answers.same_rows
            if not same(answers[0], answers[1]):
                return "their test splits hold other rows or other labels"
            continue
        if why := rows_differ(one.record, other.record):
            return f"their data differ ({why})"
    return ""


def _over_rows(pair: GroupPair, seeds: Sequence[int]) -> RowTest | None:
    """The test over test rows; None where the answers are not known and the metric is no proportion."""
    answers = [(pair.second.by_seed[seed].answers, pair.first.by_seed[seed].answers) for seed in seeds]
    known = [(one, other) for one, other in answers if one is not None and other is not None]
    if len(known) == len(seeds):
        return paired([one for one, _ in known], [other for _, other in known], pair.first.metric)
    n = pair.first.by_seed[seeds[0]].record.sizes.get("test") or 0
    test = pair.first.by_seed[seeds[0]].record.test
    n = test.n if test is not None else n
    if pair.first.metric not in PROPORTIONS or not n:
        return None
    means = [
        estimate([group.scores(pair.first.metric)[seed] for seed in seeds]).mean for group in (pair.second, pair.first)
    ]
    found = unpaired(means[0], means[1], n)
    lacking = [side for side, place in (("A", 1), ("B", 0)) if any(both[place] is None for both in answers)]
    return replace(found, name=f"{found.name}: {' and '.join(lacking)} kept no answers to the test rows")


def _tested(one: Comparison, pair: GroupPair, seeds: Sequence[int]) -> Comparison:
    """With so few seeds that no test over them could find anything: the test over rows."""
    if one.smallest_p <= ALPHA:
        return one
    found = _over_rows(pair, seeds)
    if found is None:
        return one
    low, high, interval = (one.low, one.high, one.interval) if one.low is not None else (found.low, found.high, "")
    kind = interval or ("t over rows" if low is not None else "")
    one = replace(one, low=low, high=high, interval=kind)
    return replace(one, p=found.p, smallest_p=0.0, rows=found.n, test=found.name)


def compared_pairs(pairs: Sequence[GroupPair]) -> tuple[list[Comparison], dict[tuple[str, str, str], str]]:
    """Every pair, corrected together; over pairs of one method and backbone where they have several tasks.

    Returns:
        The comparisons, and why a pair is in none, by task, method and backbone.
    """
    found, single, reasons = [], [], {}
    for pair in pairs:
        scores = pair.first.scores(), pair.second.scores(pair.first.metric)
        seeds = sorted(scores[0].keys() & scores[1].keys())
        lacking = "seed" if scores[1] else metric_key(pair.first.metric)
        reason = _unlike(pair, seeds) if seeds else f"no {lacking} in common"
        if not seeds and (why := other_rows([pair.first, pair.second])):
            reason += f", and their data differ ({why})"
        if reason:
            place = pair.first.task, pair.first.method, pair.first.backbone
            reasons[place] = f"{place[0]}, {method_title(place[1])} on {place[2]}: not compared, {reason}."
            continue
        worth = max(pair.first.one_example or 0.0, pair.second.one_example_of(pair.first.metric) or 0.0)
        label = f"{pair.first.method} on {pair.first.backbone}"
        values = [scores[1][seed] - scores[0][seed] for seed in seeds]
        task = pair.first.task
        differences = Differences(
            f"B: {label}",
            f"A: {label}",
            pair.first.backbone,
            pair.first.metric,
            {task: values},
            {task: worth} if worth else {},
        )
        found.append(differences)
        single += [_tested(one, pair, seeds) for one in by_task(differences)]
    single = corrected(single)
    merged = []
    for label in dict.fromkeys(differences.first for differences in found):
        same = [differences for differences in found if differences.first == label]
        if len(same) > 1:
            tasks = {task: values for differences in same for task, values in differences.by_task.items()}
            worths = {task: worth for differences in same for task, worth in differences.one_example.items()}
            head = same[0]
            merged.append(
                over_tasks(Differences(head.first, head.second, head.backbone, "each task's own", tasks, worths))
            )
    return [*single, *corrected(merged)], reasons
